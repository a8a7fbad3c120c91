"""Golden tokenisations, from the BertTokenizer of transformers."""

import json
import tempfile
from pathlib import Path

from transformers import BertTokenizer

from common import write_sections

# name -> file and the switches of tokenizer_config.json. The real vocabularies are not part of the project.
REAL_VOCABULARIES = {
    "uncased": ("bert-base-uncased-vocab.txt", {"do_lower_case": True}),
    "cased": ("bert-base-cased-vocab.txt", {"do_lower_case": False}),
    "chinese": ("bert-base-chinese-vocab.txt", {"do_lower_case": False}),
    "multilingual-cased": ("bert-base-multilingual-cased-vocab.txt", {"do_lower_case": False}),
}

# One vocabulary of our own, read with every switch both ways.
BUNDLED_VOCABULARIES = {
    "bundled-uncased": ("vocab.txt", {"do_lower_case": True}),
    "bundled-cased": ("vocab.txt", {"do_lower_case": False}),
    "bundled-uncased-accents": ("vocab.txt", {"do_lower_case": True, "strip_accents": False}),
    "bundled-cased-no-accents": ("vocab.txt", {"do_lower_case": False, "strip_accents": True}),
    "bundled-uncased-no-cjk": ("vocab.txt", {"do_lower_case": True, "tokenize_chinese_chars": False}),
}

