"""NomicBERT."""

import copy
import re

import torch

from family_fixtures import Family, Fixture
from head_fixtures import named

# Names of transformers in memory and in its files, which are those of the published models.
FILE_NAMES = [
    (r"embeddings\.LayerNorm", "emb_ln"),
    (r"\blayers\.", "encoder.layers."),
    (r"self_attn\.o_proj", "attn.out_proj"),
    (r"up_proj", "fc11"),
    (r"gate_proj", "fc12"),
    (r"down_proj", "fc2"),
    (r"post_attention_layernorm", "norm1"),
    (r"post_mlp_layernorm", "norm2"),
]


def sizes(vocab, hidden, layers, heads, intermediate, longest, **more):
    """The fields of config.json; a base small enough that another one is seen."""
    fields = dict(
        vocab_size=vocab, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=intermediate, max_position_embeddings=longest,
        rope_parameters={"rope_type": "default", "rope_theta": 50.0},
    )
    return fields | more


def stored(record):
    """Gradients under the names of the files, those of queries, keys and values in one."""
    out = {}
    for name, value in record.items():
        if name.startswith("grad."):
            fused = re.sub(r"self_attn\.[qkv]_proj", "attn.Wqkv", name)
            for ours, theirs in FILE_NAMES:
                fused = re.sub(ours, theirs, fused)
            # Queries, keys and values come in this order.
            out[fused] = torch.cat([out[fused], value]) if fused in out else value
        else:
            out[name] = value
    return out


def mistakes(probe):
    """Those that rotary positions and gates invite."""
    fields = {**probe.family.config, **probe.fixture.config}

    def changed(change):
        other = copy.deepcopy(probe.model.base_model)
        with torch.no_grad():
            change(other)
        return probe.of_encoder(other)

    def gates(encoder):
        for layer in encoder.layers:
            layer.mlp.gate_proj, layer.mlp.up_proj = layer.mlp.up_proj, layer.mlp.gate_proj

    other = {"rope_type": "default", "rope_theta": 1000.0}
    assert fields["rope_parameters"] != other
    return {
        "base": probe.difference({"rope_parameters": other}),
        "value and gate": changed(gates),
    }


FAMILY = Family(
    prefix="NomicBert",
    padding=0,
    segments=2,
    first_position=None,
    config=dict(type_vocab_size=2, layer_norm_eps=1e-12, hidden_act="silu"),
    mistakes=mistakes,
    stored=stored,
    fixtures=[
        Fixture("base", sizes(97, 30, 3, 5, 37, 17), [17, 9, 4, 12], 17, 0.02, gain=1.0),
        Fixture("mlm", sizes(53, 18, 2, 3, 25, 13), [12, 7, 10], 12),
        Fixture("sequence", sizes(37, 24, 2, 3, 22, 11, classifier_dropout=0.25,
                                  **named(["contradiction", "entailment", "neutral"])), [9, 5, 7, 8], 9),
        Fixture("token", sizes(41, 16, 2, 4, 21, 12, **named(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])), [11, 6, 9], 11),
    ],
)
