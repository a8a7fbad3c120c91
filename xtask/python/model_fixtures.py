"""Golden models: small BERTs with weights that nothing can get right by accident, and all they compute in float64."""

import json
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from transformers import BertConfig, BertForMaskedLM, BertForPreTraining, BertModel, BertTokenizer
from transformers.utils import logging

from common import Seeded, write_bytes, write_sections

logging.set_verbosity_error()
logging.disable_progress_bar()
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)

PAD = 0


@dataclass
class Fixture:
    """One configuration and its batch. Sizes are odd and distinct, so that a swapped axis fails."""

    name: str
    model: type
    config: dict
    # One row a text: how many positions are real; `masked` adds positions inside a row to hide.
    lengths: list
    sequence: int
    # Deviation of the embedding tables. Small ones make the epsilon of the first LayerNorm visible.
    embedding_std: float
    masked: dict = field(default_factory=dict)
    # Deviation of a dense weight, times the square root of hidden_size.
    gain: float = 1.7
    # Without the layers' outputs and the attention probabilities: this fixture is part of the binary.
    slim: bool = False


FIXTURES = [
    Fixture(
        "tiny-erf",
        BertModel,
        dict(vocab_size=99, hidden_size=30, num_hidden_layers=3, num_attention_heads=5, intermediate_size=37,
             max_position_embeddings=32, type_vocab_size=2, hidden_act="gelu", layer_norm_eps=1e-12),
        lengths=[13, 9, 4, 11], sequence=13, embedding_std=0.02,
    ),
    Fixture(
        "tiny-tanh",
        BertModel,
        dict(vocab_size=101, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=50,
             max_position_embeddings=40, type_vocab_size=2, hidden_act="gelu_new", layer_norm_eps=1e-5),
        lengths=[7, 7, 3, 5, 6], sequence=7, embedding_std=0.03,
    ),
    Fixture(
        "tiny-relu",
        BertModel,
        dict(vocab_size=61, hidden_size=12, num_hidden_layers=4, num_attention_heads=3, intermediate_size=29,
             max_position_embeddings=17, type_vocab_size=3, hidden_act="relu", layer_norm_eps=1e-12),
        lengths=[9, 17, 12], sequence=17, embedding_std=0.3, masked={1: [3, 4, 10], 2: [0]},
    ),
    Fixture(
        "tiny-pytorch-tanh",
        BertModel,
        dict(vocab_size=53, hidden_size=20, num_hidden_layers=1, num_attention_heads=2, intermediate_size=71,
             max_position_embeddings=11, type_vocab_size=2, hidden_act="gelu_pytorch_tanh", layer_norm_eps=0.01),
        lengths=[11, 2, 6], sequence=11, embedding_std=0.1, gain=2.6,
    ),
    # The proof of a device: a row longer than the tiles of GPU kernels, one of a single token, odd sizes throughout.
    Fixture(
        "proof",
        BertModel,
        dict(vocab_size=67, hidden_size=33, num_hidden_layers=2, num_attention_heads=3, intermediate_size=41,
             max_position_embeddings=135, type_vocab_size=2, hidden_act="gelu", layer_norm_eps=1e-12),
        lengths=[131, 1, 19], sequence=131, embedding_std=0.1, slim=True,
    ),
    Fixture(
        "tiny-mlm",
        BertForMaskedLM,
        dict(vocab_size=83, hidden_size=28, num_hidden_layers=2, num_attention_heads=7, intermediate_size=33,
             max_position_embeddings=19, type_vocab_size=2, hidden_act="gelu", layer_norm_eps=1e-12),
        lengths=[12, 7, 10], sequence=12, embedding_std=0.2,
    ),
    Fixture(
        "tiny-pretraining",
        BertForPreTraining,
        dict(vocab_size=194, hidden_size=18, num_hidden_layers=2, num_attention_heads=3, intermediate_size=25,
             max_position_embeddings=48, type_vocab_size=2, hidden_act="gelu", layer_norm_eps=1e-12),
        lengths=[10, 6, 9, 8], sequence=10, embedding_std=0.2, gain=1.2,
    ),
    Fixture(
        "tiny-silu",
        BertModel,
        dict(vocab_size=59, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=43,
             max_position_embeddings=15, type_vocab_size=2, hidden_act="silu", layer_norm_eps=1e-12),
        lengths=[10, 4, 7], sequence=10, embedding_std=0.2, gain=2.2,
    ),
    Fixture(
        "tiny-quick-gelu",
        BertModel,
        dict(vocab_size=67, hidden_size=22, num_hidden_layers=2, num_attention_heads=2, intermediate_size=41,
             max_position_embeddings=14, type_vocab_size=2, hidden_act="quick_gelu", layer_norm_eps=1e-12),
        lengths=[9, 5, 8, 3], sequence=9, embedding_std=0.2, gain=2.2,
    ),
    Fixture(
        "tiny-untied",
        BertForMaskedLM,
        dict(vocab_size=79, hidden_size=26, num_hidden_layers=2, num_attention_heads=2, intermediate_size=31,
             max_position_embeddings=18, type_vocab_size=2, hidden_act="swish", layer_norm_eps=1e-12,
             tie_word_embeddings=False),
        lengths=[11, 6, 9], sequence=11, embedding_std=0.2,
    ),
    Fixture(
        "tiny-untied-pretraining",
        BertForPreTraining,
        dict(vocab_size=73, hidden_size=20, num_hidden_layers=1, num_attention_heads=4, intermediate_size=27,
             max_position_embeddings=16, type_vocab_size=2, hidden_act="quick_gelu", layer_norm_eps=1e-12,
             tie_word_embeddings=False),
        lengths=[8, 5, 7, 6], sequence=8, embedding_std=0.2, gain=1.2,
    ),
]


