"""RoBERTa, with a byte-level tokenizer and what it makes of texts."""

import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import torch
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer

from common import write_sections, write_text
from family_fixtures import Family, Fixture
from head_fixtures import named
from model_fixtures import TEXTS, fillings
from tokenizer_fixtures import LONG, NASTY, PAIRS, SENTENCES, batch, pair, single, windows

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
MASK = "<mask>"
PAD = SPECIAL.index("<pad>")
MERGES = 90


def sizes(vocab, hidden, layers, heads, intermediate, longest, **more):
    """The fields of config.json; the position table has two rows more than the longest input."""
    return dict(
        vocab_size=vocab, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=intermediate, max_position_embeddings=longest + PAD + 1, **more,
    )


def mistakes(probe):
    """Those that the heads of RoBERTa invite."""
    fixture, model, record, right = probe.fixture, probe.model, probe.record, probe.right
    found = {}
    if fixture.head == "sequence":
        head = model.classifier
        found["activation of the classifier"] = (
            head.out_proj(torch.nn.functional.gelu(head.dense(right[:, 0]))) - record["logits"]
        ).abs().max().item()
    if fixture.head == "mlm":
        # The head has GELU, whatever the blocks have.
        head, table = model.lm_head, model.get_input_embeddings().weight
        hidden = head.layer_norm(torch.relu(head.dense(right)))
        wrong = torch.nn.functional.linear(hidden, table, head.bias)
        found["activation of the head"] = (wrong - record["logits"])[probe.real].abs().max().item()
    if fixture.head == "question-answering":
        # The loss counts the scores of padding, whose position is its own.
        ids = (torch.arange(fixture.sequence) + PAD + 1).expand_as(probe.given["input_ids"])
        wrong = model(**probe.given, position_ids=ids).start_logits
        found["positions of padding"] = (wrong - record["start_logits"]).abs().max().item()
    return found


def byte_pairs(texts, count):
    """The vocabulary of every byte and the `count` most frequent pairs of tokens in turn; of equals the first by code point."""
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(text))
    parts = {word: list(word) for word in words}
    merges = []
    for _ in range(count):
        pairs = Counter()
        for word, times in words.items():
            for both in zip(parts[word], parts[word][1:]):
                pairs[both] += times
        best = min(pairs, key=lambda both: (-pairs[both], both))
        merges.append(best)
        for word, tokens in parts.items():
            joined = []
            for token in tokens:
                if joined and (joined[-1], token) == best:
                    joined[-1] += token
                else:
                    joined.append(token)
            parts[word] = joined
    tokens = SPECIAL + sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens += [token for token in map("".join, merges) if token not in tokens] + [MASK]
    return {token: index for index, token in enumerate(dict.fromkeys(tokens))}, merges


def write_tokenizer(directory):
    """vocab.json and merges.txt, the same as tokenizer.json, and the little files beside them."""
    directory.mkdir(parents=True, exist_ok=True)
    vocab, merges = byte_pairs(TEXTS + SENTENCES, MERGES)
    write_text(directory / "vocab.json", json.dumps(vocab) + "\n")
    write_text(directory / "merges.txt", "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    mask = {"content": MASK, "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}
    write_text(directory / "special_tokens_map.json", json.dumps({"mask_token": mask}, indent=2) + "\n")
    config = {"model_max_length": 46, "tokenizer_class": "RobertaTokenizer"}
    write_text(directory / "tokenizer_config.json", json.dumps(config, indent=2) + "\n")
    with tempfile.TemporaryDirectory() as scratch:
        AutoTokenizer.from_pretrained(directory).save_pretrained(scratch)
        shutil.copyfile(Path(scratch) / "tokenizer.json", directory / "tokenizer.json")
    return vocab


ROBERTA_NASTY = [
    "<mask>",
    " <mask>",
    "Paris is the <mask> of France.",
    "Paris is the   <mask>, <mask>of<mask> .",
    "<s> inside </s> the text <pad> <unk>",
    "glued<mask>together</s></s>and <Mask> < mask> <mask",
    " a", "  a", "   a  b ", "a ", " \n a\n\n b", "\u00a0a\u2003b",
    "\u0120 \u010a \u0120the",
    "don't we'll I'M THEY'RE 'tis '",
    "123456 7 1\u00bd \u0663\u0664",
]

WORDS = [
    ["Angela", "Merkel", "visited", "Paris", "."],
    ["na\u00efve", "\u6211\u7231", "\U0001f355", "e\u0301", "don't", "</s>", "<mask>"],
    ["a", "", " b", "\u00ad", "c "],
]


