"""Golden tokenisations of every kind of tokenizer but BERT's and RoBERTa's: Unigram, WordPiece with other special tokens,
and byte-level pairs with BERT's."""

import base64
import json
import shutil
import tempfile
import zlib
from collections import Counter
from math import log
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram, WordPiece
from transformers import AutoTokenizer

from common import write_sections, write_text
from families.roberta import byte_pairs
from model_fixtures import TEXTS
from tokenizer_fixtures import LONG, NASTY, PAIRS, SENTENCES, batch, pair, single, windows

SPACE = "\u2581"
# A map of characters as SentencePiece compiles them, from rules of ours for 18 characters: ligatures, full width, spaces,
# a soft hyphen that goes, an accent that joins its letter.
CHARSMAP = zlib.decompress(base64.b64decode(
    "eNod03dsjVEYx/HffVWkohF/SJCKmpHgitp7702N2quX2nuPe/VeSlGj9iqqevXW3tS6dqo2taslKqm9t++RnE+ec3JOznnP+zxHAZJCpMBAKX9eySY5"
    "0wpYCioquRiXYOwMsVgkZz7ElJTcuZZSi0t5GJdCfHspcZoUbNYGW3L2laKqS4UZmz0KEZOCJJqzIJJrSymdpSL0i8GXYcnzSirNIeynsiiDxC1SOeKi"
    "+1J5YgXE3pAqESuiMuw4EcD3hFmqSj8UHK1qqIka4DjVQl3UQX3UQ0M0QGM0QlM0QXM0Q0u0QGu0Qlu0AddVO3REB3AVdUJXdEE3hKEHuiMcPdEbvcDv"
    "UR/0Rz8MxAAMxiBEYAiGwoFIDMMIDMcosybO0hjiaIzDWEzAeEzCREzBZJAaTcUMTMcszMQczIbLJBdRmAsP3JiPeViAaMRgIRabnJhcYAmWYSlWYDlW"
    "Ig6rsQprsQbrsQ4bsQGbsQmkWfHYhq3YjgTsMDUAL5KQjJ1IgQ+7sQt7sQf7sQ8HcQCHcQhHcQTHcQyppmZwCidxBqfhx1mcxzlcxAVcxiUzl2PTFeJV"
    "pOEa0kFJ6jpu4Sbu4Dbu4S4oX2XgIR7gMR7hKZ7gGTKRjSy8wHO8xFufTTwN5Zi5aJuyM216TT/XzOEN3uMdPuIDPuMTvuILvuMbfuIHfuMX/uKP/r9/"
    "u92uKlkudyiFHiGHI1K0kVSY3yO/V+le/QPVCKeR"
))
LONGEST_PIECE = 5
FRENCH = ["Le camembert est d\u00e9licieux !", "O\u00f9 est-il ? L'\u00e9t\u00e9 \u00e0 Paris."]
MORE = ["Paris is the capital of France.", "The cat sat on the mat.", "don't stop", "2,000 shares @ $12.50"]


def unigram(special, count, lower=False):
    """Special tokens, every character, and the `count` pieces of words that weigh most, with their log probability.

    Trained vocabularies differ in the last digit from run to run; this one does not.
    """
    texts = [text.lower() if lower else text for text in TEXTS + SENTENCES + FRENCH + MORE]
    words = Counter(SPACE + word for text in texts for word in text.split())
    pieces = Counter()
    for word, times in words.items():
        for start in range(len(word)):
            for end in range(start + 1, min(start + LONGEST_PIECE, len(word)) + 1):
                pieces[word[start:end]] += times * (end - start)
    single_ones = sorted(piece for piece in pieces if len(piece) == 1)
    longer = sorted((piece for piece in pieces if len(piece) > 1), key=lambda piece: (-pieces[piece], piece))
    total = sum(pieces.values())
    scored = [(piece, round(log(pieces[piece] / total), 3)) for piece in single_ones + longer[:count]]
    return [(token, 0.0) for token in special] + sorted(scored, key=lambda entry: (-entry[1], entry[0]))


def template(first, last, ids, segment=0, between=1):
    """Special tokens around one text and two."""
    second = f":{segment}"
    return processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {' '.join([last] * between)} $B{second} {last}{second}",
        special_tokens=[(first, ids[first]), (last, ids[last])],
    )


def spaced(vocab, unknown, normalizer, splitter=None):
    """A Unigram tokenizer with what older programs of transformers put around it."""
    tokenizer = Tokenizer(Unigram(vocab, unk_id=unknown, byte_fallback=False))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter or pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    return tokenizer, {token: index for index, (token, _) in enumerate(vocab)}


def mask_of(content, lstrip):
    """A mask token as the files describe it."""
    return {"__type": "AddedToken", "content": content, "lstrip": lstrip, "normalized": False, "rstrip": False, "single_word": False}


