"""DeBERTa v2 and v3: disentangled attention over buckets of distances, a convolution in v2, two generations of the masked-LM head."""

import copy

import torch
from transformers import AutoTokenizer
from transformers.models.deberta_v2 import modeling_deberta_v2 as modeling

from common import write_sections
from family_fixtures import Family, Fixture
from head_fixtures import named
from model_fixtures import fillings
from tokenizer_kinds_fixtures import KINDS, write_directory

MASKED_TEXTS = ["The cat [MASK] on the mat.", "[MASK]"]


def sizes(vocab, hidden, layers, heads, intermediate, longest, **more):
    """The fields of config.json, as those of v3, with buckets few enough that short rows reach beyond the exact ones."""
    fields = dict(
        vocab_size=vocab, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=intermediate, max_position_embeddings=longest, relative_attention=True, position_buckets=8,
        norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type=["p2c", "c2p"], position_biased_input=False,
    )
    return fields | more


def changed(probe, change):
    """How far the outputs of a changed encoder are."""
    other = copy.deepcopy(probe.model.base_model)
    with torch.no_grad():
        change(other)
    return probe.of_encoder(other)


def patched(probe, name, replacement):
    """How far outputs are with another function in the module."""
    right = getattr(modeling, name)
    setattr(modeling, name, replacement)
    try:
        return probe.of_encoder(probe.model.base_model)
    finally:
        setattr(modeling, name, right)


def turned(encoder):
    encoder.encoder.rel_embeddings.weight.copy_(encoder.encoder.rel_embeddings.weight.flip(0))


def without_norm(encoder):
    encoder.encoder.norm_rel_ebd = ["none"]


def without_convolution(encoder):
    encoder.encoder.conv = None


def mistakes(probe):
    """Those that disentangled attention invites."""
    fields = {**probe.family.config, **probe.fixture.config}
    kinds = fields["pos_att_type"] or []
    found = {}
    if fields["relative_attention"] and kinds:
        found["distances turned around"] = changed(probe, turned)
        found["scale of contents alone"] = patched(probe, "scaled_size_sqrt", lambda layer, terms: torch.tensor(layer.size(-1) ** 0.5))
        for kind in kinds:
            found[f"without {kind}"] = changed(probe, lambda encoder: drop(encoder, kind))
        if fields["norm_rel_ebd"] == "layer_norm":
            found["no norm of the table"] = changed(probe, without_norm)
        if fields["position_buckets"] > 0 and probe.fixture.sequence > fields["position_buckets"] // 2 + 2:
            found["buckets of equal width"] = patched(probe, "make_log_bucket_position", lambda distances, *_: distances)
    if fields.get("conv_kernel_size", 0) > 1:
        found["no convolution"] = changed(probe, without_convolution)
    model, record, right = probe.model, probe.record, probe.right
    if probe.fixture.head in ("sequence", "multiple-choice"):
        wrong = model.classifier(torch.relu(model.pooler.dense(right[:, 0]))).view(record["logits"].shape)
        found["activation of the pooler"] = (wrong - record["logits"]).abs().max().item()
    return {mistake: size for mistake, size in found.items() if size is not None}


def drop(encoder, kind):
    """Leaves scores out but scales as with them."""
    for layer in encoder.encoder.layer:
        attention = layer.attention.self
        own = attention.disentangled_attention_bias

        def bias(query, key, positions, rows, terms, attention=attention, own=own):
            kept, attention.pos_att_type = attention.pos_att_type, [other for other in attention.pos_att_type if other != kind]
            score = own(query, key, positions, rows, terms)
            attention.pos_att_type = kept
            return score

        attention.disentangled_attention_bias = bias


def extras(directory, fixture, model):
    """The tokenizer of the masked LM, and fillings of masks."""
    if fixture.head != "mlm" or fixture.variant:
        return
    write_directory(directory, KINDS["deberta-v2"], has_config=True)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    fills = fillings(tokenizer, MASKED_TEXTS, lambda encoded: model(**encoded).logits)
    about = "float64; text through this directory, a filling for each mask"
    write_sections(directory / "text_reference.json", {"about": about, "fill_mask": fills})


TAGS = named(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
NAMES = named(["contradiction", "entailment", "neutral"])
VOCABULARY = KINDS["deberta-v2"][0]()[0].get_vocab_size()

FAMILY = Family(
    prefix="DebertaV2",
    padding=0,
    segments=0,
    first_position=None,
    config=dict(hidden_act="gelu", layer_norm_eps=1e-7),
    # Tokens of padding see nothing, and transformers gives them the mean of all values.
    padding_defined=False,
    fixtures=[
        Fixture("base", sizes(97, 30, 3, 5, 37, 29), [29, 9, 4, 12], 29, 0.02, gain=1.2),
        # Projections of positions of their own, every distance its own row but the farthest, positions and segments in the embeddings.
        Fixture("base", sizes(61, 20, 2, 4, 25, 23, share_att_key=False, position_buckets=-1, max_relative_positions=7,
                              norm_rel_ebd="none", position_biased_input=True, type_vocab_size=2), [21, 13, 5], 21, variant="own", gain=1.2),
        Fixture("base", sizes(53, 24, 2, 3, 29, 19, pos_att_type=["c2p"], share_att_key=False, embedding_size=13, conv_kernel_size=3,
                              conv_act="gelu"), [15, 7, 2, 11], 15, variant="conv", gain=1.2),
        Fixture("base", sizes(47, 16, 2, 4, 21, 17, pos_att_type=["p2c"], share_att_key=False, position_buckets=5), [14, 6], 14,
                variant="p2c", gain=1.2),
        # BERT's attention, with positions in the embeddings.
        Fixture("base", sizes(43, 18, 2, 3, 23, 13, relative_attention=False, norm_rel_ebd="none", pos_att_type=None,
                              position_biased_input=True), [11, 5, 8], 11, variant="plain", gain=1.2),
        Fixture("mlm", sizes(VOCABULARY, 18, 2, 3, 25, 46, hidden_act="relu"), [12, 7, 10], 12, gain=1.2),
        Fixture("mlm", sizes(59, 20, 2, 5, 27, 17, legacy=False), [13, 6, 9], 13, variant="new", gain=1.2),
        # Without the problem type transformers rounds the loss to f32.
        Fixture("sequence", sizes(37, 15, 2, 3, 22, 11, cls_dropout=0.25, problem_type="single_label_classification", **NAMES),
                [9, 5, 7, 8], 9, gain=1.2),
        Fixture("token", sizes(41, 16, 2, 4, 21, 12, **TAGS), [11, 6, 9], 11, gain=1.2),
        Fixture("question-answering", sizes(43, 18, 2, 6, 23, 13), [12, 12, 12, 12], 12, gain=1.2),
        Fixture("multiple-choice", sizes(35, 10, 2, 5, 27, 8, pooler_hidden_act="tanh"), [8, 6, 7, 5, 8, 4], 8, 0.3, gain=1.2),
    ],
    mistakes=mistakes,
    extras=extras,
)