def tokenizations(directory):
    """What transformers makes of the nasty strings with the files as they are, and with a space before the first word."""
    plain = AutoTokenizer.from_pretrained(directory)
    with tempfile.TemporaryDirectory() as scratch:
        for file in directory.iterdir():
            shutil.copyfile(file, Path(scratch) / file.name)
        config = json.loads((directory / "tokenizer_config.json").read_text())
        (Path(scratch) / "tokenizer_config.json").write_text(json.dumps({**config, "add_prefix_space": True}))
        spaced = AutoTokenizer.from_pretrained(scratch)
    named_ones = {"plain": plain, "prefix-space": spaced}
    singles, pairs, overflow, batches, words = [], [], [], [], []
    for name, tokenizer in named_ones.items():
        backend = json.loads(tokenizer.backend_tokenizer.to_str())
        assert backend["pre_tokenizer"]["add_prefix_space"] == (name == "prefix-space")
        assert backend["post_processor"]["type"] == "RobertaProcessing"
        for text in NASTY + ROBERTA_NASTY + (LONG[:4] if name == "plain" else []):
            singles.append(single(name, tokenizer, text))
        for text in SENTENCES:
            for max_length in (2, 3, 5, 9):
                singles.append(single(name, tokenizer, text, max_length))
        for first, second in PAIRS if name == "plain" else PAIRS[3:5]:
            first, second = SENTENCES[first], SENTENCES[second]
            pairs.append(pair(name, tokenizer, first, second, "longest_first", None))
            for strategy in ("longest_first", "only_first", "only_second"):
                for max_length in (5, 12, 21):
                    pairs.append(pair(name, tokenizer, first, second, strategy, max_length))
        overflow.append(windows(name, tokenizer, SENTENCES[1], SENTENCES[0] + " " + SENTENCES[3], 24, 3))
        overflow.append(windows(name, tokenizer, SENTENCES[1], SENTENCES[2], 60, 8))
        texts = SENTENCES[:4] + [""]
        batches.append(batch(name, tokenizer, texts, None, "longest", None, None))
        batches.append(batch(name, tokenizer, texts, list(reversed(texts)), "longest", 19, None))
    for sentence in WORDS:
        encoded = spaced(sentence, is_split_into_words=True, add_special_tokens=False)
        words.append({"words": sentence, "ids": encoded["input_ids"], "word_ids": encoded.word_ids()})
    return {
        "about": "tokenizer of this directory: as it is, and with add_prefix_space true; words with the latter",
        "vocabularies": {
            name: {"add_prefix_space": name == "prefix-space", "size": len(tokenizer)}
            for name, tokenizer in named_ones.items()
        },
        "singles": singles,
        "pairs": [record for record in pairs if "error" not in record],
        "pair_errors": [record for record in pairs if "error" in record],
        "windows": overflow,
        "batches": batches,
        "words": words,
    }


MASKED_TEXTS = ["The cat <mask> on the mat.", "the <mask> of the <mask>", "<mask>"]


def extras(directory, fixture, model):
    """The tokenizer of the masked LM, what it makes of texts, and fillings of masks."""
    if fixture.head != "mlm":
        return
    write_tokenizer(directory)
    write_sections(directory / "tokenizer_reference.json", tokenizations(directory))
    tokenizer = AutoTokenizer.from_pretrained(directory)
    fills = fillings(tokenizer, MASKED_TEXTS, lambda encoded: model(**encoded).logits)
    about = "float64; text through this directory, a filling for each mask"
    write_sections(directory / "text_reference.json", {"about": about, "fill_mask": fills})


FAMILY = Family(
    prefix="Roberta",
    padding=PAD,
    segments=1,
    first_position=PAD + 1,
    config=dict(type_vocab_size=1, layer_norm_eps=1e-5, hidden_act="gelu"),
    fixtures=[
        Fixture("base", sizes(97, 30, 3, 5, 37, 17), [17, 9, 4, 12], 17, 0.03),
        Fixture("mlm", sizes(len(byte_pairs(TEXTS + SENTENCES, MERGES)[0]), 18, 2, 3, 25, 46, hidden_act="relu"),
                [12, 7, 10], 12),
        Fixture("sequence",
                sizes(37, 15, 2, 3, 22, 11, classifier_dropout=0.25,
                      **named(["contradiction", "entailment", "neutral"])), [9, 5, 7, 8], 9),
        Fixture("token", sizes(41, 16, 2, 4, 21, 12, **named(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])), [11, 6, 9], 11),
        Fixture("question-answering", sizes(43, 18, 2, 6, 23, 13), [12, 10, 7, 11], 12),
        Fixture("multiple-choice", sizes(35, 10, 2, 5, 27, 8), [8, 6, 7, 5, 8, 4], 8, 0.3),
    ],
    mistakes=mistakes,
    extras=extras,
)
