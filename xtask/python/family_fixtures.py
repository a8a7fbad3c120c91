"""Golden files of the families: tiny models of every class that has a head, and what they give in float64.

A family is a file in `families/` with a table called `FAMILY`; nothing here knows its name.
"""

import importlib
import inspect
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import transformers
from torch.nn.functional import cross_entropy

from common import Seeded
from head_fixtures import CHOICES, IGNORED
from model_fixtures import assert_visible, detached, loss_weights, put_gradients, put_layers, redraw, write_checkpoint, write_reference

# Heads, and the ends of their classes' names.
HEADS = {
    "base": "Model",
    "mlm": "ForMaskedLM",
    "sequence": "ForSequenceClassification",
    "token": "ForTokenClassification",
    "question-answering": "ForQuestionAnswering",
    "multiple-choice": "ForMultipleChoice",
    "pretraining": "ForPreTraining",
}

# Other activations that a mistake may put in the place of one.
OTHER_ACTIVATION = {"gelu": "gelu_new"}


@dataclass
class Fixture:
    """One configuration and its batch; sizes are odd and distinct, so that a swapped axis fails."""

    head: str
    config: dict
    # One row a text: how many positions are real; the rest of `sequence` is padding.
    # Question answering takes 4 rows, multiple choice 6.
    lengths: list
    sequence: int
    # Deviation of the embedding tables; at 0.03 or less the epsilon of the first LayerNorm is visible.
    embedding_std: float = 0.2
    # Deviation of a dense weight, times the square root of hidden_size.
    gain: float = 1.7
    # What tells it from the others of its head, as a part of the directory's name.
    variant: str = ""
    # Rows of the segment table that its inputs use, if they are not those of the family.
    segments: int | None = None
    name: str = field(init=False, default="")

    def named_in(self, family):
        """The fixture with the directory and the segments that it has in a family."""
        self.name = "/".join([family.model_type, "-".join(filter(None, [self.head, self.variant]))])
        self.segments = family.segments if self.segments is None else self.segments
        return self


@dataclass
class Family:
    """A family: classes of transformers, and what its configuration and inputs are like."""

    # Beginning of the names of its classes: PREFIXConfig, PREFIXModel, PREFIXForMaskedLM, …
    prefix: str
    fixtures: list
    # pad_token_id: rows are padded with it, and it stands nowhere else.
    padding: int
    # Rows of the segment table that inputs use: 0 or 1 give no segments.
    segments: int
    # Position of the first token in a table of position embeddings; None without a table.
    first_position: int | None
    # Fields of config.json for every fixture.
    config: dict = field(default_factory=dict)
    # Names of the fields that mistakes change; None if there is none.
    heads_key: str = "num_attention_heads"
    activation_key: str = "hidden_act"
    epsilon_key: str | None = "layer_norm_eps"
    # False if what stands at padding is not defined: it is NaN in the reference, and no test compares it.
    padding_defined: bool = True
    # The family's own mistakes: takes a Probe, gives how far each moves an output.
    mistakes: Callable = lambda probe: {}
    # Labels of a head that the script has none for: takes fixture and inputs, gives arguments of the model.
    labels: Callable | None = None
    # Loss of a head whose class computes it in 32 bits: takes the output of the model and the labels.
    loss: Callable | None = None
    # Gives the values of a record the names of the files, where gradients have others in memory.
    stored: Callable = lambda record: record
    # Writes more files into the directory of a fixture: takes directory, fixture, float64 model.
    extras: Callable = lambda directory, fixture, model: None

    @property
    def model_type(self):
        """The name of its directory of golden files."""
        return self.config_class.model_type

    @property
    def config_class(self):
        """The class of its configuration."""
        return getattr(transformers, f"{self.prefix}Config")

    def model_class(self, fixture):
        """The class of a fixture's model."""
        return getattr(transformers, f"{self.prefix}{HEADS[fixture.head]}")


@dataclass
class Probe:
    """What a family's mistakes are made with."""

    family: Family
    fixture: Fixture
    model: torch.nn.Module
    record: dict
    # Arguments of the model.
    given: dict
    # True at tokens, false at padding.
    real: torch.Tensor
    # The right last hidden states.
    right: torch.Tensor

    def difference(self, change, **overrides):
        """How far other fields of config.json or other arguments move the last hidden states."""
        other = perturbed(self.family, self.fixture, torch.float64, **change).base_model
        return self.of_encoder(other, **overrides)

    def of_encoder(self, encoder, **overrides):
        """How far the last hidden states of another encoder are."""
        with torch.no_grad():
            wrong = encoder(**{**self.given, **overrides}).last_hidden_state
        return (wrong - self.right)[self.real].abs().max().item()