def perturbed(fixture, dtype=torch.float32):
    """The model with every parameter drawn afresh: at BERT's own initialisation too many mistakes go unseen."""
    config = BertConfig(**fixture.config, pad_token_id=PAD, attn_implementation="eager")
    model = fixture.model(config)
    redraw(fixture, model, fixture.gain)
    return model.eval().to(dtype)


def redraw(fixture, model, gain):
    """Draws every parameter afresh; `gain` is the deviation of a dense weight, times the square root of hidden_size."""
    spread = gain / np.sqrt(model.config.hidden_size)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            numbers = Seeded(f"{fixture.name}/{name}")
            owner = model.get_submodule(name.rpartition(".")[0])
            if isinstance(owner, torch.nn.LayerNorm) and name.endswith("weight"):
                value = numbers.normal(parameter.shape, mean=1.0, std=0.2)
            elif name.endswith("bias"):
                value = numbers.normal(parameter.shape, std=0.1)
            elif isinstance(owner, torch.nn.Embedding) and "embeddings" in name:
                value = numbers.normal(parameter.shape, std=fixture.embedding_std)
            else:
                value = numbers.normal(parameter.shape, std=spread)
            parameter.copy_(torch.from_numpy(value))


def inputs(fixture):
    """Token ids (0 only as padding), segments in runs, the mask."""
    numbers = Seeded(f"{fixture.name}/inputs")
    shape = (len(fixture.lengths), fixture.sequence)
    ids = numbers.integers(1, fixture.config["vocab_size"], shape)
    mask = np.zeros(shape, dtype=np.int64)
    types = np.zeros(shape, dtype=np.int64)
    for row, length in enumerate(fixture.lengths):
        ids[row, length:] = PAD
        mask[row, :length] = 1
        mask[row, fixture.masked.get(row, [])] = 0
        for position in range(length):
            types[row, position] = position * fixture.config["type_vocab_size"] // length
    return {
        "input_ids": torch.from_numpy(ids),
        "token_type_ids": torch.from_numpy(types),
        "attention_mask": torch.from_numpy(mask),
    }


def loss_weights(fixture, batch, hidden):
    """What the scalar loss weighs outputs of width `hidden` with: zero wherever a position is masked."""
    mask = batch["attention_mask"].double().unsqueeze(-1)
    rows, sequence = batch["input_ids"].shape
    first = Seeded(f"{fixture.name}/loss_weights.sequence").normal((rows, sequence, hidden))
    second = Seeded(f"{fixture.name}/loss_weights.pooled").normal((rows, hidden))
    return torch.from_numpy(first) * mask, torch.from_numpy(second)


def labels(fixture, batch):
    """MLM labels at about a third of the real positions, -100 (ignored) elsewhere; next-sentence labels 0 and 1."""
    numbers = Seeded(f"{fixture.name}/labels")
    rows, sequence = batch["input_ids"].shape
    mlm = torch.from_numpy(numbers.integers(1, fixture.config["vocab_size"], (rows, sequence)))
    chosen = torch.from_numpy(numbers.integers(0, 3, (rows, sequence))) == 0
    chosen[:, 1] = True
    mlm = torch.where(chosen & (batch["attention_mask"] == 1), mlm, torch.full_like(mlm, -100))
    return mlm, torch.arange(rows) % 2


def put_layers(record, output):
    """Embeddings output and every layer's output and attention probabilities."""
    for index, value in enumerate(output.hidden_states):
        record[f"hidden_states.{index}"] = value
    for index, value in enumerate(output.attentions):
        record[f"attentions.{index}"] = value


