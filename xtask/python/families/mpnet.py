"""MPNet: RoBERTa's positions and heads, a relative position bias that all layers share, WordPiece with RoBERTa's special tokens."""

import copy
from functools import partial

import torch
from transformers import AutoTokenizer

from common import write_sections
from families import roberta
from family_fixtures import Family, Fixture
from head_fixtures import named
from model_fixtures import fillings
from tokenizer_kinds_fixtures import KINDS, write_directory

MASKED_TEXTS = ["The cat <mask> on the mat.", "the <mask> of the <mask>", "<mask>"]
sizes = roberta.sizes


def mistakes(probe):
    """Those of RoBERTa's heads, and those that the bias invites."""

    def changed(change):
        other = copy.deepcopy(probe.model.base_model)
        with torch.no_grad():
            change(other.encoder)
        return probe.of_encoder(other)

    def absent(encoder):
        encoder.relative_attention_bias.weight.zero_()

    def turned(encoder):
        encoder.relative_attention_bias.weight[:32] = encoder.relative_attention_bias.weight[:32].roll(16, 0)

    def before_scaling(encoder):
        encoder.relative_attention_bias.weight /= encoder.layer[0].attention.attn.attention_head_size ** 0.5

    def in_first_layer(encoder):
        for layer in encoder.layer[1:]:
            layer.attention.attn.forward = partial(without_bias, layer.attention.attn.forward)

    def without_bias(forward, hidden, mask=None, bias=None, **more):
        return forward(hidden, mask, None, **more)

    def other_distance(encoder):
        encoder.relative_position_bucket = partial(encoder.relative_position_bucket, max_distance=64)

    found = {"no bias": changed(absent), "bias of the other side": changed(turned), "bias before scaling": changed(before_scaling),
             "bias of the first layer alone": changed(in_first_layer)}
    if probe.fixture.sequence > 20:
        found["buckets up to another distance"] = changed(other_distance)
    return found | roberta.mistakes(probe)


def extras(directory, fixture, model):
    """The tokenizer of the masked LM, and fillings of masks."""
    if fixture.head != "mlm":
        return
    write_directory(directory, KINDS["mpnet"], has_config=True)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    fills = fillings(tokenizer, MASKED_TEXTS, lambda encoded: model(**arguments(encoded)).logits)
    about = "float64; text through this directory, a filling for each mask"
    write_sections(directory / "text_reference.json", {"about": about, "fill_mask": fills})


def arguments(encoded):
    """What the model takes of a text."""
    return {name: encoded[name] for name in ("input_ids", "attention_mask")}


FAMILY = Family(
    prefix="MPNet",
    padding=1,
    segments=0,
    first_position=2,
    config=dict(layer_norm_eps=1e-5, hidden_act="gelu"),
    fixtures=[
        Fixture("base", sizes(97, 30, 3, 5, 37, 17), [17, 9, 4, 12], 17, 0.03, gain=1.0),
        # Distances beyond those that have a bucket each, and rows of the table that none has.
        Fixture("base", sizes(53, 12, 2, 3, 25, 41, relative_attention_num_buckets=37), [41, 23], 41, variant="far", gain=1.2),
        Fixture("mlm", sizes(KINDS["mpnet"][0]()[0].get_vocab_size(), 18, 2, 3, 25, 46, hidden_act="relu"), [12, 7, 10], 12, gain=1.4),
        Fixture("sequence", sizes(37, 15, 2, 3, 22, 11, **named(["contradiction", "entailment", "neutral"])), [9, 5, 7, 8], 9, gain=1.4),
        Fixture("token", sizes(41, 16, 2, 4, 21, 12, **named(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])), [11, 6, 9], 11, gain=1.4),
        Fixture("question-answering", sizes(43, 18, 2, 6, 23, 13), [12, 10, 7, 11], 12, gain=1.4),
        Fixture("multiple-choice", sizes(35, 10, 2, 5, 27, 8), [8, 6, 7, 5, 8, 4], 8, 0.3, gain=1.4),
    ],
    mistakes=mistakes,
    extras=extras,
)