def perturbed(family, fixture, dtype=torch.float32, **change):
    """The model with every parameter drawn afresh: at its own initialisation too many mistakes go unseen."""
    fields = {"pad_token_id": family.padding, **family.config, **fixture.config, **change}
    model = family.model_class(fixture)(family.config_class(**fields, attn_implementation="eager"))
    redraw(fixture, model, fixture.gain)
    # transformers never trains the vectors of padding, Google's program does, and so do we.
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            module.padding_idx = None
    return model.eval().to(dtype)


def inputs(family, fixture, vocab_size):
    """Token ids (that of padding only as padding), segments in runs, the mask."""
    numbers = Seeded(f"{fixture.name}/inputs")
    shape = (len(fixture.lengths), fixture.sequence)
    ids = numbers.integers(family.padding + 1, vocab_size, shape)
    mask = np.zeros(shape, dtype=np.int64)
    types = np.zeros(shape, dtype=np.int64)
    for row, length in enumerate(fixture.lengths):
        ids[row, length:] = family.padding
        mask[row, :length] = 1
        types[row, :length] = np.arange(length) * max(fixture.segments, 1) // length
    return {
        "input_ids": torch.from_numpy(ids),
        "token_type_ids": torch.from_numpy(types),
        "attention_mask": torch.from_numpy(mask),
    }


def arguments(model, batch):
    """The part of a batch that a model takes."""
    takes = inspect.signature(model.forward).parameters
    return {name: value for name, value in batch.items() if name != "token_type_ids" or name in takes}


def labels(family, fixture, model, batch):
    """The arguments that make transformers compute a loss."""
    numbers = Seeded(f"{fixture.name}/labels")
    mask = batch["attention_mask"]
    rows, sequence = mask.shape
    count = len(fixture.config.get("id2label", {}))
    ignored = torch.full((rows, sequence), IGNORED)
    if fixture.head == "mlm":
        wanted = torch.from_numpy(numbers.integers(0, model.config.vocab_size, (rows, sequence)))
        chosen = torch.from_numpy(numbers.integers(0, 3, (rows, sequence))) == 0
        chosen[:, 1] = True
        return {"labels": torch.where(chosen & (mask == 1), wanted, ignored)}
    if fixture.head == "token":
        tags = torch.from_numpy(numbers.integers(0, count, (rows, sequence)))
        tags[:, 0] = IGNORED
        tags[:, 3::4] = IGNORED
        return {"labels": torch.where(mask == 1, tags, ignored)}
    if fixture.head == "question-answering":
        assert rows == 4 and (family.padding_defined or min(fixture.lengths) == sequence)
        return {
            "start_positions": torch.tensor([3, 0, -1, sequence + 4]),
            "end_positions": torch.tensor([5, 0, 4, sequence]),
        }
    if fixture.head == "multiple-choice":
        assert rows == 2 * CHOICES
        return {"labels": torch.tensor([2, 0])}
    if fixture.head == "sequence":
        return {"labels": (torch.arange(rows) * 2 + 1) % count}
    return family.labels(fixture, batch)


def reference(family, fixture, model):
    """Everything the float64 model computes for the batch, and the gradient of every parameter."""
    batch = inputs(family, fixture, model.config.vocab_size)
    record = dict(batch)
    given = arguments(model, batch)
    model.zero_grad()
    if fixture.head == "base":
        output = model(**given, output_hidden_states=True, output_attentions=True)
        put_layers(record, output)
        record["embeddings"] = output.hidden_states[0]
        first, second = loss_weights(fixture, batch, model.config.hidden_size)
        record["sequence_output"], record["loss_weights.sequence"] = output.last_hidden_state, first
        loss = (output.last_hidden_state * first).sum()
        pooled = getattr(output, "pooler_output", None)
        if pooled is not None:
            record["pooled_output"], record["loss_weights.pooled"] = pooled, second
            loss = loss + (pooled * second).sum()
    else:
        wanted = labels(family, fixture, model, batch)
        record |= wanted
        if fixture.head == "multiple-choice":
            given = {name: value.view(-1, CHOICES, value.shape[1]) for name, value in given.items()}
        output = model(**given, **wanted)
        loss = output.loss
        if loss.dtype != torch.float64:
            loss = family.loss(output, wanted)
            assert torch.allclose(loss.float(), output.loss), f"{fixture.name}: another loss"
        record |= {name: value for name, value in output.items() if name.endswith("logits")}
        if fixture.head == "mlm":
            record["mlm_loss"] = cross_entropy(output.logits.flatten(0, 1), wanted["labels"].flatten(), ignore_index=IGNORED)
    put_gradients(record, model, loss)
    return detached(record)


