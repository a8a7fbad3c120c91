"""What a few labelled sentences are worth to a pretrained encoder, and what to do with unlabelled ones.

    python few_labels.py --data DATA --model DIR --masked-lm DIR --work DIR [--bert target/release/bert]
                         [--device libtorch] [--seeds 5] [--steps 50] [--threads 2] [--plot FILE.svg] [--table]

For each seed, some sentences of SST-2 (in DATA/glue) are drawn as labelled examples, others as unlabelled ones, and
`bert finetune` learns from them in several ways, for as many steps each; `bert evaluate` scores the 872 sentences of dev.
A finished run is a line of WORK/few-labels.jsonl; when the script is started again it goes on with what is missing.
The means are printed as a Markdown table, with --table those of what there is so far, and drawn with --plot.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import sys
from pathlib import Path

from compare import environment_of, run, table

LABELLED, UNLABELLED = 200, 2_000
HYPER_PARAMETERS = ["--batch-size", 32, "--lr", 1e-4, "--max-length", 64]
WAYS = {
    "pretrained": "pretrained",
    "from-scratch": "the same network from random weights",
    "unlabelled": "pretrained, with pseudo-labels of 2,000 more",
    "augmented": "pretrained, with two altered copies of each",
}


def draw(glue, work, seed):
    """Files of labelled and of unlabelled sentences, which have none in common."""
    rows = list(table(glue / "SST-2/train.tsv", "sentence", None, "label"))
    rows = list({row["text"]: row for row in rows}.values())
    rows = random.Random(seed).sample(rows, LABELLED + UNLABELLED)
    few, more = work / f"few.{seed}.jsonl", work / f"more.{seed}.txt"
    few.write_text("".join(json.dumps(row) + "\n" for row in rows[:LABELLED]), encoding="utf-8")
    more.write_text("".join(row["text"] + "\n" for row in rows[LABELLED:]), encoding="utf-8")
    return few, more


def learn(args, way, few, more, seed, out, environment):
    """Trains in one of the `WAYS`, and gives the seconds of processor time."""
    train, extra, seconds = few, [], 0.0
    if way == "from-scratch":
        extra = ["--from-scratch"]
    elif way == "unlabelled":
        extra = ["--unlabelled", more, "--confidence", 0.9, "--rounds", 1]
    elif way == "augmented":
        train = few.with_suffix(".augmented.jsonl")
        _, seconds = run([args.bert, "augment", "--model", args.masked_lm, "--data", few, "--copies", 2, "--seed", seed,
                          "--device", args.device, "--output", train], environment)
    command = [args.bert, "finetune", "--task", "classify", "--model", args.model, "--train", train, "--labels", "0,1",
               "--out", out, "--steps", args.steps, *HYPER_PARAMETERS, "--recipe", "hf", "--seed", seed,
               "--device", args.device, "--no-dashboard", *extra]
    return seconds + run(command, environment)[1]


def accuracies(done):
    """Of the ways that have run for more than one seed, in percent."""
    found = {way: [100 * row["accuracy"] for row in done if row["way"] == way] for way in WAYS}
    return {way: values for way, values in found.items() if len(values) > 1}


def print_table(done):
    print(f"| learnt from {LABELLED} labelled sentences | seeds | accuracy on dev | best seed | worst seed |")
    print("| --- | --- | --- | --- | --- |")
    for way, values in accuracies(done).items():
        mean, spread = statistics.mean(values), statistics.stdev(values)
        print(f"| {WAYS[way]} | {len(values)} | {mean:.1f} ± {spread:.1f} | {max(values):.1f} | {min(values):.1f} |")


def plot(done):
    """A dot for each seed and a line at each mean, in SVG that reads on light and on dark pages."""
    left, top, width, row = 330, 24, 420, 44
    found = accuracies(done)
    height = row * len(found)
    low, high = 45, 95
    x = lambda value: left + width * (value - low) / (high - low)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 30} {top + height + 46}" '
             'font-family="sans-serif" font-size="14" fill="#808080" role="img">',
             f"<title>Accuracy on SST-2 dev after learning from {LABELLED} labelled sentences</title>"]
    for value in range(50, high + 1, 10):
        parts.append(f'<line x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{top}" y2="{top + height}" stroke="#80808060"/>'
                     f'<text x="{x(value):.1f}" y="{top + height + 18}" text-anchor="middle">{value}</text>')
    for number, (way, values) in enumerate(found.items()):
        y, mean = top + row * (number + 0.5), statistics.mean(values)
        parts.append(f'<text x="{left - 12}" y="{y + 5:.1f}" text-anchor="end">{WAYS[way]}</text>')
        parts += [f'<circle cx="{x(value):.1f}" cy="{y:.1f}" r="5" fill="#2b7bba" fill-opacity="0.55"/>'
                  for value in values]
        parts.append(f'<line x1="{x(mean):.1f}" x2="{x(mean):.1f}" y1="{y - 13:.1f}" y2="{y + 13:.1f}" '
                     'stroke="#d1495b" stroke-width="3"/>')
    parts.append(f'<text x="{left + width / 2}" y="{top + height + 38}" text-anchor="middle">'
                 'accuracy in %, a dot for each seed, a line at their mean</text></svg>')
    return "\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True, help="the pretrained encoder")
    parser.add_argument("--masked-lm", type=Path, required=True, help="the model that alters copies")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--bert", type=Path, default=Path("target/release/bert"))
    parser.add_argument("--device", default="libtorch")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--table", action="store_true", help="run nothing, show what there is")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    environment = environment_of(args.threads)
    results = args.work / "few-labels.jsonl"
    done = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []

    glue = args.data / "glue"
    dev = args.work / "dev.jsonl"
    rows = table(glue / "SST-2/dev.tsv", "sentence", None, "label")
    dev.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for way in [] if args.table else WAYS:
        for seed in range(1, args.seeds + 1):
            if any((row["seed"], row["way"]) == (seed, way) for row in done):
                continue
            few, more = draw(glue, args.work, seed)
            out = args.work / "model"
            shutil.rmtree(out, ignore_errors=True)
            seconds = learn(args, way, few, more, seed, out, environment)
            scores, _ = run([args.bert, "evaluate", "--model", out, "--data", dev, "--device", args.device, "--json"],
                            environment)
            row = dict(seed=seed, way=way, seconds=round(seconds, 1), accuracy=json.loads(scores)["accuracy"])
            done.append(row)
            with open(results, "a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), file=sys.stderr)
    print_table(done)
    if args.plot:
        args.plot.write_text(plot(done), encoding="utf-8")


if __name__ == "__main__":
    main()