ANGLED = {"unk_token": "<unk>", "sep_token": "</s>", "pad_token": "<pad>", "cls_token": "<s>", "bos_token": "<s>", "eos_token": "</s>"}
SQUARE = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}


def with_special(tokenizer, settings):
    """The special tokens that the settings name, marked as such."""
    from tokenizers import AddedToken

    for key, token in settings.items():
        if not key.endswith("_token"):
            continue
        lstrip = isinstance(token, dict) and token["lstrip"]
        content = token["content"] if isinstance(token, dict) else token
        tokenizer.add_special_tokens([AddedToken(content, lstrip=lstrip, normalized=False)])
    return tokenizer


def xlm_roberta():
    """XLM-R's order of special tokens, the mask last; parts as transformers 4 has written them."""
    vocab = unigram(["<s>", "<pad>", "</s>", "<unk>"], 170) + [("<mask>", 0.0)]
    normalizer = normalizers.Sequence([normalizers.Precompiled(CHARSMAP), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer, ids = spaced(vocab, 3, normalizer)
    tokenizer.post_processor = template("<s>", "</s>", ids, between=2)
    return tokenizer, {**ANGLED, "mask_token": mask_of("<mask>", True)}


def camembert():
    """CamemBERT's order: fairseq's own tokens first, then those that are used."""
    special = ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>"]
    vocab = unigram(special, 130) + [("<mask>", 0.0)]
    vocab[4] = ("<unk>NOTUSED", -100.0)
    tokenizer, ids = spaced(vocab, 3, normalizers.Precompiled(CHARSMAP),
                            pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(SPACE, "always")]))
    tokenizer.post_processor = template("<s>", "</s>", ids, between=2)
    more = {"additional_special_tokens": ["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"]}
    return tokenizer, {**ANGLED, "mask_token": mask_of("<mask>", True), **more}


def albert():
    """ALBERT's order and normalizer."""
    vocab = unigram(["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"], 140, lower=True)
    normalizer = normalizers.Sequence([
        normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(), normalizers.StripAccents(),
        normalizers.Lowercase(), normalizers.Precompiled(CHARSMAP),
    ])
    tokenizer, ids = spaced(vocab, 1, normalizer)
    tokenizer.post_processor = template("[CLS]", "[SEP]", ids, segment=1)
    names = {**SQUARE, "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": mask_of("[MASK]", True)}
    return tokenizer, {**names, "bos_token": "[CLS]", "eos_token": "[SEP]"}


def deberta_v2():
    """DeBERTa's order, the mask last."""
    vocab = unigram(["[PAD]", "[CLS]", "[SEP]", "[UNK]"], 150) + [("[MASK]", 0.0)]
    normalizer = normalizers.Sequence([
        normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "), normalizers.NFC(), normalizers.Strip(left=False, right=True),
    ])
    tokenizer, ids = spaced(vocab, 3, normalizer)
    tokenizer.post_processor = template("[CLS]", "[SEP]", ids, segment=1)
    return tokenizer, {**SQUARE, "bos_token": "[CLS]", "eos_token": "[SEP]"}