def prove_it_would_tell(family, fixture, model, record):
    """A fixture that also passes with a mistake in the code proves nothing: make the usual ones and see them."""
    given = arguments(model.base_model, {name: record[name] for name in ("input_ids", "token_type_ids", "attention_mask")})
    with torch.no_grad():
        right = model.base_model(**given).last_hidden_state
    probe = Probe(family, fixture, model, record, given, record["attention_mask"].bool(), right)
    fields = {**family.config, **fixture.config}
    own = fields[family.activation_key]
    found = {
        "heads": probe.difference({family.heads_key: 1}),
        "activation": probe.difference({family.activation_key: OTHER_ACTIVATION.get(own, "gelu")}),
    }
    if min(fixture.lengths) < fixture.sequence:
        found["mask ignored"] = probe.difference({}, attention_mask=torch.ones_like(given["attention_mask"]))
    if fixture.segments > 1:
        found["segments ignored"] = probe.difference({}, token_type_ids=torch.zeros_like(given["token_type_ids"]))
    if family.first_position is not None:
        in_order = torch.arange(fixture.sequence).expand_as(given["input_ids"])
        rows = model.config.max_position_embeddings
        for first in range(3):
            if first != family.first_position and (first < family.first_position or first == 1):
                found[f"positions from {first}"] = probe.difference({}, position_ids=(in_order + first) % rows)
    if family.epsilon_key and fixture.embedding_std <= 0.03:
        found["epsilon"] = probe.difference({family.epsilon_key: 1e-12 if fields[family.epsilon_key] > 1e-9 else 1e-5})
    with torch.no_grad():
        found |= family.mistakes(probe)
    assert_visible(fixture, found)


def without_padding(record):
    """NaN wherever a value belongs to a token of padding: nothing is to be compared there."""
    padding = record["attention_mask"] == 0
    for name, value in record.items():
        if name.startswith("grad.") or not value.is_floating_point():
            continue
        if name.startswith("attentions."):
            record[name] = value.masked_fill(padding[:, None, :, None], torch.nan)
        elif name != "loss_weights.sequence" and value.shape[:2] == padding.shape:
            shape = padding.shape + (1,) * (value.dim() - 2)
            record[name] = value.masked_fill(padding.view(shape), torch.nan)


def write_family(out, family):
    """Every golden file of a family, in an otherwise empty directory."""
    shutil.rmtree(out / family.model_type, ignore_errors=True)
    for fixture in family.fixtures:
        fixture.named_in(family)
        directory = out / fixture.name
        write_checkpoint(perturbed(family, fixture), directory)
        model = perturbed(family, fixture, torch.float64)
        record = reference(family, fixture, model)
        prove_it_would_tell(family, fixture, model, record)
        # Eager attention of transformers makes NaN of a token that no other may be seen from, as padding beyond a window.
        assert all(torch.isfinite(value).all() for value in record.values()), f"{fixture.name}: not a number"
        if not family.padding_defined:
            without_padding(record)
        record = family.stored(record)
        write_reference(directory, record, finite=family.padding_defined)
        family.extras(directory, fixture, model)


def names():
    """Every family, by the name of its file."""
    return sorted(path.stem for path in (Path(__file__).parent / "families").glob("*.py"))


def write(out, wanted=None):
    """The golden files of the wanted families, or of all."""
    for name in wanted or names():
        module = name.replace("-", "_")
        if module not in names():
            raise SystemExit(f"no family `{name}`; there are {', '.join(names())}")
        print(name, flush=True)
        write_family(Path(out), importlib.import_module(f"families.{module}").FAMILY)
