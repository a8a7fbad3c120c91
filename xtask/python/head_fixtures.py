"""Golden task heads: a tiny BERT for every class of transformers that has one, its logits, loss and gradients."""

from pathlib import Path

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss
from transformers import (
    BertForMultipleChoice,
    BertForNextSentencePrediction,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)

from common import Seeded
from model_fixtures import (
    Fixture,
    detached,
    inputs,
    perturbed,
    prove_it_would_tell,
    put_gradients,
    write_checkpoint,
    write_reference,
)

IGNORED = -100
# Rows of the multiple-choice batch that make one example.
CHOICES = 3


def named(labels):
    """The fields of config.json that name the outputs of a classifier."""
    return {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}


FIXTURES = [
    Fixture(
        "heads/single-label",
        BertForSequenceClassification,
        dict(vocab_size=37, hidden_size=15, num_hidden_layers=2, num_attention_heads=3, intermediate_size=22,
             max_position_embeddings=13, type_vocab_size=2, hidden_act="gelu", layer_norm_eps=1e-12,
             classifier_dropout=0.25, **named(["contradiction", "entailment", "neutral"])),
        lengths=[9, 5, 7, 8], sequence=9, embedding_std=0.2,
    ),
    Fixture(
        "heads/multi-label",
        BertForSequenceClassification,
        dict(vocab_size=31, hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=19,
             max_position_embeddings=10, type_vocab_size=2, hidden_act="relu", layer_norm_eps=1e-12,
             problem_type="multi_label_classification", **named(["toxic", "obscene", "threat", "insult", "hate"])),
        lengths=[7, 4, 6], sequence=7, embedding_std=0.3,
    ),
    Fixture(
        "heads/regression",
        BertForSequenceClassification,
        dict(vocab_size=29, hidden_size=14, num_hidden_layers=1, num_attention_heads=7, intermediate_size=17,
             max_position_embeddings=11, type_vocab_size=2, hidden_act="gelu_new", layer_norm_eps=1e-12,
             problem_type="regression", **named(["similarity"])),
        lengths=[8, 8, 3, 6, 5], sequence=8, embedding_std=0.3, gain=2.6,
    ),
    Fixture(
        "heads/token",
        BertForTokenClassification,
        dict(vocab_size=41, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=21,
             max_position_embeddings=14, type_vocab_size=2, hidden_act="gelu", layer_norm_eps=1e-12,
             **named(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])),
        lengths=[11, 6, 9], sequence=11, embedding_std=0.2,
    ),
    Fixture(
        "heads/question-answering",
        BertForQuestionAnswering,
        dict(vocab_size=43, hidden_size=18, num_hidden_layers=2, num_attention_heads=6, intermediate_size=23,
             max_position_embeddings=15, type_vocab_size=2, hidden_act="gelu", layer_norm_eps=1e-12),
        lengths=[12, 10, 7, 11], sequence=12, embedding_std=0.2,
    ),
    Fixture(
        "heads/multiple-choice",
        BertForMultipleChoice,
        dict(vocab_size=35, hidden_size=10, num_hidden_layers=2, num_attention_heads=5, intermediate_size=27,
             max_position_embeddings=9, type_vocab_size=2, hidden_act="gelu", layer_norm_eps=1e-12),
        lengths=[8, 6, 7, 5, 8, 4], sequence=8, embedding_std=0.3,
    ),
    Fixture(
        "heads/next-sentence",
        BertForNextSentencePrediction,
        dict(vocab_size=33, hidden_size=20, num_hidden_layers=2, num_attention_heads=4, intermediate_size=26,
             max_position_embeddings=12, type_vocab_size=2, hidden_act="gelu", layer_norm_eps=1e-12),
        lengths=[10, 7, 9], sequence=10, embedding_std=0.2,
    ),
]


def labels(fixture, batch):
    """The arguments that make transformers compute a loss; every kind of label that the loss treats on its own."""
    numbers = Seeded(f"{fixture.name}/labels")
    rows, sequence = batch["input_ids"].shape
    count = len(fixture.config.get("id2label", {}))
    if fixture.name == "heads/multi-label":
        return {"labels": torch.from_numpy(numbers.integers(0, 2, (rows, count))).double()}
    if fixture.name == "heads/regression":
        return {"labels": torch.from_numpy(numbers.normal((rows, 1), mean=2.0))}
    if fixture.model is BertForTokenClassification:
        tags = torch.from_numpy(numbers.integers(0, count, (rows, sequence)))
        # [CLS], every fourth token (a later piece of a word) and padding carry no label.
        tags[:, 0] = IGNORED
        tags[:, 3::4] = IGNORED
        return {"labels": torch.where(batch["attention_mask"] == 1, tags, torch.full_like(tags, IGNORED))}
    if fixture.model is BertForQuestionAnswering:
        # A span, no answer, a span that begins outside and ends inside, and one that is not in this window at all.
        return {
            "start_positions": torch.tensor([3, 0, -1, sequence + 4]),
            "end_positions": torch.tensor([5, 0, 4, sequence]),
        }
    if fixture.model is BertForMultipleChoice:
        return {"labels": torch.tensor([2, 0])}
    if fixture.model is BertForNextSentencePrediction:
        return {"labels": torch.arange(rows) % 2}
    return {"labels": (torch.arange(rows) * 2 + 1) % count}


