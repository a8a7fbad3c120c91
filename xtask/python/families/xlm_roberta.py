"""XLM-R: the fixtures of RoBERTa for its classes, with a Unigram tokenizer."""

import dataclasses

from transformers import AutoTokenizer

from common import write_sections
from families import roberta
from model_fixtures import fillings
from tokenizer_kinds_fixtures import KINDS, write_directory

MASKED_TEXTS = ["The cat <mask> on the mat.", "Paris  <mask> <mask>", "<mask>"]


def of_roberta(prefix, kind, gains={}):
    """RoBERTa's table with the classes and the tokenizer of another family, with gains of their own for some heads."""
    vocab = KINDS[kind][0]()[0].get_vocab_size()

    def extras(directory, fixture, model):
        if fixture.head != "mlm":
            return
        write_directory(directory, KINDS[kind], has_config=True)
        tokenizer = AutoTokenizer.from_pretrained(directory)
        fills = fillings(tokenizer, MASKED_TEXTS, lambda encoded: model(**encoded).logits)
        about = "float64; text through this directory, a filling for each mask"
        write_sections(directory / "text_reference.json", {"about": about, "fill_mask": fills})

    fixtures = []
    for fixture in roberta.FAMILY.fixtures:
        config = fixture.config | ({"vocab_size": vocab} if fixture.head == "mlm" else {})
        fixtures.append(dataclasses.replace(fixture, config=config, gain=gains.get(fixture.head, fixture.gain)))
    return dataclasses.replace(roberta.FAMILY, prefix=prefix, fixtures=fixtures, extras=extras)


FAMILY = of_roberta("XLMRoberta", "xlm-roberta", {"token": 1.5})
