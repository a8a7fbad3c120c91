"""DistilBERT: no segments, no pooler, keys and names of its own."""

import torch

import wordpiece_text
from family_fixtures import Family, Fixture
from head_fixtures import named


def sizes(vocab, hidden, layers, heads, intermediate, longest, **more):
    """The fields of config.json."""
    return dict(
        vocab_size=vocab, dim=hidden, n_layers=layers, n_heads=heads, hidden_dim=intermediate,
        max_position_embeddings=longest, **more,
    )


def mistakes(probe):
    """Those that the heads of DistilBERT invite."""
    model, record, right = probe.model, probe.record, probe.right
    if probe.fixture.head == "sequence":
        hidden = torch.tanh(model.pre_classifier(right[:, 0]))
        return {"activation of the classifier": (model.classifier(hidden) - record["logits"]).abs().max().item()}
    return {}


def extras(directory, fixture, model):
    """The tokenizer of the masked LM, and fillings of masks."""
    if fixture.head != "mlm":
        return
    wordpiece_text.write(directory, model, "DistilBertTokenizer")


FAMILY = Family(
    prefix="DistilBert",
    padding=0,
    segments=0,
    first_position=0,
    config=dict(activation="gelu"),
    heads_key="n_heads",
    activation_key="activation",
    epsilon_key=None,
    fixtures=[
        Fixture("base", sizes(97, 30, 3, 5, 37, 17), [17, 9, 4, 12], 17, 0.03, gain=1.2),
        Fixture("mlm", sizes(wordpiece_text.VOCABULARY_SIZE, 18, 2, 3, 25, 46, activation="relu"), [12, 7, 10], 12, gain=1.2),
        Fixture("sequence", sizes(37, 15, 2, 3, 22, 11, seq_classif_dropout=0.25,
                                  **named(["contradiction", "entailment", "neutral"])), [9, 5, 7, 8], 9, gain=1.2),
        Fixture("token", sizes(41, 16, 2, 4, 21, 12, **named(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])), [11, 6, 9], 11, gain=1.2),
        Fixture("question-answering", sizes(43, 18, 2, 6, 23, 13), [12, 10, 7, 11], 12, gain=1.2),
        Fixture("multiple-choice", sizes(35, 10, 2, 5, 27, 8), [8, 6, 7, 5, 8, 4], 8, 0.3, gain=1.2),
    ],
    mistakes=mistakes,
    extras=extras,
)
