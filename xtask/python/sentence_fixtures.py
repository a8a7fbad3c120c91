"""What sentence-transformers saves around an encoder, and what it computes with it: modules, poolings, scores."""

import json
import logging
import shutil
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.base.modules.normalize import Normalize
from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling
from transformers.utils.logging import disable_progress_bar

from common import Seeded, write_bytes, write_sections, write_text
from format_fixtures import same, zip_bytes

logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
disable_progress_bar()
torch.set_num_threads(1)

TEXTS = [
    "The cat sat on the mat.",
    "A quick brown fox jumps over the lazy dog",
    "na\u00efve caf\u00e9 \u6211\u7231\u5317\u4eac \U0001f355!",
    "the old river bank " * 15,
    "",
    "Paris",
]
PAIRS = [["The cat", "the dog ran"], ["Paris is old", "in France"], ["", "a fox"]]
MODES = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
SEVERAL = [["mean", "cls"], ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]]
HIDDEN = 18
POSITIONS = 48


def drawn(module, name):
    """The module with every parameter drawn afresh, exact in float32."""
    with torch.no_grad():
        for parameter, value in module.named_parameters():
            numbers = Seeded(f"sentence-transformers/{name}/{parameter}")
            mean = 1.0 if parameter == "norm.weight" else 0.0
            value.copy_(torch.from_numpy(numbers.normal(value.shape, mean=mean, std=0.4)))
    return module


def as_written(path):
    """The bytes of a file, without the build in torch's version, which says nothing about the model."""
    version = torch.__version__.encode()
    return path.read_bytes().replace(version, version.split(b"+")[0])


def saved(modules, out, name):
    """The model as the library writes it, without the encoder, whose weights are those of tiny-pretraining."""
    with tempfile.TemporaryDirectory() as scratch:
        SentenceTransformer(modules=modules, device="cpu").save(scratch, create_model_card=False)
        directory = out / name
        for path in sorted(Path(scratch).rglob("*")):
            relative = path.relative_to(scratch)
            part_of_the_encoder = len(relative.parts) == 1 and path.name not in (
                "modules.json",
                "sentence_bert_config.json",
                "config_sentence_transformers.json",
            )
            if path.is_file() and not part_of_the_encoder:
                write_bytes(directory / relative, as_written(path))


def vectors(modules):
    """float64, one list a text."""
    model = SentenceTransformer(modules=modules, device="cpu").double()
    found = model.encode(TEXTS, convert_to_tensor=True, show_progress_bar=False)
    assert found.dtype == torch.float64, found.dtype
    return found.clone()


def prove_it_would_tell(name, right, mistakes):
    """Refuses a reference that a mistake near at hand would not move."""
    for mistake, wrong in mistakes.items():
        moved = (right - wrong).abs().max().item() if right.shape == wrong.shape else 1.0
        assert moved > 1e-3, f"{name}: {mistake} moves it by {moved:.1e} only"


def encoder(out):
    source = out.parent / "tiny-pretraining"
    return Transformer(str(source), processor_kwargs={"model_max_length": POSITIONS})


def write(out):
    out = Path(out) / "sentence-transformers"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    records = {}

    for modes in [[mode] for mode in MODES] + SEVERAL:
        pooling = Pooling(HIDDEN, modes)
        records["+".join(modes)] = vectors([encoder(out), pooling])
    prove_it_would_tell("lasttoken", records["lasttoken"], {"the first token": records["cls"]})
    prove_it_would_tell("weightedmean", records["weightedmean"], {"no weights": records["mean"]})

    # LaBSE's: one Dense module with Tanh, then length 1; as safetensors.
    dense = lambda: drawn(Dense(HIDDEN, 7), "dense")  # noqa: E731
    modules = lambda: [encoder(out), Pooling(HIDDEN, "mean"), dense(), Normalize()]  # noqa: E731
    saved(modules(), out, "dense")
    records["dense"] = vectors(modules())
    plain = torch.nn.functional.normalize(dense().double().linear(records["mean"]), dim=-1)
    prove_it_would_tell("dense", records["dense"], {"no activation": plain})

    # Two, on several poolings, with LayerNorm between them; the second without bias and activation.
    first = lambda: drawn(Dense(2 * HIDDEN, 11, activation_function=torch.nn.ReLU()), "first")  # noqa: E731
    norm = lambda: drawn(LayerNorm(11), "norm")  # noqa: E731
    second = lambda: drawn(Dense(11, 5, bias=False, activation_function=None), "second")  # noqa: E731
    modules = lambda: [encoder(out), Pooling(HIDDEN, ["mean", "cls"]), first(), norm(), second()]  # noqa: E731
    saved(modules(), out, "several")
    records["several"] = vectors(modules())
    # The older form of the weights.
    state = {name: value.detach() for name, value in second().state_dict().items()}
    data = zip_bytes(state)
    path = out / "several" / "4_Dense"
    (path / "model.safetensors").unlink()
    write_bytes(path / "pytorch_model.bin", data)
    loaded = Dense.load(str(out / "several"), subfolder="4_Dense")
    assert same(loaded.state_dict(), state)

    records = {name: found.tolist() for name, found in records.items()}
    sections = {
        "about": "float64; sentence-transformers over tiny-pretraining, at most 48 tokens; a vector for each text",
        "texts": TEXTS,
    }
    for name, found in records.items():
        sections[name] = found
    sections["similarities"] = similarities(records)
    write_sections(out / "reference.json", sections)
    cross_encoders(out)