def reference(fixture, model):
    """What the float64 model computes for the batch, and the gradient of every parameter."""
    batch = inputs(fixture)
    wanted = labels(fixture, batch)
    record = {**batch, **wanted}
    shaped = batch
    if fixture.model is BertForMultipleChoice:
        shaped = {name: value.view(-1, CHOICES, value.shape[1]) for name, value in batch.items()}
    model.zero_grad()
    # transformers never trains the vector of [PAD], Google's program does, and so do we. Question answering shows it:
    # its softmax runs over padding too.
    model.bert.embeddings.word_embeddings.padding_idx = None
    output = model(**shaped, **wanted)
    if fixture.model is BertForQuestionAnswering:
        record["start_logits"], record["end_logits"] = output.start_logits, output.end_logits
    else:
        record["logits"] = output.logits
    put_gradients(record, model, output.loss)
    if fixture.name in ("heads/single-label", "heads/token"):
        count = output.logits.shape[-1]
        weights = torch.from_numpy(Seeded(f"{fixture.name}/class_weights").normal((count,), mean=1.0, std=0.3)).abs()
        logits = output.logits.detach().clone().requires_grad_()
        flat = logits.view(-1, count)
        weighted = cross_entropy(flat, wanted["labels"].flatten(), weight=weights, ignore_index=IGNORED)
        weighted.backward()
        record["class_weights"] = weights
        record["weighted_loss"] = weighted
        record["weighted_logits_gradient"] = logits.grad
        assert abs(weighted - output.loss) > 1e-3
    return detached(record)


def prove_the_loss(fixture, record):
    """The loss is the one that its name says, and the mistakes near at hand give another."""
    loss, wrong = record["loss"], {}
    if fixture.model is BertForQuestionAnswering:
        start, end = record["start_logits"], record["end_logits"]
        first, last = record["start_positions"].clone(), record["end_positions"].clone()
        first[first < 0] = 0
        inside = first < start.shape[1]
        by_hand = (cross_entropy(start[inside], first[inside]) + cross_entropy(end[inside], last[inside])) / 2
        wrong["sum of both ends"] = 2 * by_hand
        wrong["ends swapped"] = (cross_entropy(end[inside], first[inside]) + cross_entropy(start[inside], last[inside])) / 2
        wrong["ignored rows counted"] = by_hand * inside.double().mean()
    elif fixture.name == "heads/multi-label":
        by_hand = binary_cross_entropy_with_logits(record["logits"], record["labels"])
        wrong["sum over the labels"] = by_hand * record["labels"].shape[1]
        wrong["labels turned around"] = binary_cross_entropy_with_logits(record["logits"], 1 - record["labels"])
    elif fixture.name == "heads/regression":
        by_hand = mse_loss(record["logits"], record["labels"])
        wrong["half the square"] = by_hand / 2
        wrong["every output against every label"] = (record["logits"] - record["labels"].T).pow(2).mean()
    else:
        logits, wanted = record["logits"].flatten(0, -2), record["labels"].flatten()
        real = wanted != IGNORED
        by_hand = cross_entropy(logits[real], wanted[real])
        wrong["another order of the labels"] = cross_entropy(logits.flip(-1)[real], wanted[real])
        if not real.all():
            wrong["ignored tokens counted"] = by_hand * real.double().mean()
            wrong["ignored tokens labelled 0"] = cross_entropy(logits, wanted.clamp(min=0))
    assert torch.allclose(loss, by_hand, rtol=1e-12, atol=0), (loss, by_hand)
    blind = {what: (value - loss).item() for what, value in wrong.items() if abs(value - loss) < 1e-3}
    assert not blind, f"{fixture.name} can't tell: {blind}"


def write_all(out):
    """Every golden head."""
    for fixture in FIXTURES:
        directory = Path(out) / fixture.name
        write_checkpoint(perturbed(fixture), directory)
        model = perturbed(fixture, torch.float64)
        record = reference(fixture, model)
        with torch.no_grad():
            hidden = model.bert(**inputs(fixture)).last_hidden_state
        prove_it_would_tell(fixture, model, {"sequence_output": hidden})
        prove_the_loss(fixture, record)
        write_reference(directory, record)
