"""Encoders in PyTorch by transformers, for `bert bench --peers transformers`: reads a job, prints a reply.

Training steps have what ours have: dropout as configured, gradients clipped to norm 1, AdamW with decay for all but
biases and LayerNorm. Pretraining gathers the masked positions before the vocabulary projection, as ours does and
unlike transformers' own loss of a masked LM, which projects every token and is the peer `transformers-stock`
(transformers_stock_peer.py). Attention is PyTorch's fused one (SDPA), of families that transformers has it for;
`transformers-eager` has it written out, and `transformers-tf32` lets products of 32-bit floats round to TF32 on a CUDA
device. Sentence vectors are made of texts in the order they come in, 32 at a time, padded to the longest.

    python transformers_peer.py JOB.json
"""

import contextlib
import logging

import common
import torch
import transformers
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification, BertForPreTraining
from transformers.modeling_outputs import BaseModelOutput

MODES = ("forward", "backward", "train", "pretrain", "embed")


def optimizer_of(model):
    norms = [module for module in model.modules() if isinstance(module, torch.nn.LayerNorm)]
    of_norms = {id(p) for norm in norms for p in norm.parameters()}
    is_spared = lambda name, p: name.endswith("bias") or id(p) in of_norms
    spared = [p for n, p in model.named_parameters() if is_spared(n, p)]
    decays = [p for n, p in model.named_parameters() if not is_spared(n, p)]
    groups = [{"params": decays, "weight_decay": 0.01}, {"params": spared, "weight_decay": 0.0}]
    on_cuda = decays[0].device.type == "cuda"
    return torch.optim.AdamW(groups, lr=1e-4, fused=on_cuda)  # as transformers' own Trainer has it


def masked_logits(model, batch, positions):
    """Scores of the vocabulary at some positions alone, whatever the head of the family is called."""
    encoder = model.base_model
    hidden = encoder(**batch).last_hidden_state.flatten(0, 1)[positions]
    # The head gets these in the place of what the encoder gives.
    encoder.forward = lambda *arguments, **named: BaseModelOutput(last_hidden_state=hidden[None])
    try:
        return model(**batch).logits[0]
    finally:
        del encoder.forward


def loaded(kind, directory, attention, **more):
    """A model of `kind`, with attention written out where the family has no other."""
    try:
        return kind.from_pretrained(directory, attn_implementation=attention, **more)
    except ValueError as error:
        if attention == "eager" or "attention implementation" not in str(error):
            raise
        return kind.from_pretrained(directory, attn_implementation="eager", **more)


def training_step(job, model, loss):
    model.train()
    optimizer = optimizer_of(model)
    device = next(model.parameters()).device
    low = job["dtype"] != "f32"
    scaler = torch.amp.GradScaler(device.type, enabled=job["dtype"] == "f16")

    def step():
        with torch.autocast(device.type, common.torch_dtype(job)) if low else contextlib.nullcontext():
            value = loss()
        scaler.scale(value).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()

    return step


def main(stock=False, attention="sdpa", tf32=False):
    job = common.read_job()
    if tf32:
        common.refuse(job, MODES, ("f32",), ("cuda",))
        torch.set_float32_matmul_precision("high")
    common.refuse(job, ("pretrain",) if stock else MODES, ("f32", "f16", "bf16"), ("cpu", "cuda"))
    logging.disable(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    device, wait = common.torch_device(job)
    inputs, mode = job["inputs"], job["mode"]
    rows, seq = inputs["shape"]
    tensor = lambda name, *shape: torch.tensor(inputs[name], device=device).reshape(*shape)
    batch = {name: tensor(name, rows, seq) for name in ("input_ids", "token_type_ids", "attention_mask")}
    cross_entropy = torch.nn.functional.cross_entropy

    has_pairs = len(inputs["next_sentence"]) > 0
    pretraining = BertForPreTraining if has_pairs else AutoModelForMaskedLM
    kind = {"train": AutoModelForSequenceClassification, "pretrain": pretraining}.get(mode, AutoModel)
    more = {"num_labels": 2} if mode == "train" else {}
    model = loaded(kind, job["model"], attention, **more).to(device).eval()
    encoder = model.base_model if mode in ("train", "pretrain") else model
    batch = common.arguments(encoder, batch)
    if encoder is model:
        model = model.to(common.torch_dtype(job))
    if mode == "embed":

        def tokens_of(batch):
            with torch.inference_mode():
                batch = {name: torch.from_numpy(values).to(device) for name, values in batch.items()}
                return model(**common.arguments(model, batch)).last_hidden_state.float().cpu().numpy()

        embed = common.embedder(job, tokens_of, by_length=False)
        values = {"output": embed(inputs["texts"][: common.COMPARED_ROWS]).flatten().tolist()}
    else:
        with torch.no_grad():
            first_tokens = encoder(**batch).last_hidden_state[: common.COMPARED_ROWS, 0]
        values = {"output": first_tokens.float().flatten().tolist()}

    if mode == "forward":

        def run():
            with torch.inference_mode():
                model(**batch)

    elif mode == "embed":

        def run():
            embed(inputs["texts"])

    elif mode == "backward":

        def run():
            model.zero_grad()
            sequence = model(**batch).last_hidden_state
            sequence[:, :, : sequence.shape[2] // 2].mean().backward()

        run()
        compared = model.get_parameter(job["compared_gradient"])
        values["grad.embeddings.LayerNorm.weight"] = compared.grad.float().tolist()
    elif mode == "train":
        classes = tensor("classes", rows)
        run = training_step(job, model, lambda: cross_entropy(model(**batch).logits, classes))
    else:
        positions, labels = tensor("positions", -1), tensor("labels", -1)
        pairs = {"next_sentence_label": tensor("next_sentence", rows)} if has_pairs else {}

        every = torch.full((rows * seq,), -100, device=device)
        every[positions] = labels
        every = every.reshape(rows, seq)

        def loss():
            if stock:
                return model(**batch, labels=every, **pairs).loss
            if not has_pairs:
                return cross_entropy(masked_logits(model, batch, positions), labels)
            output = model.bert(**batch)
            gathered = output.last_hidden_state.flatten(0, 1)[positions]
            masked = cross_entropy(model.cls.predictions(gathered), labels)
            follows = model.cls.seq_relationship(output.pooler_output)
            return masked + cross_entropy(follows, pairs["next_sentence_label"])

        run = training_step(job, model, loss)

    def iteration():
        run()
        wait()

    wait()
    timing = common.sample(job, iteration)
    software = {"transformers": transformers.__version__, "attention": model.config._attn_implementation}
    common.answer(common.torch_reply(job, timing, values, software))


if __name__ == "__main__":
    main()
