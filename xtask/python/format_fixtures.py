"""One checkpoint, tiny-erf, in every shape a BERT is found in on disk."""

import io
import json
import pickle
import struct
import tempfile
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch.serialization import MAGIC_NUMBER, PROTOCOL_VERSION

from common import write_bytes
from model_fixtures import FIXTURES, inputs, perturbed, write_checkpoint


def legacy_bytes(state):
    """torch.save(..., _use_new_zipfile_serialization=False), with counters where torch writes memory addresses."""
    storages = []

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, torch.storage.TypedStorage):
                return None
            kind = getattr(torch, value._pickle_storage_type())
            storages.append(value)
            # Same width, so that sorting as text keeps the order.
            return ("storage", kind, f"{94000000000000 + len(storages)}", "cpu", value._size(), None)

    file = io.BytesIO()
    sizes = {"short": 2, "int": 4, "long": 4}
    system = {"protocol_version": PROTOCOL_VERSION, "little_endian": True, "type_sizes": sizes}
    for value in (MAGIC_NUMBER, PROTOCOL_VERSION, system):
        pickle.dump(value, file, protocol=2)
    Pickler(file, protocol=2).dump(state)
    keys = [f"{94000000000000 + index + 1}" for index in range(len(storages))]
    pickle.dump(keys, file, protocol=2)
    for storage in storages:
        file.write(struct.pack("<q", storage._size()))
        file.write(bytes(storage._untyped_storage))
    return file.getvalue()


def zip_bytes(state):
    """torch.save as it is today. Through a path: the archive inside is named after the file."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "pytorch_model.bin"
        torch.save(state, path)
        return path.read_bytes()


def old_names(state, prefix=""):
    """The names of Google's TensorFlow checkpoints and of PyTorch files up to 2019: LayerNorm.gamma and .beta."""
    renamed = OrderedDict()
    for name, value in state.items():
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        renamed[prefix + name] = value
    return renamed


def same(left, right):
    """Equal names, types and values."""
    return left.keys() == right.keys() and all(
        left[name].dtype == right[name].dtype and torch.equal(left[name], right[name]) for name in left
    )


def read(data):
    return torch.load(io.BytesIO(data), weights_only=True)


def write_all(out):
    """All format variants, each a directory that loads by itself."""
    out = Path(out)
    formats = out / "formats"
    named = {fixture.name: fixture for fixture in FIXTURES}
    fixture = named["tiny-erf"]
    model = perturbed(fixture)
    state = model.state_dict()
    assert same(state, load_file(out / "tiny-erf" / "model.safetensors"))
    config = (out / "tiny-erf" / "config.json").read_bytes()

    def put(directory, file, data, config=config):
        write_bytes(formats / directory / file, data)
        write_bytes(formats / directory / "config.json", config)

    zipped = zip_bytes(state)
    assert same(read(zipped), state)
    put("bin-zip", "pytorch_model.bin", zipped)

    legacy = legacy_bytes(state)
    genuine = io.BytesIO()
    torch.save(state, genuine, _use_new_zipfile_serialization=False)
    assert same(read(legacy), state) and same(read(genuine.getvalue()), state)
    put("bin-legacy", "pytorch_model.bin", legacy)

    # As DataParallel saved a bare BertModel inside a head: two prefixes, the buffer of older transformers.
    prefixed = old_names(state, "module.bert.")
    positions = torch.arange(fixture.config["max_position_embeddings"]).unsqueeze(0)
    prefixed["module.bert.embeddings.position_ids"] = positions
    zipped = zip_bytes(prefixed)
    assert same(read(zipped), prefixed)
    put("bin-module-prefix", "pytorch_model.bin", zipped)

    batch, record = inputs(fixture), {}
    for name, dtype in (("f16", torch.float16), ("bf16", torch.bfloat16)):
        half = perturbed(fixture).to(dtype)
        write_checkpoint(half, formats / name)
        # What those rounded weights give when all arithmetic is float64.
        with torch.no_grad():
            output = half.double()(**batch)
        record[f"{name}.sequence_output"] = output.last_hidden_state.contiguous()
        record[f"{name}.pooled_output"] = output.pooler_output.contiguous()
    write_bytes(formats / "reference.safetensors", save(record))

    write_checkpoint(model, formats / "sharded", max_shard_size="40KB")
    index = json.loads((formats / "sharded" / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) >= 3, index["weight_map"]

    # tiny-pretraining under the names Google's checkpoints were first converted to.
    pretraining = perturbed(named["tiny-pretraining"])
    kept = load_file(out / "tiny-pretraining" / "model.safetensors")
    old = old_names(OrderedDict((name, kept[name]) for name in pretraining.state_dict() if name in kept))
    # Those files held the decoder too, a copy of the word embeddings.
    old["cls.predictions.decoder.weight"] = kept["bert.embeddings.word_embeddings.weight"].clone()
    config = (out / "tiny-pretraining" / "config.json").read_bytes()
    put("pretraining-gamma-beta", "model.safetensors", save(old, metadata={"format": "pt"}), config)
