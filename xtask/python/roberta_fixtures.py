"""Golden RoBERTa: a tiny model for every class that has a head, a byte-level tokenizer, and what both give in float64."""

import json
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import pre_tokenizers
from torch.nn.functional import cross_entropy
from transformers import (
    AutoTokenizer,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForMultipleChoice,
    RobertaForQuestionAnswering,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
    RobertaModel,
)

from common import Seeded, write_sections, write_text
from head_fixtures import CHOICES, IGNORED, named
from model_fixtures import (
    TEXTS,
    assert_visible,
    detached,
    fillings,
    loss_weights,
    put_gradients,
    put_layers,
    put_outputs,
    redraw,
    write_checkpoint,
    write_reference,
)
from tokenizer_fixtures import LONG, NASTY, PAIRS, SENTENCES, batch, pair, single, windows

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
MASK = "<mask>"
PAD = SPECIAL.index("<pad>")
MERGES = 90


@dataclass
class Fixture:
    """One configuration and its batch; sizes are odd and distinct, so that a swapped axis fails."""

    name: str
    model: type
    config: dict
    # One row a text: how many positions are real; the rest of `sequence` is padding.
    lengths: list
    sequence: int
    embedding_std: float = 0.2


def sizes(vocab, hidden, layers, heads, intermediate, longest, **more):
    """The fields of config.json; the position table has two rows more than the longest input."""
    return dict(
        vocab_size=vocab, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=intermediate, max_position_embeddings=longest + PAD + 1, type_vocab_size=1,
        hidden_act="gelu", layer_norm_eps=1e-5, **more,
    )


def fixtures(vocab_size):
    """All fixtures; `vocab_size` is that of the tokenizer, which the masked LM takes text through."""
    return [
        Fixture("roberta/base", RobertaModel, sizes(97, 30, 3, 5, 37, 17), [17, 9, 4, 12], 17, 0.03),
        Fixture("roberta/mlm", RobertaForMaskedLM, sizes(vocab_size, 18, 2, 3, 25, 46) | {"hidden_act": "relu"},
                [12, 7, 10], 12),
        Fixture("roberta/sequence", RobertaForSequenceClassification,
                sizes(37, 15, 2, 3, 22, 11, classifier_dropout=0.25,
                      **named(["contradiction", "entailment", "neutral"])), [9, 5, 7, 8], 9),
        Fixture("roberta/token", RobertaForTokenClassification,
                sizes(41, 16, 2, 4, 21, 12, **named(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])), [11, 6, 9], 11),
        Fixture("roberta/question-answering", RobertaForQuestionAnswering, sizes(43, 18, 2, 6, 23, 13), [12, 10, 7, 11], 12),
        Fixture("roberta/multiple-choice", RobertaForMultipleChoice, sizes(35, 10, 2, 5, 27, 8), [8, 6, 7, 5, 8, 4], 8, 0.3),
    ]


def perturbed(fixture, dtype=torch.float32, **change):
    """The model with every parameter drawn afresh."""
    config = RobertaConfig(**{**fixture.config, **change}, pad_token_id=PAD, attn_implementation="eager")
    model = fixture.model(config)
    redraw(fixture, model, 1.7)
    # transformers never trains the vectors of padding, Google's program does, and so do we.
    embeddings = backbone(model).embeddings
    embeddings.word_embeddings.padding_idx = embeddings.position_embeddings.padding_idx = None
    return model.eval().to(dtype)


def backbone(model):
    """The encoder of a model."""
    return model if isinstance(model, RobertaModel) else model.roberta


def inputs(fixture):
    """Token ids (that of padding only as padding), one segment, the mask."""
    numbers = Seeded(f"{fixture.name}/inputs")
    shape = (len(fixture.lengths), fixture.sequence)
    ids = numbers.integers(PAD + 1, fixture.config["vocab_size"], shape)
    mask = np.zeros(shape, dtype=np.int64)
    for row, length in enumerate(fixture.lengths):
        ids[row, length:] = PAD
        mask[row, :length] = 1
    return {
        "input_ids": torch.from_numpy(ids),
        "token_type_ids": torch.zeros(shape, dtype=torch.int64),
        "attention_mask": torch.from_numpy(mask),
    }


def labels(fixture, inputs_of):
    """The arguments that make transformers compute a loss."""
    numbers = Seeded(f"{fixture.name}/labels")
    mask = inputs_of["attention_mask"]
    rows, sequence = mask.shape
    count = len(fixture.config.get("id2label", {}))
    ignored = torch.full((rows, sequence), IGNORED)
    if fixture.model is RobertaForMaskedLM:
        wanted = torch.from_numpy(numbers.integers(0, fixture.config["vocab_size"], (rows, sequence)))
        chosen = torch.from_numpy(numbers.integers(0, 3, (rows, sequence))) == 0
        chosen[:, 1] = True
        return {"labels": torch.where(chosen & (mask == 1), wanted, ignored)}
    if fixture.model is RobertaForTokenClassification:
        tags = torch.from_numpy(numbers.integers(0, count, (rows, sequence)))
        tags[:, 0] = IGNORED
        tags[:, 3::4] = IGNORED
        return {"labels": torch.where(mask == 1, tags, ignored)}
    if fixture.model is RobertaForQuestionAnswering:
        return {
            "start_positions": torch.tensor([3, 0, -1, sequence + 4]),
            "end_positions": torch.tensor([5, 0, 4, sequence]),
        }
    if fixture.model is RobertaForMultipleChoice:
        return {"labels": torch.tensor([2, 0])}
    return {"labels": (torch.arange(rows) * 2 + 1) % count}


