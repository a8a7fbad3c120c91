"""Fine-tunes the same checkpoint on the same examples with `bert finetune` and with transformers' Trainer.

    python compare.py --data DATA --model DIR --work DIR [--bert target/release/bert] [--device libtorch]
                      [--tasks mrpc,rte,…] [--model-of resume-ner=DIR …] [--seeds 3] [--threads 2]
                      [--sides bert,transformers] [--table]

DATA holds the published data sets, a directory each (glue, conll2003, resume-ner, squadshifts, squad-dev).
Every task is first written in a neutral form into WORK, which both sides read; both keep the model of their last step,
and `bert evaluate` scores both.
The first seed of every task comes first, the long tasks last.
A finished run is a line of WORK/results.jsonl; when the script is started again it goes on with what is missing.
The table is printed as Markdown, with --table that of what there is so far; its seconds are processor time.
"""

import argparse
import csv
import gzip
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

#       name: (task, metric, hyper-parameters)
SMALL = dict(epochs=2, batch_size=32, lr=5e-5, max_length=128)
TASKS = {
    "mrpc": ("pair", "f1", SMALL),
    "rte": ("pair", "accuracy", SMALL),
    "cola": ("classify", "matthews_correlation", SMALL),
    "stsb": ("regress", "spearmanr", SMALL),
    "sst2": ("classify", "accuracy", SMALL | dict(epochs=1)),
    "conll2003": ("tokens", "f1", SMALL | dict(epochs=1)),
    # From a small model that has read little, which needs more steps at a higher rate.
    "resume-ner": ("tokens", "f1", SMALL | dict(epochs=10, lr=5e-4)),
    "squad": ("qa", "f1", dict(epochs=2, batch_size=16, lr=5e-5, max_length=256)),
}
SEVERAL_SEEDS = ("mrpc", "rte", "cola", "stsb")
LAST = ("squad", "resume-ner")
SST2_ROWS, QUESTIONS, DEV_QUESTIONS = 10_000, 3_000, 1_000


def table(path, text, pair, label, header=True):
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    if header:
        at = {name: index for index, name in enumerate(rows[0])}
        text, pair, label, rows = at[text], pair and at[pair], at[label], rows[1:]
    for row in rows:
        item = {"text": row[text], "label": row[label]}
        if pair is not None:
            item["pair"] = row[pair]
        yield item


def conll(path, word, tag, read=open):
    sentence, sentences = [], []
    with read(path, "rt", encoding="utf-8") as file:
        for line in list(file) + [""]:
            fields = line.split()
            if fields and fields[0] != "-DOCSTART-":
                sentence.append((fields[word], fields[tag]))
            elif sentence:
                sentences.append(sentence)
                sentence = []
    return sentences


def iob2(tags):
    """IOB1 or BMES as IOB2."""
    made, previous = [], "O"
    for tag in tags:
        kind, _, name = tag.partition("-")
        if kind in ("M", "E"):
            made.append(f"I-{name}")
        elif kind in ("B", "S"):
            made.append(f"B-{name}")
        elif kind == "I":
            made.append(tag if previous.partition("-")[2] == name else f"B-{name}")
        else:
            made.append("O")
        previous = tag
    return made


def squad(paths, count, seed):
    """`count` questions by chance, with their paragraphs."""
    paragraphs = []
    for path in paths:
        for article in json.load(open(path, encoding="utf-8"))["data"]:
            paragraphs += article["paragraphs"]
    every = [(index, question) for index, paragraph in enumerate(paragraphs) for question in paragraph["qas"]]
    chosen = random.Random(seed).sample(every, count)
    by_paragraph = {}
    for index, question in chosen:
        by_paragraph.setdefault(index, []).append(question)
    kept = [{"context": paragraphs[index]["context"], "qas": questions}
            for index, questions in sorted(by_paragraph.items())]
    return {"version": "1.1", "data": [{"title": "sample", "paragraphs": kept}]}


def prepare(name, data, work):
    """The files of a task in neutral form: training, evaluation."""
    glue = data / "glue"
    sources = {
        "mrpc": lambda part: table(glue / f"MRPC/{part}.tsv", "#1 String", "#2 String", "Quality"),
        "rte": lambda part: table(glue / f"RTE/{part}.tsv", "sentence1", "sentence2", "label"),
        "cola": lambda part: table(glue / f"CoLA/{part}.tsv", 3, None, 1, header=False),
        "stsb": lambda part: table(glue / f"STS-B/{part}.tsv", "sentence1", "sentence2", "score"),
        "sst2": lambda part: table(glue / f"SST-2/{part}.tsv", "sentence", None, "label"),
    }
    if name in sources:
        files = [work / f"{name}.{part}.jsonl" for part in ("train", "dev")]
        for file, part in zip(files, ("train", "dev")):
            rows = list(sources[name](part))
            if name == "sst2" and part == "train":
                rows = random.Random(0).sample(rows, SST2_ROWS)
            file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return files
    if name == "squad":
        files = [work / f"{name}.{part}.json" for part in ("train", "dev")]
        files[0].write_text(json.dumps(squad(sorted((data / "squadshifts").glob("*.json")), QUESTIONS, 0)))
        files[1].write_text(json.dumps(squad([data / "squad-dev/dev-v1.1.json"], DEV_QUESTIONS, 0)))
        return files
    parts = {
        "conll2003": [(data / "conll2003" / file, 0, 3) for file in ("eng.train", "eng.testa")],
        "resume-ner": [(data / "resume-ner" / file, 0, 1) for file in ("train.char.bmes", "dev.char.bmes")],
    }[name]
    files = [work / f"{name}.{part}.conll" for part in ("train", "dev")]
    for file, (path, word, tag) in zip(files, parts):
        lines = []
        for sentence in conll(path, word, tag, gzip.open if path.suffix == ".gz" else open):
            tags = iob2([tag for _, tag in sentence])
            lines += [f"{word} {tag}" for (word, _), tag in zip(sentence, tags)] + [""]
        file.write_text("\n".join(lines), encoding="utf-8")
    return files


