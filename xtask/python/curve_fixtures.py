"""Golden training curves: twenty updates of tiny-pretraining under each recipe, in float64 by torch alone."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch.nn.functional import cross_entropy
from transformers import BertForPreTraining
from transformers.utils import logging

from common import Seeded, write_bytes, write_text

logging.set_verbosity_error()
logging.disable_progress_bar()
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)

START = "tiny-pretraining"
UPDATES = 20
MICRO_BATCHES = 2
SEQUENCE = 10
PAD = 0
# Special tokens of the vocabulary come first.
FIRST_TOKEN = 5
# Labels come from the first few tokens only, so that there is something to learn in twenty updates.
LABELS = 16


@dataclass
class Recipe:
    """Every number of a recipe."""

    name: str
    optimizer: str
    peak: float
    epsilon: float
    bias_correction: bool
    mlm_denominator_epsilon: float
    # Added to the norm before it is divided by.
    clip_epsilon: float
    schedule: str
    warmup_updates: int
    total_updates: int = UPDATES
    beta_1: float = 0.9
    beta_2: float = 0.999
    weight_decay: float = 0.01
    clip_norm: float = 1.0


RECIPES = [
    Recipe("google", "adam", 1e-3, 1e-6, False, 1e-5, 0.0, "google", 5),
    Recipe("hf", "adam", 1e-3, 1e-8, True, 0.0, 1e-6, "hf", 5),
    Recipe("nvidia", "lamb", 1e-2, 1e-6, True, 0.0, 0.0, "nvidia", 5),
]

SCHEDULES = {
    "google": "k < warmup: peak * k / warmup; else peak * (1 - k / total), k = 0, 1, ...",
    "hf": "k < warmup: peak * k / warmup; else peak * (total - k) / (total - warmup), k = 0, 1, ...",
    "nvidia": "p = (k + 1) / total, f = warmup / total; p < f: peak * p / f; else peak * (1 - p) ** 0.5, k = 0, 1, ...",
}
OPTIMIZERS = {
    "adam": "g = gradient * c; m = b1 * m + (1 - b1) * g; v = b2 * v + (1 - b2) * g * g; "
    "p = p - lr * (m' / (sqrt(v') + epsilon) + decay * p)",
    "lamb": "g, m, v as adam; u = m' / (sqrt(v') + epsilon) + decay * p; "
    "p = p - lr * r * u, r = |p| / |u| where decay and both norms are not 0, else 1",
}


def learning_rate(recipe, update, shift=0):
    """Of update k = 0, 1, ...; `shift` is the mistake of counting from elsewhere."""
    k, peak, warmup, total = update + shift, recipe.peak, recipe.warmup_updates, recipe.total_updates
    if recipe.schedule == "nvidia":
        progress, fraction = (k + 1) / total, warmup / total
        return peak * progress / fraction if progress < fraction else peak * max(1 - progress, 0) ** 0.5
    if k < warmup:
        return peak * k / warmup
    if recipe.schedule == "google":
        return peak * (1 - k / total)
    return peak * (total - k) / (total - warmup)


def batches():
    """Micro-batches in the order of training, each with its own number of rows and predictions."""
    numbers = Seeded("pretraining-curves/batches")
    found = []
    for index in range(UPDATES * MICRO_BATCHES):
        # Two and three rows or more in turn: the mean of two means is not the mean over both.
        rows = 2 + index % 2 * (1 + index // 2 % 3)
        lengths = numbers.integers(5, SEQUENCE + 1, (rows,))
        lengths[0] = SEQUENCE
        ids = numbers.integers(FIRST_TOKEN, 194, (rows, SEQUENCE))
        columns = np.arange(SEQUENCE)[None, :]
        real = columns < lengths[:, None]
        segment = (columns >= (lengths // 2)[:, None]) & real
        chosen = (numbers.integers(0, 4 + index % 3, (rows, SEQUENCE)) == 0) & real & (columns > 0)
        chosen[0, 1] = True
        positions = np.flatnonzero(chosen)
        found.append({
            "input_ids": np.where(real, ids, PAD),
            "token_type_ids": segment.astype(np.int64),
            "attention_mask": real.astype(np.int64),
            "next_sentence_labels": numbers.integers(0, 2, (rows,)),
            "masked_positions": positions.astype(np.int64),
            "masked_labels": FIRST_TOKEN + numbers.integers(0, LABELS, positions.shape),
        })
    return [{name: torch.from_numpy(value) for name, value in batch.items()} for batch in found]


def losses(model, batch):
    """Sums of the two cross-entropies of a micro-batch."""
    inputs = {name: batch[name] for name in ("input_ids", "token_type_ids", "attention_mask")}
    output = model(**inputs)
    logits = output.prediction_logits.flatten(0, 1)[batch["masked_positions"]]
    mlm = cross_entropy(logits, batch["masked_labels"], reduction="sum")
    nsp = cross_entropy(output.seq_relationship_logits, batch["next_sentence_labels"], reduction="sum")
    return mlm, nsp


def decays(name):
    """Biases and all LayerNorm parameters are not decayed."""
    return not name.endswith("bias") and "LayerNorm" not in name


class Optimizer:
    """Adam and LAMB with decoupled decay, from their papers and programs, one tensor after the other."""

    def __init__(self, recipe, parameters, decay=decays):
        self.recipe, self.parameters, self.decay = recipe, parameters, decay
        self.first = {name: torch.zeros_like(value) for name, value in parameters.items()}
        self.second = {name: torch.zeros_like(value) for name, value in parameters.items()}
        self.steps = 0

    def step(self, gradients, rate):
        recipe = self.recipe
        self.steps += 1
        for name, parameter in self.parameters.items():
            gradient, first, second = gradients[name], self.first[name], self.second[name]
            first.mul_(recipe.beta_1).add_((1 - recipe.beta_1) * gradient)
            second.mul_(recipe.beta_2).add_((1 - recipe.beta_2) * gradient * gradient)
            corrected = (first, second)
            if recipe.bias_correction:
                corrected = (first / (1 - recipe.beta_1**self.steps), second / (1 - recipe.beta_2**self.steps))
            decay = recipe.weight_decay if self.decay(name) else 0.0
            update = corrected[0] / (corrected[1].sqrt() + recipe.epsilon) + decay * parameter
            ratio = 1.0
            if recipe.optimizer == "lamb" and decay != 0.0 and parameter.norm() > 0 and update.norm() > 0:
                ratio = parameter.norm() / update.norm()
            parameter.sub_(rate * ratio * update)


class TorchAdamW:
    """What transformers' Trainer uses, to hold our own formula against."""

    def __init__(self, recipe, parameters):
        groups = [
            {"params": [p for name, p in parameters.items() if decays(name)], "weight_decay": recipe.weight_decay},
            {"params": [p for name, p in parameters.items() if not decays(name)], "weight_decay": 0.0},
        ]
        betas = (recipe.beta_1, recipe.beta_2)
        self.parameters = parameters
        self.inner = torch.optim.AdamW(groups, lr=0.0, betas=betas, eps=recipe.epsilon, foreach=False)

    def step(self, gradients, rate):
        for group in self.inner.param_groups:
            group["lr"] = rate
        for name, parameter in self.parameters.items():
            parameter.grad = gradients[name]
        self.inner.step()