def reference(fixture, model):
    """Everything the float64 model computes for the batch, and the gradient of every parameter."""
    batch = inputs(fixture)
    record = dict(batch)
    model.zero_grad()
    if fixture.model is BertModel:
        output = model(**batch, output_hidden_states=True, output_attentions=True)
        if not fixture.slim:
            put_layers(record, output)
            record["embeddings"] = output.hidden_states[0]
        loss = put_outputs(record, output, loss_weights(fixture, batch, fixture.config["hidden_size"]))
    else:
        mlm, next_sentence = labels(fixture, batch)
        record["labels"] = mlm
        wanted = {"labels": mlm}
        if fixture.model is BertForPreTraining:
            wanted["next_sentence_label"] = record["next_sentence_label"] = next_sentence
        output = model(**batch, **wanted, output_hidden_states=True, output_attentions=True)
        loss = output.loss
        put_layers(record, output)
        record["embeddings"] = output.hidden_states[0]
        record["sequence_output"] = output.hidden_states[-1]
        logits = output.logits if fixture.model is BertForMaskedLM else output.prediction_logits
        record["logits"] = logits
        cross_entropy = torch.nn.functional.cross_entropy
        record["mlm_loss"] = cross_entropy(logits.flatten(0, 1), mlm.flatten(), ignore_index=-100)
        if fixture.model is BertForPreTraining:
            record["next_sentence_logits"] = output.seq_relationship_logits
            record["next_sentence_loss"] = cross_entropy(output.seq_relationship_logits, next_sentence)
            record["pooled_output"] = model.bert(**batch).pooler_output
    put_gradients(record, model, loss)
    return detached(record)


def put_gradients(record, model, loss):
    """The loss, and the gradient of every parameter that has a part in it."""
    loss.backward()
    record["loss"] = loss
    table = model.get_input_embeddings().weight
    own = next(name for name, parameter in model.named_parameters(remove_duplicate=False)
               if parameter is table and name.endswith("embeddings.weight"))
    for name, parameter in model.named_parameters():
        # A tied decoder that comes first in the class does not name the table.
        name = own if parameter is table else name
        # Beside an untied decoder, `cls.predictions.bias` plays no part.
        if parameter.grad is not None:
            record[f"grad.{name}"] = parameter.grad


def detached(record):
    """Values of a record for a file."""
    return {name: value.detach().clone().contiguous() for name, value in record.items()}


def put_outputs(record, output, weights):
    """Outputs of an encoder and the weights of its scalar loss; the loss itself is returned."""
    first, second = weights
    record["sequence_output"], record["pooled_output"] = output.last_hidden_state, output.pooler_output
    record["loss_weights.sequence"], record["loss_weights.pooled"] = first, second
    return (output.last_hidden_state * first).sum() + (output.pooler_output * second).sum()


def prove_it_would_tell(fixture, model, record):
    """A fixture that also passes with a mistake in the code proves nothing: make the usual ones and see them."""
    batch = inputs(fixture)
    real = batch["attention_mask"].bool()
    backbone = model if fixture.model is BertModel else model.bert
    right = record["sequence_output"]

    def difference(change, **overrides):
        other = perturbed(replace(fixture, config={**fixture.config, **change}), torch.float64)
        other = other if fixture.model is BertModel else other.bert
        with torch.no_grad():
            wrong = other(**{**batch, **overrides}).last_hidden_state
        return (wrong - right)[real].abs().max().item()

    with torch.no_grad():
        assert torch.equal(backbone(**batch).last_hidden_state, right)
    ids, types, mask = batch["input_ids"], batch["token_type_ids"], batch["attention_mask"]
    found = {
        "mask ignored": difference({}, attention_mask=torch.ones_like(mask)),
        "segments ignored": difference({}, token_type_ids=torch.zeros_like(types)),
        "positions shifted": difference({}, position_ids=(torch.arange(ids.shape[1]) + 1).unsqueeze(0) % ids.shape[1]),
        "heads": difference({"num_attention_heads": 1}),
    }
    act = fixture.config["hidden_act"]
    own = {"gelu_pytorch_tanh": "gelu_new", "swish": "silu"}.get(act, act)
    others = ("gelu", "gelu_new", "relu")
    if own in ("silu", "quick_gelu"):
        others += ("silu", "quick_gelu")
    for act in others:
        if act != own:
            found[f"activation {act}"] = difference({"hidden_act": act})
    for eps in (1e-12, 1e-5):
        visible = fixture.embedding_std <= 0.03 or fixture.config["layer_norm_eps"] > 1e-3
        if eps != fixture.config["layer_norm_eps"] and visible:
            found[f"epsilon {eps}"] = difference({"layer_norm_eps": eps})
    if not fixture.config.get("tie_word_embeddings", True):
        head, logits = model.cls.predictions, record["logits"]
        with torch.no_grad():
            transformed = head.transform(right)
            table = model.bert.embeddings.word_embeddings.weight
            tied = torch.nn.functional.linear(transformed, table, head.decoder.bias)
            other_bias = torch.nn.functional.linear(transformed, head.decoder.weight, head.bias)
        found["decoder tied"] = (tied - logits)[real].abs().max().item()
        found["the bias of a tied decoder"] = (other_bias - logits)[real].abs().max().item()
    assert_visible(fixture, found)