NASTY = [
    # nothing, or next to nothing
    "",
    " ",
    "     ",
    "\t\n\r ",
    "\u3000",
    "\u200b",
    "\u0000",
    "a",
    "[",
    # plain
    "The cat sat on the mat.",
    "Hello, World! It's 3.14 o'clock -- isn't it?",
    "unaffable unaffordable tokenization",
    "I bought 2,000 shares @ $12.50 (+3.5%) on 2021-03-04.",
    "  leading, trailing and   inner    spaces  ",
    "tab\tnewline\ncarriage\rform\u000cvertical\u000bend",
    # accents, composed and decomposed
    "caf\u00e9 na\u00efve r\u00e9sum\u00e9 \u00c5ngstr\u00f6m",
    "cafe\u0301 nai\u0308ve re\u0301sume\u0301 A\u030angstro\u0308m",
    "\u1e69 s\u0323\u0307 s\u0307\u0323",
    "Vi\u1ec7t Nam: Vie\u0323\u0302t Nam ti\u1ebfng",
    "z\u0351\u036b\u0343\u036a\u0302a\u0363\u0348\u034bl\u0334g\u034eo\u0489",
    "\u0301combining first",
    "e\u0301\u0302\u0303\u0304\u0305 stacked",
    "\u212bngstrom \u2126hm \ufb01ne o\ufb03ce",
    # CJK, Japanese, Korean, Thai
    "\u6211\u7231\u5317\u4eac\u5929\u5b89\u95e8\u3002",
    "\u4e2d\u56fd2008\u5e74\u5965\u8fd0\u4f1a\uff0cBeijing\u6b22\u8fce\u4f60\uff01",
    "\u7e41\u9ad4\u4e2d\u6587\u8207\u7b80\u4f53\u4e2d\u6587",
    "\U00020000\U0002a6d6 \U0002a700\U0002b734 \U0002b740 \U0002b820\U0002ceaf \U0002f800 \U00030000",
    "\u3400\u4dbf \uf900\ufaff \u3007",
    "\u79c1\u306f\u6771\u4eac\u306b\u4f4f\u3093\u3067\u3044\u307e\u3059\u3002\u30ab\u30bf\u30ab\u30ca\u3068\u3072\u3089\u304c\u306a",
    "\u304c\u304e\u3050 \u304b\u3099\u304d\u3099\u304f\u3099 \uff76\uff9e \u30d1\u30fc\u30c6\u30a3\u30fc",
    "\u5b89\u5168 \u3005 \u3006 \u30fb \u300c\u5f15\u7528\u300d\u300e\u4e8c\u91cd\u300f",
    "\ud55c\uad6d\uc5b4\ub97c \uacf5\ubd80\ud569\ub2c8\ub2e4",
    "\u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165 \ud55c",
    "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22\u0e44\u0e21\u0e48\u0e21\u0e35\u0e0a\u0e48\u0e2d\u0e07\u0e27\u0e48\u0e32\u0e07",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u092d\u093e\u0937\u093e \u0995\u09cb\u09b2\u0995\u09be\u09a4\u09be \u0ba4\u0bae\u0bbf\u0bb4\u0bcd",
    "\uff28\uff45\uff4c\uff4c\uff4f\u3000\uff37\uff4f\uff52\uff4c\uff44\uff01\uff11\uff12\uff13",
    # emoji
    "I \u2764\ufe0f pizza \U0001f355\U0001f355!",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 family",
    "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7 flags \U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "thumbs\U0001f44d\U0001f3fdup \u261d\U0001f3ff 1\ufe0f\u20e3 \u00a9\ufe0f",
    "\U0001f937\u200d\u2640\ufe0f\U0001fae0\U0001fad6",
    # control, format and space characters
    "con\u0000trol\u0001 ch\u0007ar\u001bacters\u007f\u0080\u009f",
    "next\u0085line line\u2028separator paragraph\u2029separator",
    "zero\u200bwidth\u200cnon\u200djoiner\u2060word\ufeffbom",
    "\ufeffstarts with a byte order mark",
    "soft\u00adhyphen \u00ad \u00ad\u00ad",
    "no\u00a0break\u202fnarrow\u2007figure\u2003em\u1680ogham\u205fmath\u3000ideographic",
    "\u202eright to left override\u202c \u200fmark\u200e \u2066isolate\u2069",
    # scripts with cases and directions of their own
    "\u0130stanbul I\u0131\u0130i D\u0130YARBAKIR \u0131\u015f\u0131k",
    "Stra\u00dfe STRASSE GRO\u1e9e \u00e4\u00f6\u00fc \u00c4\u00d6\u00dc",
    "\u039f\u0394\u03a5\u03a3\u03a3\u0395\u03a5\u03a3 \u03bf\u03b4\u03c5\u03c3\u03c3\u03b5\u03cd\u03c2 \u03a3\u0391\u03a3 \u03a3 \u1f08\u03c7\u03b9\u03bb\u03bb\u03b5\u03cd\u03c2 \u1fbc",
    "\u041c\u043e\u0441\u043a\u0432\u0430 \u0438 \u0419\u043e\u0448\u043a\u0430\u0440-\u041e\u043b\u0430, \u0401\u043b\u043a\u0430",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645\u060c \u0643\u064a\u0641 \u062d\u0627\u0644\u0643\u061f \u0648\u064e\u0627\u0644\u0652\u062d\u064e\u0645\u0652\u062f\u064f \u0640\u0640",
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd, \u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd \u05f4\u05d0\u05f4",
    "\u01c5 \u01c6 \u01c4 \u0149 \u1e96 \u0390",
    "\u00b2\u00b3\u00bd \u2460\u2461 \u2160\u2161 \u0663\u0664 \U0001d400\U0001d41a \U0001f130",
    # unassigned, private and replacement code points
    "\u0378\u0379 \u05ff \U0001fbff \U000e0080",
    "\ufffd re\ufffdplace\ufffd",
    "pri\ue000vate \U000f0000 \U0010fffd",
    "non\ufdd0character\ufffe\uffff\U0001ffff",
    # special tokens written out
    "Paris is the [MASK] of France.",
    "[CLS] inside [SEP] the text [PAD] [UNK]",
    "glued[MASK]together[SEP][SEP]and [mask] [ MASK ] [MASK",
    "[MASK]",
    "##ing ## #hash ##",
    # punctuation runs and tokens that are all punctuation
    "!!!???...---___***",
    "a-b_c/d\\e|f~g^h`i'j\"k<l>m{n}o[p]q(r)s",
    "\u2018single\u2019 \u201cdouble\u201d \u00abguillemets\u00bb \u2013 \u2014 \u2026 \u00bfqu\u00e9? \u00a1no!",
    "$ + < = > ^ ` | ~ \u20ac \u00a3 \u00a5 \u20b9 \u00b0 \u00b1 \u00d7 \u00f7 \u221e \u2211",
    "\u3001\u3002\uff0c\uff1b\uff1a\uff1f\uff01\u3010\u3011\u300a\u300b\uff5e\u00b7",
    "#hashtag @user_name C++ C# .NET don't rock'n'roll A.B.C. e.g., i.e.",
    "https://www.example.com/a/b?c=d&e=%20f#g mailto:first.last@example.org",
    "C:\\Users\\name\\file.txt ~/dir/../x.tar.gz --flag=value; rm -rf /",
    "<html><body class=\"x\">&amp;&nbsp;</body></html>",
    "def f(x): return {'a': [x, x**2], \"b\": lambda y: y != x}",
    # mixed
    "M\u00fcller\u8bf4\uff1a\u201cHello\u201d\U0001f600\u0301!!\u200b\u3000\u00dfx\u0000y",
    "\u03b1\u03b2\u03b3abc\u0430\u0431\u0432\u4e2d\u6587\ud55c\uae00\u05d0\u05d1\u05d2",
    "iPhone15Pro CamelCaseWord snake_case_word 3D mp3 x86_64 COVID-19",
    "aA\u0041\u030a\u00c5\u212b",
]