def environment_of(threads):
    """The environment of programs that compute on `threads` threads."""
    names = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "MKL_NUM_THREADS")
    return os.environ | {name: str(threads) for name in names}


def run(command, environment):
    """What the command prints, and the seconds of processor time that it takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def fine_tune(args, side, name, train, seed, out, environment):
    """Writes the model into `out`, and gives the seconds of processor time."""
    task, _, numbers = TASKS[name]
    options = [word for key, value in numbers.items() for word in (f"--{key.replace('_', '-')}", value)]
    options += ["--model", args.model_of.get(name, args.model), "--train", train, "--out", out, "--task", task, "--seed", seed,
                "--warmup-share", 0.1]
    if side == "bert":
        if task in ("classify", "pair"):  # sorted, as in trainer.py: the last is the one that F1 is of
            rows = map(json.loads, train.read_text(encoding="utf-8").splitlines())
            options += ["--labels", ",".join(sorted({row["label"] for row in rows}))]
        command = [args.bert, "finetune", *options, *columns(train), "--recipe", "hf", "--device", args.device,
                   "--no-dashboard"]
    else:
        command = [sys.executable, HERE / "trainer.py", *options, "--threads", args.threads]
    return run(command, environment)[1]


def columns(file):
    """How `bert` is told which columns pairs of texts are in."""
    with open(file, encoding="utf-8") as lines:
        pairs = file.suffix == ".jsonl" and "pair" in json.loads(next(lines))
    return ["--text-column", "text", "--pair-column", "pair", "--label-column", "label"] if pairs else []


def evaluate(args, model, dev, environment):
    scores, _ = run([args.bert, "evaluate", "--model", model, "--data", dev, *columns(dev), "--device", args.device,
                     "--json"], environment)
    return json.loads(scores.splitlines()[-1])


def print_table(names, done):
    print("| task | metric | seeds | bert | transformers | seconds of bert | of transformers |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in names:
        metric = TASKS[name][1]
        cells = {}
        for side in ("bert", "transformers"):
            rows = [row for row in done if (row["task"], row["side"]) == (name, side)]
            values = [100 * row["scores"][metric] if row["scores"][metric] <= 1 else row["scores"][metric]
                      for row in rows]
            spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
            cells[side] = (f"{statistics.mean(values):.2f}{spread}" if values else "",
                           f"{statistics.mean(row['seconds'] for row in rows):.0f}" if values else "", len(values))
        ours, theirs = cells["bert"], cells["transformers"]
        seeds = ours[2] if ours[2] == theirs[2] else f"{ours[2]}, {theirs[2]}"
        print(f"| {name} | {metric} | {seeds} | {ours[0]} | {theirs[0]} | {ours[1]} | {theirs[1]} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--model-of", metavar="TASK=DIR", action="append", default=[],
                        help="another checkpoint for a task; may be repeated")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--bert", type=Path, default=Path("target/release/bert"))
    parser.add_argument("--device", default="libtorch")
    parser.add_argument("--tasks", default="mrpc,rte,cola,stsb,sst2,conll2003,squad")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--sides", default="bert,transformers", help="run only one of them")
    parser.add_argument("--table", action="store_true", help="run nothing, print the table of what there is")
    args = parser.parse_args()
    names = args.tasks.split(",")
    args.model_of = dict(item.split("=", 1) for item in args.model_of)
    if unknown := {*names, *args.model_of} - {*TASKS}:
        parser.error(f"no such task: {', '.join(unknown)}; there are {', '.join(TASKS)}")
    args.work.mkdir(parents=True, exist_ok=True)
    environment = environment_of(args.threads)
    results = args.work / "results.jsonl"
    done = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []

    runs = [(name, seed) for seed in range(1, args.seeds + 1) for name in names
            if seed == 1 or name in SEVERAL_SEEDS]
    for name, seed in [] if args.table else sorted(runs, key=lambda one: one[0] in LAST):
        train, dev = prepare(name, args.data, args.work)
        for side in args.sides.split(","):
            if any((row["task"], row["seed"], row["side"]) == (name, seed, side) for row in done):
                continue
            out = args.work / "model"
            shutil.rmtree(out, ignore_errors=True)
            seconds = fine_tune(args, side, name, train, seed, out, environment)
            row = dict(task=name, seed=seed, side=side, seconds=round(seconds, 1),
                       scores=evaluate(args, out, dev, environment))
            done.append(row)
            with open(results, "a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), file=sys.stderr)
    print_table(names, done)


if __name__ == "__main__":
    main()