def mpnet():
    """WordPiece with RoBERTa's special tokens, and an unknown token in the midst of the vocabulary."""
    directory = Path(__file__).parents[2] / "bert-core" / "fixtures" / "tokenizer"
    words = (directory / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]
    words = [word.rstrip() for word in words if word not in ("[PAD]", "[CLS]", "[SEP]", "[MASK]")]
    tokens = list(dict.fromkeys(["<s>", "<pad>", "</s>"] + words + ["<mask>"]))
    tokenizer = Tokenizer(WordPiece({token: index for index, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    ids = {token: index for index, token in enumerate(tokens)}
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", ids["</s>"]), ("<s>", ids["<s>"]), True, False)
    return tokenizer, {**ANGLED, "unk_token": "[UNK]", "mask_token": mask_of("<mask>", True), "do_lower_case": True}


def modernbert():
    """Byte-level pairs with BERT's special tokens at the end of the vocabulary, in composed characters."""
    vocab, merges = byte_pairs(TEXTS + SENTENCES, 60)
    tokens = [token for token in vocab if token not in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")]
    tokens += ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    ids = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(BPE(ids, merges, fuse_unk=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = template("[CLS]", "[SEP]", ids, segment=0)
    return tokenizer, {**SQUARE, "mask_token": mask_of("[MASK]", True)}


# Name of the directory: maker, class, model_type; a last True has transformers write tokenizer.json anew.
KINDS = {
    "xlm-roberta": (xlm_roberta, "XLMRobertaTokenizer", "xlm-roberta", False),
    # multilingual-e5 and its like: BERT's network.
    "xlm-roberta-in-bert": (xlm_roberta, "XLMRobertaTokenizerFast", "bert", False),
    "xlm-roberta-any-class": (xlm_roberta, "TokenizersBackend", "xlm-roberta", True),
    "camembert": (camembert, "CamembertTokenizer", "camembert", False),
    "albert": (albert, "AlbertTokenizer", "albert", True),
    "deberta-v2": (deberta_v2, "DebertaV2Tokenizer", "deberta-v2", True),
    "mpnet": (mpnet, "MPNetTokenizer", "mpnet", True),
    "modernbert": (modernbert, "PreTrainedTokenizerFast", "modernbert", True),
}

WORDS = [
    ["Angela", "Merkel", "visited", "Paris", "."],
    ["na\u00efve", "\u6211\u7231", "\U0001f355", "e\u0301", "don't", "</s>", "[MASK]"],
    ["a", "", " b", "\u00ad", "c "],
]


def write_directory(directory, kind, has_config=False):
    """tokenizer.json, tokenizer_config.json and, for a tokenizer alone, config.json."""
    make, name, model_type, anew = kind
    tokenizer, settings = make()
    directory.mkdir(parents=True, exist_ok=True)
    with_special(tokenizer, settings)
    write_text(directory / "tokenizer.json", tokenizer.to_str(pretty=True) + "\n")
    config = {**settings, "model_max_length": 46, "tokenizer_class": name}
    write_text(directory / "tokenizer_config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")
    if not has_config:
        write_text(directory / "config.json", json.dumps({"model_type": model_type}) + "\n")
    if anew:
        with tempfile.TemporaryDirectory() as scratch:
            AutoTokenizer.from_pretrained(directory).save_pretrained(scratch)
            for file in ("tokenizer.json", "tokenizer_config.json"):
                shutil.copyfile(Path(scratch) / file, directory / file)
    return AutoTokenizer.from_pretrained(directory)


def write(directory):
    """A directory for each kind, and reference.json."""
    singles, pairs, overflow, batches, words, decoded, described = [], [], [], [], [], [], {}
    for name, kind in KINDS.items():
        tokenizer = write_directory(directory / name, kind)
        assert type(tokenizer).__name__ == kind[1].removesuffix("Fast").replace("PreTrainedTokenizer", "TokenizersBackend"), type(tokenizer)
        described[name] = {"size": len(tokenizer), "pad": tokenizer.pad_token_id, "mask": tokenizer.mask_token_id,
                           "cls": tokenizer.cls_token_id, "sep": tokenizer.sep_token_id, "unk": tokenizer.unk_token_id}
        own = [text.replace("[MASK]", tokenizer.mask_token) for text in NASTY if "[MASK]" in text]
        own += ["<s>NOTUSED x <unk>NOTUSED", "<s> in </s> text <pad> <unk>", " a", "  a", "a ", "\u2581a \u2581\u2581 b", "``a'' ''b``"]
        for text in dict.fromkeys(NASTY + own + FRENCH + LONG[:3]):
            singles.append(single(name, tokenizer, text))
        for text in SENTENCES:
            for max_length in (2, 5, 9):
                singles.append(single(name, tokenizer, text, max_length))
        for first, second in PAIRS:
            first, second = SENTENCES[first], SENTENCES[second]
            pairs.append(pair(name, tokenizer, first, second, "longest_first", None))
            for strategy in ("longest_first", "only_first", "only_second"):
                pairs.append(pair(name, tokenizer, first, second, strategy, 12))
        cut = windows(name, tokenizer, SENTENCES[1], SENTENCES[0] + " " + SENTENCES[3], 24, 3)
        if not any(cut["windows"][0]["type_ids"]):
            # All are of one segment, but the crate marks the second text of every window except the first.
            for window in cut["windows"]:
                window["type_ids"] = [0] * len(window["ids"])
        overflow.append(cut)
        texts = SENTENCES[:4] + [""]
        batches.append(batch(name, tokenizer, texts, None, "longest", None, None))
        batches.append(batch(name, tokenizer, texts, list(reversed(texts)), "longest", 19, None))
        for sentence in WORDS:
            if kind[1] == "PreTrainedTokenizerFast":
                continue  # transformers asks for add_prefix_space, which this class does not take
            encoded = tokenizer(sentence, is_split_into_words=True, add_special_tokens=False)
            words.append({"vocab": name, "words": sentence, "ids": encoded["input_ids"], "word_ids": encoded.word_ids()})
        for text in (SENTENCES[0], MORE[0], FRENCH[0]):
            ids = tokenizer(text)["input_ids"]
            for taken in [ids] + [[token] for token in ids[:4]]:
                decoded.append({"vocab": name, "ids": taken, "text": tokenizer.decode(taken, skip_special_tokens=True)})
    write_sections(directory / "reference.json", {
        "about": "AutoTokenizer over the directories beside this file; schema: ../README.md",
        "vocabularies": described,
        "singles": singles,
        "pairs": [record for record in pairs if "error" not in record],
        "pair_errors": [record for record in pairs if "error" in record],
        "windows": overflow,
        "batches": batches,
        "words": words,
        "decoded": decoded,
    })
