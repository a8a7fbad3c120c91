"""GTE."""

import copy
import re

import torch

from family_fixtures import Family, Fixture
from head_fixtures import named

# Names of transformers in memory and in its files, which are those of the published models.
FILE_NAMES = [
    (r"\blayers\.", "encoder.layer."),
    (r"self_attn\.o_proj", "attention.o_proj"),
    (r"post_attention_layernorm", "attn_ln"),
    (r"post_mlp_layernorm", "mlp_ln"),
    (r"lm_head\.layer_norm", "lm_head.norm"),
]
# Parts of a tensor of the files, in their order.
FUSED = {
    "attention.qkv_proj": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    "mlp.up_gate_proj": ["mlp.up_proj", "mlp.gate_proj"],
}

LINEAR = {"rope_type": "linear", "rope_theta": 50.0, "factor": 1.5}
PLAIN = {"rope_type": "default", "rope_theta": 50.0}


def sizes(vocab, hidden, layers, heads, intermediate, longest, **more):
    """The fields of config.json; a base small enough that another one is seen."""
    fields = dict(
        vocab_size=vocab, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=intermediate, max_position_embeddings=longest, rope_parameters=LINEAR,
    )
    return fields | more


def stored(record):
    """Gradients under the names of the files, those of queries, keys and values in one, and those of both halves of a gate."""
    out = {}
    for name, value in record.items():
        if not name.startswith("grad."):
            out[name] = value
            continue
        for whole, parts in FUSED.items():
            if parts[0] in name:
                value = torch.cat([record[name.replace(parts[0], part)] for part in parts])
                name = name.replace(parts[0], whole)
        if any(part in name for parts in FUSED.values() for part in parts):
            continue
        for ours, theirs in FILE_NAMES:
            name = re.sub(ours, theirs, name)
        out[name] = value
    return out


def mistakes(probe):
    """Those that rotary positions, their scaling and gates invite."""
    fields = {**probe.family.config, **probe.fixture.config}

    def changed(change):
        other = copy.deepcopy(probe.model.base_model)
        with torch.no_grad():
            change(other)
        return probe.of_encoder(other)

    def gates(encoder):
        for layer in encoder.layers:
            layer.mlp.gate_proj, layer.mlp.up_proj = layer.mlp.up_proj, layer.mlp.gate_proj

    def queries(encoder):
        for layer in encoder.layers:
            layer.self_attn.q_proj, layer.self_attn.v_proj = layer.self_attn.v_proj, layer.self_attn.q_proj

    own = fields["rope_parameters"]
    scaled = PLAIN if own["rope_type"] == "linear" else LINEAR
    found = {
        "base": probe.difference({"rope_parameters": {**own, "rope_theta": 1000.0}}),
        "scale": probe.difference({"rope_parameters": scaled}),
        "value and gate": changed(gates),
        "queries and values": changed(queries),
    }
    if probe.fixture.head == "mlm":
        head = probe.model.lm_head
        wrong = head.decoder(head.layer_norm(torch.nn.functional.relu(head.dense(probe.right))))
        found["activation of the head"] = (wrong - probe.record["logits"])[probe.real].abs().max().item()
    return found


FAMILY = Family(
    prefix="Gte",
    padding=0,
    segments=2,
    first_position=None,
    config=dict(type_vocab_size=2, layer_norm_eps=1e-12, hidden_act="gelu"),
    mistakes=mistakes,
    stored=stored,
    fixtures=[
        Fixture("base", sizes(97, 30, 3, 5, 37, 17), [17, 9, 4, 12], 17, 0.02, gain=1.2),
        # One segment, as gte-multilingual-base, and no scaling.
        Fixture("base", sizes(61, 28, 2, 7, 23, 19, type_vocab_size=1, rope_parameters=PLAIN, hidden_act="silu"), [13, 13, 7], 13,
                gain=1.2, variant="plain", segments=1),
        # No segments, as gte-base-en-v1.5; the activation of the head is its own.
        Fixture("mlm", sizes(53, 18, 2, 3, 25, 13, type_vocab_size=0, hidden_act="silu"), [12, 7, 10], 12, gain=1.2, segments=0),
        Fixture("mlm", sizes(59, 20, 2, 5, 27, 15, tie_word_embeddings=False), [13, 8, 11], 13, variant="untied", gain=1.2),
        Fixture("sequence", sizes(37, 24, 2, 3, 22, 11, classifier_dropout=0.25,
                                  **named(["contradiction", "entailment", "neutral"])), [9, 5, 7, 8], 9, gain=1.2),
        Fixture("token", sizes(41, 16, 2, 4, 21, 12, rope_parameters=PLAIN,
                               **named(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])), [11, 6, 9], 11, gain=1.2),
    ],
)