def assert_visible(fixture, found):
    """Every mistake in `found` changes an output by more than rounding does."""
    blind = {mistake: size for mistake, size in found.items() if not size >= 5e-4}
    assert not blind, f"{fixture.name} can't tell: {blind}"
    smallest = min(found, key=found.get)
    print(f"  {fixture.name}: the mistake that shows least is '{smallest}', by {found[smallest]:.1e}")


# Texts for the checkpoint that comes with a vocabulary; the fourth is longer than its 48 positions.
TEXTS = [
    "The cat sat on the mat.",
    "A quick brown fox jumps over the lazy dog",
    "na\u00efve caf\u00e9 \u6211\u7231\u5317\u4eac \U0001f355!",
    "the old river bank " * 15,
    "",
    "Paris",
]
MASKED_TEXTS = ["The cat [MASK] on the mat.", "the [MASK] of the [MASK]"]


def text_reference(out, model):
    """Embeddings and mask fillings straight from text, for tests of the whole walk."""
    directory = out / "tiny-pretraining"
    shutil.copyfile(out / "tokenizer" / "vocab.txt", directory / "vocab.txt")
    config = {"do_lower_case": True, "model_max_length": 48, "tokenizer_class": "BertTokenizer"}
    write_bytes(directory / "tokenizer_config.json", (json.dumps(config, indent=2) + "\n").encode())
    tokenizer = BertTokenizer.from_pretrained(directory)
    assert len(tokenizer) == model.config.vocab_size
    texts = []
    with torch.no_grad():
        for text in TEXTS:
            encoded = tokenizer(text, truncation=True, max_length=48, return_tensors="pt")
            output = model.bert(**encoded)
            tokens = output.last_hidden_state[0]
            mean = tokens.mean(0)
            texts.append({
                "text": text,
                "ids": encoded["input_ids"][0].tolist(),
                "cls": tokens[0].tolist(),
                "mean": mean.tolist(),
                "mean_normalized": (mean / mean.norm()).tolist(),
                "max": tokens.max(0).values.tolist(),
                "pooler": output.pooler_output[0].tolist(),
            })
    fills = fillings(tokenizer, MASKED_TEXTS, lambda encoded: model(**encoded).prediction_logits)
    about = "float64; the whole text through tiny-pretraining, [CLS] and [SEP] included in the pooling, at most 48 tokens"
    write_sections(directory / "text_reference.json", {"about": about, "texts": texts, "fill_mask": fills})


def fillings(tokenizer, texts, logits_of):
    """The likeliest tokens for the masks of some texts."""
    fills = []
    for text in texts:
        encoded = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            probabilities = logits_of(encoded)[0].softmax(-1)
        for position in (encoded["input_ids"][0] == tokenizer.mask_token_id).nonzero().flatten().tolist():
            top = probabilities[position].topk(5)
            fills.append({
                "text": text,
                "position": position,
                "tokens": tokenizer.convert_ids_to_tokens(top.indices.tolist()),
                "probabilities": top.values.tolist(),
            })
    return fills


def write_checkpoint(model, directory, **options):
    """config.json and model.safetensors as transformers writes them, in an otherwise empty directory."""
    if directory.exists():
        shutil.rmtree(directory)
    model.save_pretrained(directory, **options)
    # Only generative heads write it; it says nothing about the weights.
    (directory / "generation_config.json").unlink(missing_ok=True)


def write_reference(directory, record, finite=True):
    """reference.safetensors, once every value is a number where all are to be."""
    for name, value in record.items():
        assert not finite or torch.isfinite(value).all(), name
    write_bytes(directory / "reference.safetensors", save(record))


def write_all(out):
    """Every golden model."""
    for fixture in FIXTURES:
        directory = Path(out) / fixture.name
        write_checkpoint(perturbed(fixture), directory)
        model = perturbed(fixture, torch.float64)
        record = reference(fixture, model)
        prove_it_would_tell(fixture, model, record)
        write_reference(directory, record)
        if fixture.name == "tiny-pretraining":
            text_reference(Path(out), model)
