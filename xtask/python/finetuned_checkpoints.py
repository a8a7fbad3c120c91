#!/usr/bin/env python3
"""Fine-tunes random checkpoints of every family for every task with the command, and has transformers load what it saves.

No key may be missing, unexpected or mismatched, texts have the tokens that they had before, and probabilities, numbers,
scores and vectors are those of the command. A task of which transformers has no class must be refused.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import random_checkpoints as checkpoints

import numpy as np
import torch
import transformers
from transformers import AutoTokenizer

LONG = "the old cat sat on the mat near the river bank , " * 9
# Task: class of transformers, name of the file to learn from, and its text.
TASKS = {
    "classify": ("ForSequenceClassification", "a.tsv", "sentence\tlabel\nthe cat\tcat\nthe dog sat\tdog\n"),
    "pair": ("ForSequenceClassification", "a.tsv", "sentence1\tsentence2\tlabel\nthe cat\tsat\tcat\nthe dog\ta mat\tdog\n"),
    "multi-label": ("ForSequenceClassification", "a.tsv", "sentence\tlabel\nthe cat\tcat,dog\nthe dog sat\tdog\n"),
    "regress": ("ForSequenceClassification", "a.tsv", "sentence\tlabel\nthe cat\t1.5\nthe dog sat\t-2\n"),
    "next-sentence": ("ForNextSentencePrediction", "a.tsv", "sentence1\tsentence2\tlabel\nthe cat\tsat\tnext\nthe dog\ta mat\trandom\n"),
    "tokens": ("ForTokenClassification", "a.conll", "the O\ncat O\nin O\nParis B-LOC\n\nthe O\nold O\ndog O\n"),
    "qa": ("ForQuestionAnswering", "a.jsonl", json.dumps({"id": "a", "question": "where ?", "context": "the cat sat",
                                                        "answers": [{"text": "cat", "answer_start": 4}]}) + "\n"),
    "choice": ("ForMultipleChoice", "a.jsonl", '{"context": "the cat", "choices": ["sat", "wrote it"], "label": 0}\n'),
    "similarity": ("Model", "a.tsv", "sentence1\tsentence2\tscore\nthe cat\tthe dog\t4\nthe dog\ta mat\t1\n"),
}
PAIR = ("The cat sat", "on the mat , twice")
CHOICES = {"context": "the cat", "choices": ["sat on the mat", "wrote it"]}


class Walk:
    """One family and the command."""

    def __init__(self, program, family, directory, seed):
        self.program, self.family, self.directory = program, family, Path(directory)
        self.prefix = checkpoints.FAMILIES[family]
        self.base = self.directory / "base"
        self.base.mkdir()
        _, self.tokenizer = checkpoints.write(self.base, family, "ForMaskedLM", seed)

    def run(self, *arguments, given=""):
        """The finished process."""
        return subprocess.run([self.program, *map(str, arguments)], input=given, capture_output=True, text=True)

    def output(self, *arguments, given=""):
        """Lines of JSON on standard output of a run that must succeed."""
        done = self.run(*arguments, given=given)
        if done.returncode != 0:
            raise AssertionError(done.stderr.strip())
        return [json.loads(line) for line in done.stdout.splitlines()]

    def encoded(self, tokenizer, *texts, **options):
        """Arguments of the model for texts; some classes of tokenizers give segments only when asked."""
        both = tokenizer(*texts, return_tensors="pt", return_token_type_ids=True, **options)
        keep = self.family in checkpoints.SEGMENTS
        return {name: value for name, value in both.items() if name != "token_type_ids" or keep}

    def learn(self, task):
        """The directory that a task was learnt into, or None for one that is rightly refused."""
        ending, name, text = TASKS[task]
        data, out = self.directory / f"{task}-{name}", self.directory / task
        data.write_text(text)
        named = ["--task", "classify", "--multi-label"] if task == "multi-label" else ["--task", task]
        done = self.run("finetune", *named, "--model", self.base, "--train", data, "--validation", data, "--out", out,
                        "--steps", 2, "--lr", 1e-3, "--no-dashboard", "--device", "flex")
        if not hasattr(transformers, self.prefix + ending):
            assert done.returncode == 1 and self.prefix + ending in done.stderr, done.stderr
            assert not out.exists(), "half a run is left behind"
            return None
        assert done.returncode == 0, done.stderr
        return out

    def loaded(self, task, out):
        """Model and tokenizer as transformers loads them."""
        kind = getattr(transformers, self.prefix + TASKS[task][0])
        model, info = kind.from_pretrained(out, output_loading_info=True)
        odd = {name: keys for name, keys in info.items() if keys}
        # An encoder of transformers may have a pooler that nothing reads, and that vectors are not made of.
        if task == "similarity" and set(odd) == {"missing_keys"} and all("pooler" in key for key in odd["missing_keys"]):
            odd = {}
        assert not odd, odd
        tokenizer = AutoTokenizer.from_pretrained(out)
        for text in [*checkpoints.TEXTS, f"a {self.tokenizer.mask_token} , caf\u00e9"]:
            assert tokenizer(text)["input_ids"] == self.tokenizer(text)["input_ids"], text
        assert tokenizer(*PAIR)["input_ids"] == self.tokenizer(*PAIR)["input_ids"]
        return model.eval(), tokenizer

    def difference(self, task, out):
        """How far predictions of the command and of transformers are."""
        model, tokenizer = self.loaded(task, out)
        texts = "\n".join(checkpoints.TEXTS) + "\n"
        device = ["--device", "flex"]
        with torch.no_grad():
            if task in ("classify", "multi-label"):
                activation = torch.sigmoid if task == "multi-label" else lambda logits: logits.softmax(-1)
                found = [list(row["scores"].values()) for row in self.output("predict", "--model", out, *device, given=texts)]
                wanted = [activation(model(**self.encoded(tokenizer, text)).logits[0]) for text in checkpoints.TEXTS]
                asked = transformers.pipeline("text-classification", model=str(out), top_k=None)(checkpoints.TEXTS[:1])[0]
                scores = {answer["label"]: answer["score"] for answer in asked}
                found, wanted = [*found, list(found[0])], [*wanted, torch.tensor([scores[name] for name in model.config.id2label.values()])]
            elif task == "regress":
                found = [[row["value"]] for row in self.output("predict", "--model", out, *device, given=texts)]
                wanted = [model(**self.encoded(tokenizer, text)).logits[0] for text in checkpoints.TEXTS]
            elif task in ("pair", "next-sentence"):
                given = "sentence1\tsentence2\n" + "\t".join(PAIR) + "\n"
                data = self.directory / "asked.tsv"
                data.write_text(given)
                found = [list(row["scores"].values()) for row in self.output("predict", "--model", out, *device, data)]
                wanted = [model(**self.encoded(tokenizer, *PAIR)).logits[0].softmax(-1)]
            elif task == "choice":
                found = [row["scores"] for row in
                         self.output("predict", "--model", out, *device, "--format", "jsonl", given=json.dumps(CHOICES))]
                count = len(CHOICES["choices"])
                both = self.encoded(tokenizer, [CHOICES["context"]] * count, CHOICES["choices"], padding=True)
                logits = model(**{name: value[None] for name, value in both.items()}).logits[0]
                wanted = [logits.softmax(-1)]
            elif task == "similarity":
                found = [row["embedding"] for row in
                         self.output("embed", "--model", out, *device, "--normalize=false", given=texts)]
                wanted = [model(**self.encoded(tokenizer, text)).last_hidden_state[0].mean(0) for text in checkpoints.TEXTS]
            elif task == "tokens":
                sentence = ["the", "old", "cat", "sat", "in", "Paris"]
                # Every word follows a space, as in running text, and its first token is tagged.
                words = [tokenizer(f" {word}", add_special_tokens=False)["input_ids"] for word in sentence]
                ids = [tokenizer.cls_token_id, *sum(words, []), tokenizer.sep_token_id]
                logits = model(torch.tensor([ids])).logits[0]
                places = np.cumsum([1, *map(len, words[:-1])])
                first = [logits[place].softmax(-1).max() for place in places]
                rows = self.output("predict", "--model", out, *device, "--words", "--format", "jsonl",
                                   given=json.dumps({"tokens": sentence}))
                found, wanted = [[tag["score"] for tag in rows[0]["tags"]]], [torch.stack(first)]
            else:
                asked = {"question": "where ?", "context": "the cat sat on the mat"}
                rows = self.output("predict", "--model", out, *device, given=json.dumps(asked))
                assert len(rows) == 1
                self.encoded(tokenizer, *asked.values())
                return 0.0
        assert len(found) == len(wanted), "a text is left out"
        return max(float(np.abs(np.array(ours) - theirs.numpy()).max()) for ours, theirs in zip(found, wanted))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bert", default="target/release/bert", help="the command")
    parser.add_argument("--seeds", type=int, default=1, help="checkpoints of each family")
    parser.add_argument("--families", nargs="*", default=list(checkpoints.FAMILIES), help="families to walk through")
    arguments = parser.parse_args()
    failed = 0
    for family in arguments.families:
        worst, refused = 0.0, []
        for seed in range(arguments.seeds):
            with tempfile.TemporaryDirectory() as directory:
                walk = Walk(arguments.bert, family, directory, seed)
                for task in TASKS:
                    try:
                        out = walk.learn(task)
                        if out is None:
                            refused.append(task)
                            continue
                        found = walk.difference(task, out)
                        worst = max(worst, found)
                        assert found < checkpoints.BAR, f"off by {found:.1e}"
                    except Exception as error:
                        print(f"{family} {task}, seed {seed}: {type(error).__name__}: {error}", flush=True)
                        failed += 1
        print(f"{family}: the largest difference is {worst:.1e}; refused: {', '.join(dict.fromkeys(refused)) or 'none'}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
