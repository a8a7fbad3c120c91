"""Fine-tunes the same checkpoint on the same examples with `bert finetune` and with transformers' Trainer.

    python compare.py --data DATA --model DIR --work DIR [--bert target/release/bert] [--device libtorch]
                      [--tasks mrpc,rte,…] [--seeds 3] [--threads 2]

DATA holds the published data sets, a directory each (glue, conll2003, resume-ner, squadshifts, squad-dev).
Every task is first written in a neutral form into WORK, which both sides read; both keep the model of their last step,
and `bert evaluate` scores both.
A finished run is a line of WORK/results.jsonl; when the script is started again it goes on with what is missing.
The table is printed as Markdown.
"""

import argparse
import csv
import gzip
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent

#       name: (task, metric, hyper-parameters)
SMALL = dict(epochs=3, batch_size=32, lr=5e-5, max_length=128)
TASKS = {
    "mrpc": ("pair", "f1", SMALL),
    "rte": ("pair", "accuracy", SMALL),
    "cola": ("classify", "matthews_correlation", SMALL),
    "stsb": ("regress", "spearmanr", SMALL),
    "sst2": ("classify", "accuracy", SMALL | dict(epochs=1)),
    "conll2003": ("tokens", "f1", SMALL | dict(epochs=1)),
    "resume-ner": ("tokens", "f1", SMALL | dict(epochs=3)),
    "squad": ("qa", "f1", dict(epochs=2, batch_size=16, lr=5e-5, max_length=256)),
}
SEVERAL_SEEDS = ("mrpc", "rte", "cola", "stsb")
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


def run(command, environment):
    begun = time.perf_counter()
    done = subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr[-3000:]}")
    return done.stdout, time.perf_counter() - begun


def fine_tune(args, side, name, train, seed, out, environment):
    task, _, numbers = TASKS[name]
    options = [word for key, value in numbers.items() for word in (f"--{key.replace('_', '-')}", value)]
    options += ["--model", args.model, "--train", train, "--out", out, "--task", task, "--seed", seed,
                "--warmup-share", 0.1]
    if side == "bert":
        if task in ("classify", "pair"):  # sorted, as in trainer.py: the last is the one that F1 is of
            rows = map(json.loads, train.read_text(encoding="utf-8").splitlines())
            options += ["--labels", ",".join(sorted({row["label"] for row in rows}))]
        run([args.bert, "finetune", *options, "--recipe", "hf", "--device", args.device, "--no-dashboard"], environment)
        return
    run([sys.executable, HERE / "trainer.py", *options, "--threads", args.threads], environment)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--bert", type=Path, default=Path("target/release/bert"))
    parser.add_argument("--device", default="libtorch")
    parser.add_argument("--tasks", default="mrpc,rte,cola,stsb,sst2,conll2003,squad")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": str(args.threads), "RAYON_NUM_THREADS": str(args.threads),
                                "MKL_NUM_THREADS": str(args.threads)}
    results = args.work / "results.jsonl"
    done = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []

    names = args.tasks.split(",")
    for name in names:
        train, dev = prepare(name, args.data, args.work)
        for seed in range(1, 1 + (args.seeds if name in SEVERAL_SEEDS else 1)):
            for side in ("bert", "transformers"):
                if any((row["task"], row["seed"], row["side"]) == (name, seed, side) for row in done):
                    continue
                out = args.work / "model"
                shutil.rmtree(out, ignore_errors=True)
                begun = time.perf_counter()
                fine_tune(args, side, name, train, seed, out, environment)
                seconds = time.perf_counter() - begun
                scores, _ = run([args.bert, "evaluate", "--model", out, "--data", dev, "--device", args.device,
                                 "--json", *(["--task", "qa"] if name == "squad" else [])], environment)
                row = dict(task=name, seed=seed, side=side, seconds=round(seconds, 1),
                           scores=json.loads(scores.splitlines()[-1]))
                done.append(row)
                with open(results, "a") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), file=sys.stderr)

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
            cells[side] = (f"{statistics.mean(values):.2f}{spread}",
                           f"{statistics.mean(row['seconds'] for row in rows):.0f}", len(values))
        ours, theirs = cells["bert"], cells["transformers"]
        print(f"| {name} | {metric} | {ours[2]} | {ours[0]} | {theirs[0]} | {ours[1]} | {theirs[1]} |")


if __name__ == "__main__":
    main()
