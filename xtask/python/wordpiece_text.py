"""The tokenizer and the filled masks of families that have BERT's tokenizer."""

import json
import shutil
from pathlib import Path

from transformers import AutoTokenizer

from common import write_sections, write_text
from model_fixtures import MASKED_TEXTS, fillings

VOCABULARY = Path(__file__).resolve().parents[2] / "bert-core/fixtures/tokenizer/vocab.txt"
VOCABULARY_SIZE = 194


def write(directory, model, tokenizer_class):
    """vocab.txt and tokenizer_config.json beside a masked LM, and what it fills into the masks of texts."""
    shutil.copyfile(VOCABULARY, directory / "vocab.txt")
    config = {"do_lower_case": True, "model_max_length": 46, "tokenizer_class": tokenizer_class}
    write_text(directory / "tokenizer_config.json", json.dumps(config, indent=2) + "\n")
    tokenizer = AutoTokenizer.from_pretrained(directory)
    assert len(tokenizer) == VOCABULARY_SIZE == model.config.vocab_size
    takes = model.base_model.forward.__code__.co_varnames

    def logits_of(encoded):
        given = {name: value for name, value in encoded.items() if name != "token_type_ids" or name in takes}
        return model(**given).logits

    fills = fillings(tokenizer, MASKED_TEXTS, logits_of)
    about = "float64; text through this directory, a filling for each mask"
    write_sections(directory / "text_reference.json", {"about": about, "fill_mask": fills})
