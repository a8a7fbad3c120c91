"""What transformers makes of files that say different things of one tokeniser: `tokenizer.json` against
`tokenizer_config.json`, and vocabularies with blank lines, other line ends and tokens that end in white space."""

import itertools
import json
import tempfile
from pathlib import Path

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from transformers import AutoTokenizer
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy
from transformers.utils import logging

from common import write_bytes, write_sections

logging.set_verbosity_error()

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = SPECIAL + ["the", "The", "cafe", "caf\u00e9", "Cafe", "Caf\u00e9", "\u6211", "##\u6211", "cat", "-", "cat-"]
# A text that every setting cuts differently: case, an accent, ideographs, and a hyphen for the splitter.
TEXT = "The Caf\u00e9 the \u6211\u6211 cat-"
MODEL = {"model_type": "bert", "vocab_size": len(WORDS), "hidden_size": 4, "num_hidden_layers": 1,
         "num_attention_heads": 1, "intermediate_size": 4}

# Of `tokenizer.json`.
NORMALIZERS = [
    {"lowercase": True, "strip_accents": None, "handle_chinese_chars": True},
    {"lowercase": False, "strip_accents": None, "handle_chinese_chars": True},
    {"lowercase": True, "strip_accents": False, "handle_chinese_chars": True},
    {"lowercase": False, "strip_accents": True, "handle_chinese_chars": False},
]
# Of `tokenizer_config.json`; None leaves it out.
SETTINGS = [
    None,
    {},
    {"do_lower_case": True},
    {"do_lower_case": False},
    {"strip_accents": False},
    {"strip_accents": None},
    {"do_lower_case": False, "strip_accents": True},
    {"do_lower_case": True, "strip_accents": False},
    {"tokenize_chinese_chars": False},
]
# Classes that `tokenizer_config.json` names; None names none.
CLASSES = [None, "BertTokenizer", "BertTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend", "MyTokenizer"]
# These are told apart by name alone: one setting each is enough.
MORE_CLASSES = [
    "PreTrainedTokenizer", "DistilBertTokenizer", "DistilBertTokenizerFast", "ElectraTokenizer", "ElectraTokenizerFast",
    "MobileBertTokenizer", "SqueezeBertTokenizer", "LxmertTokenizer", "LayoutLMTokenizer", "RetriBertTokenizer",
]

# Vocabularies as they are found, and texts.
VOCABULARIES = {
    "plain": "\n".join(WORDS) + "\n",
    "no last line end": "\n".join(WORDS),
    "a blank line": "\n".join(WORDS) + "\n\n",
    "several blank lines": "\n".join(WORDS) + "\n\n\n\n",
    "a blank line inside": "\n".join(SPECIAL) + "\n\n" + "\n".join(WORDS[5:]) + "\n",
    "CRLF": "\r\n".join(WORDS) + "\r\n",
    "CRLF with a blank line": "\r\n".join(WORDS) + "\r\n\r\n",
    "CR": "\r".join(WORDS) + "\r",
    "a token that ends in a space": "\n".join(WORDS) + "\nthe \ndog\n",
    "a token that ends in a tab": "\n".join(WORDS) + "\nthe\t\n",
    "a token that ends in a no-break space": "\n".join(WORDS) + "\ncat\u00a0\n",
    "a line of spaces": "\n".join(WORDS) + "\n  \n",
    "a line separator": "\n".join(WORDS) + "\n\u2028\ndog\n",
}
VOCABULARY_TEXTS = ["The cat the dog", "cat-\u6211\u6211 x", ""]


def tokenizer_json(normalizer, splitter="bert"):
    """A `tokenizer.json` with its own normaliser and splitter."""
    tokenizer = Tokenizer(WordPiece({token: index for index, token in enumerate(WORDS)}, unk_token="[UNK]"))
    if normalizer is not None:
        tokenizer.normalizer = normalizers.BertNormalizer(clean_text=True, **normalizer)
    tokenizer.pre_tokenizer = {
        "bert": pre_tokenizers.BertPreTokenizer(),
        "white space": pre_tokenizers.WhitespaceSplit(),
    }[splitter]
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer.to_str()


def case(normalizer, settings, name, in_config=False, with_config=True, splitter="bert"):
    """One directory, and what AutoTokenizer makes of the text."""
    settings = None if settings is None else dict(settings)
    model = dict(MODEL)
    if name is not None and in_config:
        model["tokenizer_class"] = name
    elif name is not None:
        settings["tokenizer_class"] = name
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        (directory / "tokenizer.json").write_text(tokenizer_json(normalizer, splitter), encoding="utf-8")
        if settings is not None:
            (directory / "tokenizer_config.json").write_text(json.dumps(settings))
        if with_config:
            (directory / "config.json").write_text(json.dumps(model))
        ids = AutoTokenizer.from_pretrained(directory)(TEXT)["input_ids"]
    return {
        "normalizer": normalizer, "splitter": splitter, "tokenizer_config": settings,
        "config": model if with_config else None, "ids": ids,
    }


def cases():
    """Every combination that is told apart."""
    for normalizer, settings, name in itertools.product(NORMALIZERS, SETTINGS, CLASSES):
        if settings is not None or name is None:
            yield case(normalizer, settings, name)
    for name in MORE_CLASSES:
        yield case(NORMALIZERS[0], {"do_lower_case": False}, name)
    for name in ("BertTokenizer", "PreTrainedTokenizerFast"):
        yield case(NORMALIZERS[1], {}, name, in_config=True)
        yield case(NORMALIZERS[1], {}, name, with_config=False)
    yield case(NORMALIZERS[1], {}, None, with_config=False)
    yield case(NORMALIZERS[0], {"do_lower_case": False}, None, with_config=False)
    for name in (None, "PreTrainedTokenizerFast"):
        yield case(None, {"do_lower_case": False}, name)
        yield case(None, {}, name)
        yield case(NORMALIZERS[0], {}, name, splitter="white space")


def vocabulary(name, text):
    """What the tokeniser in Python reads of a vocabulary: it drops the line end and nothing else."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "vocab.txt"
        path.write_bytes(text.encode("utf-8"))
        tokenizer = BertTokenizerLegacy(str(path))
        return {"name": name, "vocab": text, "ids": [tokenizer(text)["input_ids"] for text in VOCABULARY_TEXTS]}


def write(directory):
    """`reference.json`, and the `tokenizer.json` whose parts its cases replace."""
    made = list(cases())
    # Useless unless the settings show in the text.
    assert len({tuple(case["ids"]) for case in made}) >= 6
    write_bytes(directory / "tokenizer.json", tokenizer_json(NORMALIZERS[0]).encode("utf-8"))
    write_sections(directory / "reference.json", {
        "text": TEXT,
        "cases": made,
        "vocabulary_texts": VOCABULARY_TEXTS,
        "vocabularies": [vocabulary(name, text) for name, text in VOCABULARIES.items()],
    })