# Words about the limit of 100 characters, after which WordPiece gives up, and long ones.
LONG = [
    "x" * 99,
    "x" * 100,
    "x" * 101,
    "e\u0301" * 100,
    "\u00e9" * 101,
    "supercalifragilistic" * 15,
    "a" * 300,
    "b" * 100 + " " + "c" * 101 + " d",
    "-" * 120,
    "\u4e2d" * 110,
    "\u304b" * 101,
]

# Shorter lists, where the vocabulary doesn't matter.
SENTENCES = [
    "The quick brown fox jumps over the lazy dog near the old river bank.",
    "Who wrote it?",
    "A man, a plan, a canal: Panama!",
    "\u6211\u7231\u5317\u4eac and na\u00efve caf\u00e9s \U0001f355 un\u00adbreakable",
    "word " * 20,
    "",
    "[MASK] is [SEP] not the end",
]

PAIRS = [
    (0, 1),
    (1, 0),
    (0, 2),
    (2, 3),
    (3, 2),
    (4, 4),
    (4, 1),
    (5, 1),
    (1, 5),
    (5, 5),
    (6, 3),
]


def load(vocabulary, options, directory):
    """A tokenizer as transformers reads it from a checkpoint directory with vocab.txt and tokenizer_config.json."""
    directory = Path(directory)
    directory.mkdir(parents=True)
    (directory / "vocab.txt").write_bytes(Path(vocabulary).read_bytes())
    config = {"tokenizer_class": "BertTokenizer", "model_max_length": 512, **options}
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = BertTokenizer.from_pretrained(directory)
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    normalizer = backend["normalizer"]
    wanted = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": options.get("tokenize_chinese_chars", True),
        "strip_accents": options.get("strip_accents"),
        "lowercase": options["do_lower_case"],
    }
    assert normalizer == wanted, (normalizer, wanted)
    assert backend["model"]["max_input_chars_per_word"] == 100
    lines = Path(vocabulary).read_text(encoding="utf-8").split("\n")
    lines = lines[:-1] if lines[-1] == "" else lines
    assert len(tokenizer) == len(lines), (len(tokenizer), len(lines))
    # The tokenizers crate trims white space from the end of a line: bert-base-chinese has U+2028 as a token, and loses it.
    assert tokenizer.convert_ids_to_tokens(list(range(len(lines)))) == [line.rstrip() for line in lines]
    return tokenizer


def single(name, tokenizer, text, max_length=None):
    """One text, with specials; offsets count Unicode scalar values, end excluded."""
    limit = {"truncation": True, "max_length": max_length} if max_length else {}
    encoded = tokenizer(text, return_offsets_mapping=True, return_token_type_ids=True, verbose=False, **limit)
    return {
        "vocab": name,
        "text": text,
        "max_length": max_length,
        "tokens": tokenizer.convert_ids_to_tokens(encoded["input_ids"]),
        "ids": encoded["input_ids"],
        "type_ids": encoded["token_type_ids"],
        "offsets": [list(span) for span in encoded["offset_mapping"]],
    }


def pair(name, tokenizer, first, second, strategy, max_length):
    """Two texts, cut to `max_length` by `strategy`; "error" where transformers refuses."""
    record = {"vocab": name, "text": first, "pair": second, "strategy": strategy, "max_length": max_length}
    limit = {"truncation": strategy, "max_length": max_length} if max_length else {}
    try:
        encoded = tokenizer(first, second, return_offsets_mapping=True, return_token_type_ids=True, verbose=False, **limit)
    except BaseException as error:  # the Rust side panics through pyo3
        if isinstance(error, KeyboardInterrupt):
            raise
        return {**record, "error": str(error).splitlines()[0]}
    return {
        **record,
        "ids": encoded["input_ids"],
        "type_ids": encoded["token_type_ids"],
        "offsets": [list(span) for span in encoded["offset_mapping"]],
    }