def similarities(records):
    """Of the first two texts, by each function, with vectors whose length is not 1."""
    from sentence_transformers.util import SimilarityFunction

    first, second = torch.tensor(records["several"][:2], dtype=torch.float64)
    functions = {name: SimilarityFunction.to_similarity_pairwise_fn(name) for name in SimilarityFunction.possible_values()
                 if "maxsim" not in name}
    return {name: function(first[None], second[None]).item() for name, function in functions.items()}


def cross_encoders(out):
    """One output: its logit, and the score through the activation that each generation of files names."""
    source = out.parent / "tiny-pretraining"
    records = []
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "model"
        model = CrossEncoder(str(source), num_labels=1, device="cpu", max_length=POSITIONS)
        drawn(model.model.classifier, "cross-encoder")
        # The pooler is that of tiny-pretraining, so that the classifier's two tensors are all that is new.
        model.save(str(directory), create_model_card=False)
        classifier = {name: value.clone() for name, value in model.model.classifier.state_dict().items()}
        write_bytes(out / "cross-encoder" / "classifier.safetensors",
                    save({f"classifier.{name}": value for name, value in classifier.items()}))
        for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "config.json"):
            write_bytes(out / "cross-encoder" / name, as_written(directory / name))
        logits = CrossEncoder(str(directory), device="cpu", activation_fn=torch.nn.Identity())
        logits.model.double()
        raw = logits.predict(PAIRS, convert_to_tensor=True, show_progress_bar=False)
        assert raw.dtype == torch.float64
        for name, edit in CASES.items():
            shutil.rmtree(Path(scratch) / "case", ignore_errors=True)
            case = Path(scratch) / "case"
            shutil.copytree(directory, case)
            edit(case)
            model = CrossEncoder(str(case), device="cpu")
            model.model.double()
            scores = model.predict(PAIRS, convert_to_tensor=True, show_progress_bar=False)
            records.append({"case": name, "scores": scores.tolist()})
    write_sections(out / "cross-encoder" / "reference.json",
                   {"pairs": PAIRS, "logits": raw.tolist(), "cases": records})


def edited(case, name, **fields):
    path = case / name
    value = json.loads(path.read_text())
    value.update(fields)
    write_text(path, json.dumps(value, indent=2) + "\n")


def without_modules(case):
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (case / name).unlink()
    value = json.loads((case / "config.json").read_text())
    value.pop("sentence_transformers", None)
    write_text(case / "config.json", json.dumps(value, indent=2) + "\n")


def version_4(case):
    without_modules(case)
    mark = {"activation_fn": "torch.nn.modules.activation.Tanh", "version": "4.1.0"}
    edited(case, "config.json", sentence_transformers=mark)


def before_version_4(case):
    without_modules(case)
    edited(case, "config.json", sbert_ce_default_activation_function="torch.nn.modules.linear.Identity")


def identity(case):
    edited(case, "config_sentence_transformers.json", activation_fn="torch.nn.modules.linear.Identity")


CASES = {
    "as saved": lambda case: None,
    "identity in config_sentence_transformers.json": identity,
    "no file names one": without_modules,
    "version 4": version_4,
    "before version 4": before_version_4,
}
