"""Compares `bert finetune` with transformers' Trainer step by step.

    python steps.py --data DIR --model DIR --work DIR

Both begin with the same weights, head included, without dropout, and every epoch is one update of the same 32 pairs, so
that neither order nor chance is left: losses may differ by rounding only. The pairs are the first of MRPC, or with
`--task rte` the sixteen longest and the sixteen shortest of RTE, of which the former are cut and the latter padded.
With --dropout P nothing is learnt (a rate of 1e-12): each step draws another loss and another norm of the gradient,
whose means are compared.
Prints a JSON object with the largest difference, or with means and their standard errors.
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess

import compare
import torch
import trainer
from transformers import AutoTokenizer, BertForSequenceClassification, Trainer, TrainingArguments

ROWS = 32


def rows(task, data, work):
    with open(compare.prepare(task, data, work)[0], encoding="utf-8") as file:
        lines = list(file)
    if task == "rte":
        lines.sort(key=len)
        lines = lines[: ROWS // 2] + lines[-ROWS // 2 :]
    lines = lines[:ROWS]
    path = work / "train.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    return path


def theirs(args, begin, train):
    model, examples, collator = trainer.texts(
        argparse.Namespace(train=train, task="pair", max_length=128, model=begin), AutoTokenizer.from_pretrained(begin)
    )
    options = TrainingArguments(
        output_dir=args.work / "theirs", num_train_epochs=args.steps, per_device_train_batch_size=ROWS,
        learning_rate=args.rate, warmup_steps=args.steps // 10, weight_decay=0.01, max_grad_norm=1.0,
        lr_scheduler_type="linear", optim="adamw_torch", seed=args.seed, save_strategy="no", eval_strategy="no",
        logging_strategy="steps", logging_steps=1, report_to="none", disable_tqdm=True, use_cpu=True,
    )
    run = Trainer(model=model, args=options, train_dataset=trainer.Rows(examples), data_collator=collator)
    run.train()
    return [(line["loss"], line["grad_norm"]) for line in run.state.log_history if "loss" in line]


def ours(args, begin, train):
    out = args.work / "ours"
    subprocess.run(
        [args.bert, "finetune", "--task", "pair", "--model", begin, "--train", train, "--out", out, "--epochs",
         str(args.steps), "--batch-size", str(ROWS), "--lr", str(args.rate), "--warmup-share", "0.1", "--max-length",
         "128", "--recipe", "hf", "--seed", str(args.seed), "--log-every", "1", "--device", args.device,
         "--text-column", "text", "--pair-column", "pair", "--label-column", "label", "--no-dashboard"],
        env=compare.environment_of(args.threads), check=True, stdout=subprocess.DEVNULL,
    )
    with open(out / "metrics.jsonl", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return [(line["loss"], line["gradient_norm"]) for line in lines if line["split"] == "train"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=pathlib.Path, required=True, help="as for compare.py")
    parser.add_argument("--model", required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="an empty directory")
    parser.add_argument("--bert", default="bert")
    parser.add_argument("--device", default="libtorch")
    parser.add_argument("--task", choices=["mrpc", "rte"], default="mrpc")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.rate = 1e-12 if args.dropout else 5e-5
    args.work.mkdir(parents=True, exist_ok=True)

    torch.set_num_threads(args.threads)
    train, begin = rows(args.task, args.data, args.work), args.work / "begin"
    with open(train, encoding="utf-8") as file:
        labels = sorted({json.loads(line)["label"] for line in file})
    torch.manual_seed(args.seed)
    model = BertForSequenceClassification.from_pretrained(
        args.model, **trainer.names(labels), hidden_dropout_prob=args.dropout,
        attention_probs_dropout_prob=args.dropout,
    )
    model.save_pretrained(begin)
    AutoTokenizer.from_pretrained(args.model).save_pretrained(begin)

    pairs = list(zip(theirs(args, begin, train), ours(args, begin, train), strict=True))
    if not args.dropout:
        difference = {
            name: max(abs(a[at] - b[at]) for a, b in pairs) for at, name in enumerate(["loss", "gradient_norm"])
        }
        print(json.dumps({"steps": len(pairs), "largest_difference": difference}))
        return
    result = {"steps": len(pairs), "dropout": args.dropout}
    for at, name in enumerate(["loss", "gradient_norm"]):
        for side, values in zip(["transformers", "bert"], zip(*((a[at], b[at]) for a, b in pairs))):
            error = statistics.stdev(values) / math.sqrt(len(values))
            result[f"{name} of {side}"] = {"mean": statistics.mean(values), "standard_error": error}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
