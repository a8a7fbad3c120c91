"""ALBERT: narrow embeddings with a projection, groups of layers that share their parameters."""

from transformers import AutoTokenizer

from common import write_sections
from family_fixtures import Family, Fixture
from head_fixtures import named
from model_fixtures import fillings
from tokenizer_kinds_fixtures import KINDS, write_directory

MASKED_TEXTS = ["The cat [MASK] on the mat.", "[MASK]"]


def sizes(vocab, embedding, hidden, layers, groups, heads, intermediate, longest, **more):
    """The fields of config.json."""
    return dict(
        vocab_size=vocab, embedding_size=embedding, hidden_size=hidden, num_hidden_layers=layers, num_hidden_groups=groups,
        num_attention_heads=heads, intermediate_size=intermediate, max_position_embeddings=longest, **more,
    )


def extras(directory, fixture, model):
    """The tokenizer of the masked LM, and fillings of masks."""
    if fixture.head != "mlm":
        return
    write_directory(directory, KINDS["albert"], has_config=True)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    fills = fillings(tokenizer, MASKED_TEXTS, lambda encoded: model(**encoded).logits)
    about = "float64; text through this directory, a filling for each mask"
    write_sections(directory / "text_reference.json", {"about": about, "fill_mask": fills})


FAMILY = Family(
    prefix="Albert",
    padding=0,
    segments=2,
    first_position=0,
    config=dict(hidden_act="gelu_new", layer_norm_eps=1e-12, type_vocab_size=2),
    fixtures=[
        # Two groups of two layers.
        Fixture("base", sizes(97, 21, 30, 4, 2, 5, 37, 17), [17, 9, 4, 12], 17, 0.03),
        Fixture("mlm", sizes(KINDS["albert"][0]()[0].get_vocab_size(), 14, 18, 3, 1, 3, 25, 46, hidden_act="gelu"),
                [12, 7, 10], 12, gain=1.4),
        # As wide as the blocks: with a projection all the same.
        Fixture("sequence", sizes(37, 15, 15, 2, 1, 3, 22, 11, classifier_dropout_prob=0.25,
                                  **named(["contradiction", "entailment", "neutral"])), [9, 5, 7, 8], 9),
        Fixture("token", sizes(41, 11, 16, 2, 1, 4, 21, 12, **named(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])), [11, 6, 9], 11, gain=1.2),
        Fixture("question-answering", sizes(43, 13, 18, 2, 2, 6, 23, 13), [12, 10, 7, 11], 12, gain=1.4),
        Fixture("multiple-choice", sizes(35, 9, 10, 2, 1, 5, 27, 8), [8, 6, 7, 5, 8, 4], 8, 0.3),
    ],
    extras=extras,
)