def windows(name, tokenizer, first, second, max_length, stride):
    """The second text in overlapping windows, as question answering cuts a passage (`stride` tokens overlap)."""
    encoded = tokenizer(
        first, second, truncation="only_second", max_length=max_length, stride=stride,
        return_overflowing_tokens=True, return_offsets_mapping=True, return_token_type_ids=True, verbose=False,
    )
    return {
        "vocab": name,
        "text": first,
        "pair": second,
        "strategy": "only_second",
        "max_length": max_length,
        "stride": stride,
        "windows": [
            {
                "ids": encoded["input_ids"][i],
                "type_ids": encoded["token_type_ids"][i],
                "offsets": [list(span) for span in encoded["offset_mapping"][i]],
            }
            for i in range(len(encoded["input_ids"]))
        ],
    }


def batch(name, tokenizer, texts, pairs, padding, max_length, multiple):
    """Several texts padded together; attention_mask is 1 at real tokens."""
    encoded = tokenizer(
        texts, pairs, padding=padding, truncation=max_length is not None, max_length=max_length,
        pad_to_multiple_of=multiple, return_token_type_ids=True, return_attention_mask=True, verbose=False,
    )
    return {
        "vocab": name,
        "texts": texts,
        "pairs": pairs,
        "padding": padding,
        "max_length": max_length,
        "pad_to_multiple_of": multiple,
        "ids": encoded["input_ids"],
        "type_ids": encoded["token_type_ids"],
        "attention_mask": encoded["attention_mask"],
    }


def make(vocabularies, vocab_directory, where):
    """All records for a group of vocabularies."""
    described, singles, pairs, overflow, batches = {}, [], [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        tokenizers = {
            name: load(Path(vocab_directory) / file, options, Path(scratch) / name)
            for name, (file, options) in vocabularies.items()
        }
    for name, (file, options) in vocabularies.items():
        described[name] = {
            "file": file,
            "size": len(tokenizers[name]),
            "do_lower_case": options["do_lower_case"],
            "strip_accents": options.get("strip_accents"),
            "tokenize_chinese_chars": options.get("tokenize_chinese_chars", True),
        }
    for index, (name, tokenizer) in enumerate(tokenizers.items()):
        # Lengths and cutting don't depend on the vocabulary: two of them are enough.
        for text in NASTY + (LONG if index < 2 else []):
            singles.append(single(name, tokenizer, text))
        for text in SENTENCES if index < 2 else []:
            for max_length in (2, 3, 5, 9):
                singles.append(single(name, tokenizer, text, max_length))
    for index, (name, tokenizer) in enumerate(tokenizers.items()):
        for first, second in PAIRS if index < 2 else PAIRS[3:5]:
            first, second = SENTENCES[first], SENTENCES[second]
            pairs.append(pair(name, tokenizer, first, second, "longest_first", None))
            for strategy in ("longest_first", "only_first", "only_second"):
                for max_length in (4, 7, 12, 13, 21):
                    pairs.append(pair(name, tokenizer, first, second, strategy, max_length))
        overflow.append(windows(name, tokenizer, SENTENCES[1], SENTENCES[0] + " " + SENTENCES[3], 14, 3))
        overflow.append(windows(name, tokenizer, SENTENCES[1], SENTENCES[0], 12, 0))
        overflow.append(windows(name, tokenizer, SENTENCES[1], SENTENCES[2], 40, 8))
        if index < 2:
            texts = SENTENCES[:4] + [""]
            batches.append(batch(name, tokenizer, texts, None, "longest", None, None))
            batches.append(batch(name, tokenizer, texts, None, "longest", None, 8))
            batches.append(batch(name, tokenizer, texts, None, "longest", 9, None))
            batches.append(batch(name, tokenizer, texts, None, "max_length", 24, None))
            batches.append(batch(name, tokenizer, texts, list(reversed(texts)), "longest", 19, None))
    return {
        "about": where,
        "vocabularies": described,
        "singles": singles,
        "pairs": [record for record in pairs if "error" not in record],
        "pair_errors": [record for record in pairs if "error" in record][::7],
        "windows": overflow,
        "batches": batches,
    }


def write_bundled(directory):
    """The references for our own vocabulary: they need nothing from outside."""
    directory = Path(directory)
    about = "BertTokenizer of transformers over the vocabulary beside this file; schema: ../README.md"
    write_sections(directory / "bundled.json", make(BUNDLED_VOCABULARIES, directory, about))


def write_real(directory, vocab_directory):
    """The references for Google's vocabularies, which lie in `vocab_directory` and not in the project."""
    about = "BertTokenizer of transformers over Google's published vocabularies; schema: ../README.md"
    write_sections(Path(directory) / "reference.json", make(REAL_VOCABULARIES, vocab_directory, about))
