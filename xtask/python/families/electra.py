"""ELECTRA: embeddings of another width, heads of its own, the discriminator of replaced tokens."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

import wordpiece_text
from common import Seeded
from family_fixtures import Family, Fixture
from head_fixtures import IGNORED, named


def sizes(vocab, embedding, hidden, layers, heads, intermediate, longest, **more):
    """The fields of config.json."""
    return dict(
        vocab_size=vocab, embedding_size=embedding, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=intermediate, max_position_embeddings=longest, **more,
    )


def mistakes(probe):
    """Those that the heads of ELECTRA invite."""
    fixture, model, record, right = probe.fixture, probe.model, probe.record, probe.right
    if fixture.head == "sequence":
        head = model.classifier
        wrong = head.out_proj(torch.tanh(head.dense(right[:, 0])))
        return {"activation of the classifier": (wrong - record["logits"]).abs().max().item()}
    if fixture.head == "mlm":
        head = model.generator_predictions
        hidden = head.LayerNorm(torch.relu(head.dense(right)))
        wrong = model.generator_lm_head(hidden)
        return {"activation of the head": (wrong - record["logits"])[probe.real].abs().max().item()}
    if fixture.head == "pretraining":
        head = model.discriminator_predictions
        wrong = head.dense_prediction(torch.tanh(head.dense(right))).squeeze(-1)
        return {"activation of the discriminator": (wrong - record["logits"])[probe.real].abs().max().item()}
    return {}


def labels(fixture, batch):
    """Replaced tokens, for the discriminator."""
    numbers = Seeded(f"{fixture.name}/labels")
    mask = batch["attention_mask"]
    replaced = torch.from_numpy(numbers.integers(0, 4, tuple(mask.shape))) == 0
    return {"labels": torch.where(mask == 1, replaced.long(), torch.full_like(mask, IGNORED))}


def loss(output, wanted):
    """The discriminator's, over all tokens but padding."""
    active = wanted["labels"] != IGNORED
    return binary_cross_entropy_with_logits(output.logits[active], wanted["labels"][active].to(output.logits.dtype))


def extras(directory, fixture, model):
    """The tokenizer of the masked LM, and fillings of masks."""
    if fixture.head == "mlm":
        wordpiece_text.write(directory, model, "ElectraTokenizer")


FAMILY = Family(
    prefix="Electra",
    padding=0,
    segments=2,
    first_position=0,
    config=dict(hidden_act="gelu", layer_norm_eps=1e-12, type_vocab_size=2),
    fixtures=[
        Fixture("base", sizes(97, 21, 30, 3, 5, 37, 17), [17, 9, 4, 12], 17, 0.03, gain=1.2),
        Fixture("mlm", sizes(wordpiece_text.VOCABULARY_SIZE, 14, 18, 2, 3, 25, 46, hidden_act="relu"), [12, 7, 10], 12, gain=1.2),
        # As wide as the blocks: without a projection.
        Fixture("sequence", sizes(37, 15, 15, 2, 3, 22, 11, classifier_dropout=0.25,
                                  **named(["contradiction", "entailment", "neutral"])), [9, 5, 7, 8], 9, gain=1.2),
        Fixture("token", sizes(41, 11, 16, 2, 4, 21, 12, **named(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])), [11, 6, 9], 11, gain=1.2),
        Fixture("question-answering", sizes(43, 13, 18, 2, 6, 23, 13), [12, 10, 7, 11], 12, gain=1.2),
        Fixture("multiple-choice", sizes(35, 9, 10, 2, 5, 27, 8), [8, 6, 7, 5, 8, 4], 8, 0.3, gain=1.2),
        Fixture("pretraining", sizes(45, 12, 20, 2, 4, 31, 10), [10, 7, 9], 10, gain=1.2),
    ],
    mistakes=mistakes,
    labels=labels,
    loss=loss,
    extras=extras,
)
