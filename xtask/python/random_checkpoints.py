#!/usr/bin/env python3
"""Compares the command with transformers on random checkpoints of every family, of sizes and seeds that no fixture has.

Vectors, probabilities of classes and fillings of masks are compared; models that tag words and answer questions are run.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")
sys.dont_write_bytecode = True

import numpy as np
import torch
import transformers
from transformers import AutoTokenizer

FIXTURES = Path(__file__).resolve().parents[2] / "bert-core/fixtures"
FAMILIES = {
    "bert": "Bert", "roberta": "Roberta", "xlm-roberta": "XLMRoberta", "camembert": "Camembert", "distilbert": "DistilBert",
    "electra": "Electra", "albert": "Albert", "modernbert": "ModernBert",
    "nomic_bert": "NomicBert",
}
# Fixtures whose tokenizer a family has, where its own has none.
TOKENIZERS = {"bert": "tiny-pretraining", "nomic_bert": "tiny-pretraining"}
HEADS = ["Model", "ForSequenceClassification", "ForMaskedLM", "ForTokenClassification", "ForQuestionAnswering"]
# Families whose tokens have segments.
SEGMENTS = {"bert", "electra", "albert", "nomic_bert"}
TOKENIZER_FILES = ["tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt", "special_tokens_map.json"]
TEXTS = [
    "The cat sat on the mat.", "A quick brown fox jumps over the lazy dog, twice", "Paris",
    "the old river bank the old river bank the old river bank the cat",
]
QUESTION = {"question": "Who sat?", "context": "The cat sat on the mat."}
LABELS = ["O", "B-X", "I-X"]
BAR = 1e-4


def fields_of(family, head, seed, tokenizer):
    """Fields of config.json: sizes by chance, and the points in which members of a family differ."""
    pick = random.Random(f"{family} {seed}").choice
    heads, width = pick([2, 3, 4, 6]), pick([6, 8, 10, 16])
    sizes = {"hidden_size": heads * width, "num_hidden_layers": pick([1, 2, 3, 5]), "num_attention_heads": heads,
             "intermediate_size": pick([29, 40, 61])}
    if family == "distilbert":
        sizes = dict(zip(["dim", "n_layers", "n_heads", "hidden_dim"], sizes.values()))
    fields = {**sizes, "vocab_size": len(tokenizer), "max_position_embeddings": pick([64, 77]), "initializer_range": 0.3,
              "pad_token_id": tokenizer.pad_token_id}
    if family in ("electra", "albert"):
        fields["embedding_size"] = pick([heads * width, 12, 20])
    if family == "albert" and fields["num_hidden_layers"] == 2:
        fields["num_hidden_groups"] = 2
    if family in ("roberta", "xlm-roberta", "camembert"):
        fields["type_vocab_size"] = pick([1, 2])
    if family == "modernbert":
        fields |= {"local_attention": pick([4, 8, 128]), "global_attn_every_n_layers": pick([2, 3]),
                   "classifier_pooling": pick(["cls", "mean"])}
        fields |= {key: pick([True, False]) for key in ("attention_bias", "mlp_bias", "norm_bias", "classifier_bias")}
    if head in ("ForSequenceClassification", "ForTokenClassification"):
        fields |= {"id2label": dict(enumerate(LABELS)), "label2id": {label: at for at, label in enumerate(LABELS)}}
    return fields


def write(directory, family, head, seed):
    """A model with its tokenizer in a directory."""
    source = FIXTURES / TOKENIZERS.get(family, f"{family}/mlm")
    for name in TOKENIZER_FILES:
        if (source / name).exists():
            shutil.copyfile(source / name, directory / name)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    prefix = FAMILIES[family]
    config = getattr(transformers, f"{prefix}Config")(**fields_of(family, head, seed, tokenizer), attn_implementation="eager")
    torch.manual_seed(seed)
    model = getattr(transformers, prefix + head)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(directory)
    return model, tokenizer


def difference(program, directory, family, head, model, tokenizer):
    """How far the command is from transformers; None where it is only run."""

    def output(*arguments, given=""):
        command = [program, *arguments, "--model", str(directory), "--device", "flex"]
        return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout

    def encoded(text):
        both = tokenizer(text, return_tensors="pt")
        return {name: value for name, value in both.items() if name != "token_type_ids" or family in SEGMENTS}

    def rows(*arguments):
        return [json.loads(line) for line in output(*arguments, given="\n".join(TEXTS) + "\n").splitlines()]

    with torch.no_grad():
        if head == "Model":
            found = [row["embedding"] for row in rows("embed", "--pooling", "mean", "--normalize=false")]
            wanted = [model(**encoded(text)).last_hidden_state[0].mean(0) for text in TEXTS]
        elif head == "ForSequenceClassification":
            found = [[row["scores"][label] for label in LABELS] for row in rows("predict")]
            wanted = [model(**encoded(text)).logits[0].softmax(-1) for text in TEXTS]
        elif head == "ForMaskedLM":
            text = f"the {tokenizer.mask_token} of the cat"
            given = encoded(text)
            place = (given["input_ids"][0] == tokenizer.mask_token_id).nonzero()[0, 0]
            fillings = json.loads(output("fill-mask", "--json", text))
            found = [[filling["probability"] for filling in fillings["masks"][0]]]
            wanted = [model(**given).logits[0, place].softmax(-1).topk(len(found[0])).values]
        else:
            output("predict", given=json.dumps(QUESTION) if head == "ForQuestionAnswering" else TEXTS[0])
            return None
    assert len(found) == len(wanted), "a text is left out"
    return max(float(np.abs(np.array(ours) - theirs.numpy()).max()) for ours, theirs in zip(found, wanted))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bert", default="target/release/bert", help="the command")
    parser.add_argument("--seeds", type=int, default=3, help="checkpoints of each family and head")
    arguments = parser.parse_args()
    worst, failed = 0.0, 0
    for family, prefix in FAMILIES.items():
        for head in HEADS:
            if not hasattr(transformers, prefix + head):
                continue
            for seed in range(arguments.seeds):
                with tempfile.TemporaryDirectory() as directory:
                    model, tokenizer = write(Path(directory), family, head, seed)
                    try:
                        found = difference(arguments.bert, directory, family, head, model, tokenizer)
                    except subprocess.CalledProcessError as error:
                        print(f"{prefix}{head}, seed {seed}: {error.stderr.strip()}")
                        failed += 1
                        continue
                if found is None:
                    continue
                worst = max(worst, found)
                if not found < BAR:
                    print(f"{prefix}{head}, seed {seed}: off by {found:.1e}")
                    failed += 1
        print(f"{family}: the largest difference so far is {worst:.1e}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