def train(start, recipe, data, optimizer=Optimizer, dtype=torch.float64, shift=0, union=True):
    """The curve and the final parameters; `shift` and `union` are mistakes to make."""
    model = BertForPreTraining.from_pretrained(start, attn_implementation="eager", dtype=torch.float32)
    model = model.eval().to(dtype)
    parameters = dict(model.named_parameters())
    assert len(parameters) == len({value.data_ptr() for value in parameters.values()})
    optimizer = optimizer(recipe, parameters)
    curve = {name: [] for name in ("loss", "mlm_loss", "nsp_loss", "learning_rate", "gradient_norm")}
    largest = dict.fromkeys(parameters, 0.0)
    for update in range(UPDATES):
        micro = data[update * MICRO_BATCHES : (update + 1) * MICRO_BATCHES]
        model.zero_grad()
        mlm_total, nsp_total = 0.0, 0.0
        for batch in micro:
            group = micro if union else [batch]
            predictions = sum(len(other["masked_labels"]) for other in group) + recipe.mlm_denominator_epsilon
            rows = sum(len(other["next_sentence_labels"]) for other in group)
            mlm, nsp = (value / (1 if union else len(micro)) for value in losses(model, batch))
            (mlm / predictions + nsp / rows).backward()
            mlm_total, nsp_total = mlm_total + mlm.item() / predictions, nsp_total + nsp.item() / rows
        with torch.no_grad():
            gradients = {name: value.grad.clone() for name, value in parameters.items()}
            norm = torch.stack([value.norm() for value in gradients.values()]).norm().item()
            factor = recipe.clip_norm / max(norm + recipe.clip_epsilon, recipe.clip_norm)
            rate = learning_rate(recipe, update, shift)
            optimizer.step({name: value * factor for name, value in gradients.items()}, rate)
        for name, value in gradients.items():
            largest[name] = max(largest[name], value.abs().max().item())
        values = (mlm_total + nsp_total, mlm_total, nsp_total, rate, norm)
        for name, value in zip(curve, values):
            curve[name].append(value)
    final = {name: value.detach().clone() for name, value in parameters.items()}
    return curve, final, largest