def reference(fixture, model):
    """Everything the float64 model computes for the batch, and the gradient of every parameter."""
    given = inputs(fixture)
    record = dict(given)
    model.zero_grad()
    if fixture.model is RobertaModel:
        output = model(**given, output_hidden_states=True, output_attentions=True)
        put_layers(record, output)
        record["embeddings"] = output.hidden_states[0]
        loss = put_outputs(record, output, loss_weights(fixture, given))
    else:
        wanted = labels(fixture, given)
        record |= wanted
        shaped = given
        if fixture.model is RobertaForMultipleChoice:
            shaped = {name: value.view(-1, CHOICES, value.shape[1]) for name, value in given.items()}
        output = model(**shaped, **wanted)
        loss = output.loss
        if fixture.model is RobertaForQuestionAnswering:
            record["start_logits"], record["end_logits"] = output.start_logits, output.end_logits
        else:
            record["logits"] = output.logits
        if fixture.model is RobertaForMaskedLM:
            record["mlm_loss"] = cross_entropy(output.logits.flatten(0, 1), wanted["labels"].flatten(), ignore_index=IGNORED)
    put_gradients(record, model, loss)
    return detached(record)


def prove_it_would_tell(fixture, model, record):
    """A fixture that also passes with a mistake in the code proves nothing: make the usual ones and see them."""
    given = inputs(fixture)
    real = given["attention_mask"].bool()
    with torch.no_grad():
        right = backbone(model)(**given).last_hidden_state
    zeros = torch.zeros_like(given["input_ids"])
    in_order = torch.arange(fixture.sequence).unsqueeze(0)

    def difference(change, **overrides):
        other = backbone(perturbed(fixture, torch.float64, **change))
        with torch.no_grad():
            wrong = other(**{**given, **overrides}).last_hidden_state
        return (wrong - right)[real].abs().max().item()

    own = fixture.config["hidden_act"]
    found = {
        "mask ignored": difference({}, attention_mask=torch.ones_like(zeros)),
        "positions from 0": difference({}, position_ids=in_order.expand_as(zeros)),
        "positions from 1": difference({}, position_ids=(in_order + 1).expand_as(zeros)),
        "heads": difference({"num_attention_heads": 1}),
        "activation": difference({"hidden_act": "gelu_new" if own == "gelu" else "gelu"}),
    }
    if fixture.embedding_std <= 0.03:
        found["epsilon"] = difference({"layer_norm_eps": 1e-12})
    with torch.no_grad():
        if fixture.model is RobertaForSequenceClassification:
            head = model.classifier
            found["activation of the classifier"] = (
                head.out_proj(torch.nn.functional.gelu(head.dense(right[:, 0]))) - record["logits"]
            ).abs().max().item()
        if fixture.model is RobertaForMaskedLM:
            # The head has GELU, whatever the blocks have.
            head, table = model.lm_head, backbone(model).embeddings.word_embeddings.weight
            hidden = head.layer_norm(torch.relu(head.dense(right)))
            wrong = torch.nn.functional.linear(hidden, table, head.bias)
            found["activation of the head"] = (wrong - record["logits"])[real].abs().max().item()
        if fixture.model is RobertaForQuestionAnswering:
            # The loss counts the scores of padding, whose position is its own.
            ids = (in_order + PAD + 1).expand_as(zeros)
            wrong = model(**given, position_ids=ids).start_logits
            found["positions of padding"] = (wrong - record["start_logits"]).abs().max().item()
    assert_visible(fixture, found)


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


def write(out):
    """Every golden file of the family."""
    out = Path(out)
    vocab = byte_pairs(TEXTS + SENTENCES, MERGES)[0]
    for fixture in fixtures(len(vocab)):
        directory = out / fixture.name
        write_checkpoint(perturbed(fixture), directory)
        model = perturbed(fixture, torch.float64)
        record = reference(fixture, model)
        prove_it_would_tell(fixture, model, record)
        write_reference(directory, record)
        if fixture.model is RobertaForMaskedLM:
            write_tokenizer(directory)
            write_sections(directory / "tokenizer_reference.json", tokenizations(directory))
            tokenizer = AutoTokenizer.from_pretrained(directory)
            fills = fillings(tokenizer, MASKED_TEXTS, lambda encoded: model(**encoded).logits)
            about = "float64; text through this directory, a filling for each mask"
            write_sections(directory / "text_reference.json", {"about": about, "fill_mask": fills})
