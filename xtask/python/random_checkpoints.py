#!/usr/bin/env python3
"""Compares the command with transformers on random checkpoints of every family, of sizes and seeds that no fixture has.

Vectors, fillings of masks, scores of answers, and probabilities of classes, tags and choices are compared.
"""

import argparse
import json
import os
import random
import shlex
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
    "electra": "Electra", "albert": "Albert", "modernbert": "ModernBert", "nomic_bert": "NomicBert", "gte": "Gte",
    "mpnet": "MPNet", "deberta-v2": "DebertaV2",
}
# Fixtures whose tokenizer a family has, where its own has none.
TOKENIZERS = {"bert": "tiny-pretraining", "nomic_bert": "tiny-pretraining", "gte": "tiny-pretraining"}
HEADS = ["Model", "ForSequenceClassification", "ForMaskedLM", "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice"]
# Families whose tokens have segments, and those whose words carry the space before them.
SEGMENTS = {"bert", "electra", "albert", "nomic_bert", "gte", "deberta-v2"}
BYTE_LEVEL = {"roberta", "modernbert"}
TOKENIZER_FILES = ["tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt", "special_tokens_map.json"]
TEXTS = [
    "The cat sat on the mat.", "A quick brown fox jumps over the lazy dog, twice", "Paris",
    "the old river bank the old river bank the old river bank the cat",
]
QUESTION = {"question": "Who sat?", "context": "The cat sat on the mat."}
CONTEXT, CHOICES = "the old river bank", ["The cat sat on the mat.", "Paris", "a lazy dog"]
WORDS = ["The", "quick", "brown", "dog", "sat", "on", "Paris", "."]
LONGEST_ANSWER = 30
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
    if family == "gte":
        fields |= {"type_vocab_size": pick([0, 2]), "hidden_act": pick(["gelu", "silu"]), "rope_parameters": pick([
            {"rope_type": "default", "rope_theta": 40.0}, {"rope_type": "linear", "rope_theta": 900.0, "factor": 1.25}])}
    if family == "deberta-v2":
        fields |= disentangled(pick, heads * width)
    if head in ("ForSequenceClassification", "ForTokenClassification"):
        fields |= {"id2label": dict(enumerate(LABELS)), "label2id": {label: at for at, label in enumerate(LABELS)}}
    return fields


def disentangled(pick, hidden):
    """Fields of DeBERTa: relative positions or none, a convolution or none, either generation of the masked-LM head."""
    legacy = pick([True, False])
    fields = {"legacy": legacy, "position_biased_input": pick([True, False]), "type_vocab_size": pick([0, 2]),
              "embedding_size": pick([hidden, 14] if legacy else [hidden]), "conv_kernel_size": pick([0, 3, 5]), "conv_act": pick(["gelu", "tanh"]),
              "pooler_hidden_act": pick(["gelu", "tanh"])}
    if pick([True, True, True, False]):
        fields |= {"relative_attention": True, "position_buckets": pick([-1, 6, 16]), "max_relative_positions": pick([-1, 20]),
                   "share_att_key": pick([True, False]), "norm_rel_ebd": pick(["layer_norm", "none"]),
                   "pos_att_type": pick([["p2c", "c2p"], "p2c|c2p", ["c2p"], ["p2c"], []])}
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


def words_with_special_tokens(tokenizer, family):
    """Ids of the words, each by itself, and where each begins."""
    frame = tokenizer("", add_special_tokens=True)["input_ids"]
    ids, first = frame[:1], []
    for word in WORDS:
        first.append(len(ids))
        ids = ids + tokenizer(" " * (family in BYTE_LEVEL) + word, add_special_tokens=False)["input_ids"]
    return torch.tensor([ids + frame[1:]]), first


def best_answer(start, end, context):
    """The highest sum of two scores of tokens of the context that an answer may have."""
    spans = [(i, j) for i in context for j in context if i <= j < i + LONGEST_ANSWER]
    return max(float(start[i] + end[j]) for i, j in spans)


def difference(program, device, directory, family, head, model, tokenizer):
    """How far the command on a device is from transformers."""

    def output(*arguments, given=""):
        command = [*program, *arguments, "--model", str(directory), "--device", device]
        return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout

    def encoded(*texts, **options):
        # Some classes of transformers leave segments out unless they are asked for.
        both = tokenizer(*texts, return_tensors="pt", return_token_type_ids=True, **options)
        return both if family in SEGMENTS else {name: both[name] for name in ("input_ids", "attention_mask")}

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
        elif head == "ForTokenClassification":
            tags = json.loads(output("predict", "--words", "--format", "jsonl", given=json.dumps({"tokens": WORDS}) + "\n"))["tags"]
            found = [[tag["score"] for tag in tags]]
            ids, first = words_with_special_tokens(tokenizer, family)
            wanted = [model(input_ids=ids).logits[0, first].softmax(-1).max(-1).values]
        elif head == "ForQuestionAnswering":
            answer = json.loads(output("predict", given=json.dumps(QUESTION)))
            found = [[answer["no_answer"]]]
            texts = QUESTION["question"], QUESTION["context"]
            context = [at for at, text in enumerate(tokenizer(*texts).sequence_ids()) if text == 1]
            scores = model(**encoded(*texts))
            start, end = scores.start_logits[0], scores.end_logits[0]
            wanted = [torch.tensor([float(start[0] + end[0]) - best_answer(start, end, context)])]
        else:
            choice = json.loads(output("predict", "--format", "jsonl", given=json.dumps({"context": CONTEXT, "choices": CHOICES})))
            found = [choice["scores"]]
            both = encoded([CONTEXT] * len(CHOICES), CHOICES, padding=True)
            wanted = [model(**{name: value[None] for name, value in both.items()}).logits[0].softmax(-1)]
    assert len(found) == len(wanted), "a text is left out"
    return max(float(np.abs(np.array(ours) - theirs.numpy()).max()) for ours, theirs in zip(found, wanted))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bert", default="target/release/bert", help="the command, with a program that starts it if need be")
    parser.add_argument("--devices", default="flex", help="labels, with commas between them")
    parser.add_argument("--seeds", type=int, default=3, help="checkpoints of each family and head")
    parser.add_argument("--family", action="append", choices=FAMILIES, help="only this family")
    arguments = parser.parse_args()
    program, devices = shlex.split(arguments.bert), arguments.devices.split(",")
    worst, failed = dict.fromkeys(devices, 0.0), 0
    for family in arguments.family or FAMILIES:
        prefix = FAMILIES[family]
        for head in HEADS:
            if not hasattr(transformers, prefix + head):
                continue
            for seed in range(arguments.seeds):
                with tempfile.TemporaryDirectory() as directory:
                    model, tokenizer = write(Path(directory), family, head, seed)
                    for device in devices:
                        what = f"{prefix}{head}, seed {seed}, {device}"
                        try:
                            found = difference(program, device, directory, family, head, model, tokenizer)
                        except subprocess.CalledProcessError as error:
                            print(f"{what}: {error.stderr.strip()}")
                            failed += 1
                            continue
                        worst[device] = max(worst[device], found)
                        if not found < BAR:
                            print(f"{what}: off by {found:.1e}")
                            failed += 1
        largest = ", ".join(f"{device} {found:.1e}" for device, found in worst.items())
        print(f"{family}: the largest differences so far are {largest}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