def distance(one, other):
    """Largest differences of two runs: losses, and final parameters but for the biases of keys, which nothing sees."""
    loss = max(abs(a - b) for a, b in zip(one[0]["loss"], other[0]["loss"]))
    names = [name for name in one[1] if not name.endswith("key.bias")]
    return loss, max((one[1][name] - other[1][name]).abs().max().item() for name in names)


def prove_it_would_tell(start, recipe, data, right):
    """Make the mistakes that a trainer makes, and see them in the curve or in the final parameters."""
    opposite = replace(recipe, bias_correction=not recipe.bias_correction)
    other_epsilon = replace(recipe, epsilon=1e-8 if recipe.epsilon == 1e-6 else 1e-6)
    wrong = {
        "mean of micro-batch means": train(start, recipe, data, union=False),
        "no clipping": train(start, replace(recipe, clip_norm=1e9), data),
        "rate one update early": train(start, recipe, data, shift=1),
        "everything decayed": train(start, recipe, data, lambda r, p: Optimizer(r, p, lambda name: True)),
        "nothing decayed": train(start, replace(recipe, weight_decay=0.0), data),
        "bias correction": train(start, opposite, data),
        "another epsilon": train(start, other_epsilon, data),
    }
    if recipe.optimizer == "lamb":
        wrong["no trust ratio"] = train(start, replace(recipe, optimizer="adam"), data)
    found = {what: distance(right, run) for what, run in wrong.items()}
    single = train(start, recipe, data, dtype=torch.float32)
    single = distance(right, (single[0], {name: value.double() for name, value in single[1].items()}))
    print(f"  {recipe.name}: float32 differs by {single[0]:.1e} in a loss and {single[1]:.1e} in a parameter")
    for what, (loss, parameter) in found.items():
        print(f"    {what}: {loss:.1e} and {parameter:.1e}")
        assert loss > 20 * single[0] or parameter > 20 * single[1], f"{recipe.name} can't tell: {what}"


def write(out):
    """pretraining-curves/: the batches, one file a recipe, and every number that went into them."""
    start, directory = Path(out) / START, Path(out) / "pretraining-curves"
    data = batches()
    joined = {name: torch.cat([batch[name] for batch in data]) for name in data[0]}
    joined["rows"] = torch.tensor([len(batch["next_sentence_labels"]) for batch in data])
    joined["predictions"] = torch.tensor([len(batch["masked_labels"]) for batch in data])
    write_bytes(directory / "batches.safetensors", save(joined))

    recipes, unseen = {}, None
    for recipe in RECIPES:
        run = curve, final, largest = train(start, recipe, data)
        assert all(np.isfinite(curve["loss"])) and curve["loss"][-1] < curve["loss"][0]
        norms = curve["gradient_norm"]
        assert max(norms) > recipe.clip_norm, norms
        prove_it_would_tell(start, recipe, data, run)
        if recipe.name == "hf":
            loss, parameter = distance(run, train(start, recipe, data, TorchAdamW))
            assert loss < 1e-13 and parameter < 1e-13, (loss, parameter)
        unseen = sorted(name for name, value in largest.items() if value < 1e-12)
        record = {name: torch.tensor(values, dtype=torch.float64) for name, values in curve.items()}
        record.update({f"final.{name}": value.float().contiguous() for name, value in final.items()})
        write_bytes(directory / f"{recipe.name}.safetensors", save(record))
        recipes[recipe.name] = {key: value for key, value in asdict(recipe).items() if key != "name"}
    meta = {
        "about": "BertForPreTraining from the weights of `start`, no dropout, float64; loss of an update over the "
        "union of its micro-batches: mlm = sum / (predictions + mlm_denominator_epsilon), nsp = sum / rows, "
        "loss = mlm + nsp; gradient_norm is global and before clipping, each parameter once",
        "start": START,
        "updates": UPDATES,
        "micro_batches": MICRO_BATCHES,
        "sequence": SEQUENCE,
        "clip": "c = clip_norm / max(norm + clip_epsilon, clip_norm)",
        "bias_correction": "m' = m / (1 - b1 ** t), v' = v / (1 - b2 ** t), t = 1, 2, ...; without it m' = m, v' = v",
        "no_decay": "names that end in `bias` or hold `LayerNorm`",
        "zero_gradient": unseen,
        "optimizers": OPTIMIZERS,
        "schedules": SCHEDULES,
        "recipes": recipes,
    }
    write_text(directory / "meta.json", json.dumps(meta, indent=2) + "\n")
