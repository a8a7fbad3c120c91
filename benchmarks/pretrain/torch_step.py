"""Pretraining steps in PyTorch: the peer of `bert pretrain train`.

BERT with both heads, masked positions gathered before the vocabulary projection (as ours does, and unlike
transformers' own BertForPreTraining, which projects every token; --all-positions measures that), dropout 0.1,
AdamW with the `hf` recipe, gradients clipped. The data are random ids of the same shape, so that only the step counts.

    python torch_step.py --preset tiny --vocab 8000 --batch 32 --seq 128 --predictions 20 --threads 2
"""

import argparse
import json
import statistics
import time

import torch
from transformers import BertConfig, BertForPreTraining

SIZES = {"tiny": (2, 128), "mini": (4, 256), "small": (4, 512), "medium": (8, 512), "base": (12, 768)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--preset", choices=SIZES, default="tiny")
    parser.add_argument("--vocab", type=int, default=8000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seq", type=int, default=128)
    parser.add_argument("--predictions", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--all-positions", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    layers, hidden = SIZES[args.preset]
    config = BertConfig(
        vocab_size=args.vocab,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        intermediate_size=4 * hidden,
    )
    model = BertForPreTraining(config).train()
    decay = [p for n, p in model.named_parameters() if not (n.endswith("bias") or "LayerNorm" in n)]
    rest = [p for n, p in model.named_parameters() if n.endswith("bias") or "LayerNorm" in n]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}], lr=1e-4
    )
    ids = torch.randint(5, args.vocab, (args.batch, args.seq))
    types = (torch.arange(args.seq) >= args.seq // 2).long().expand(args.batch, -1)
    mask = torch.ones_like(ids)
    columns = torch.stack([torch.randperm(args.seq)[: args.predictions].sort().values for _ in range(args.batch)])
    positions = (columns + torch.arange(args.batch)[:, None] * args.seq).flatten()
    labels = torch.randint(5, args.vocab, positions.shape)
    all_labels = torch.full((args.batch * args.seq,), -100)
    all_labels[positions] = labels
    next_sentence = torch.randint(0, 2, (args.batch,))
    loss_function = torch.nn.functional.cross_entropy

    def step():
        output = model.bert(ids, attention_mask=mask, token_type_ids=types)
        sequence = output.last_hidden_state.flatten(0, 1)
        if args.all_positions:
            mlm = loss_function(model.cls.predictions(sequence), all_labels)
        else:
            mlm = loss_function(model.cls.predictions(sequence[positions]), labels)
        nsp = loss_function(model.cls.seq_relationship(output.pooler_output), next_sentence)
        (mlm + nsp).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(5):
        step()
    seconds = []
    for _ in range(args.steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    print(
        json.dumps(
            {
                "torch": torch.__version__,
                "preset": args.preset,
                "batch": args.batch,
                "seq": args.seq,
                "median_step_s": median,
                "sequences_per_second": args.batch / median,
                "tokens_per_second": args.batch * args.seq / median,
            }
        )
    )


if __name__ == "__main__":
    main()
