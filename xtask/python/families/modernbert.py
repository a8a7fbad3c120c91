"""ModernBERT, with a byte-level tokenizer of PreTrainedTokenizerFast and what it makes of texts."""

import copy
import json

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer
from transformers.models.modernbert import modeling_modernbert

from common import write_sections, write_text
from families.roberta import byte_pairs
from family_fixtures import Family, Fixture
from head_fixtures import named
from model_fixtures import TEXTS, fillings
from tokenizer_fixtures import NASTY, PAIRS, SENTENCES, batch, pair, single

def attention(module, query, key, value, attention_mask, scaling, dropout=0.0, **kwargs):
    """Eager attention of transformers but for its softmax in float32, where the mask of float64 overflows."""
    scores = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    probabilities = torch.softmax(scores, dim=-1)
    return torch.matmul(probabilities, value).transpose(1, 2).contiguous(), probabilities


def rotated(query, key, cos, sin, unsqueeze_dim=1):
    """Rotary positions of transformers but for their detour over float32."""
    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    turned = [x * cos + modeling_modernbert.rotate_half(x) * sin for x in (query, key)]
    return turned[0], turned[1]


modeling_modernbert.eager_attention_forward = attention
modeling_modernbert.apply_rotary_pos_emb = rotated

CLS, SEP, UNK, PAD, MASK = "[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]"
SPECIAL = [CLS, SEP, UNK, PAD]
MERGES = 80
PADDING = SPECIAL.index(PAD)


def sizes(vocab, hidden, layers, heads, intermediate, longest, **more):
    """The fields of config.json; the residual stream has no norm, so that most draw smaller weights (gain 1). Windows are smaller than the longest row, and both bases far enough apart to be seen."""
    fields = dict(
        vocab_size=vocab, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=intermediate, max_position_embeddings=longest,
        local_attention=6, global_rope_theta=900.0, local_rope_theta=40.0,
    )
    return fields | more


def mistakes(probe):
    """Those that local layers, rotary positions, gates and the heads invite."""
    fields = {**probe.family.config, **probe.fixture.config}
    layers = fields["num_hidden_layers"]
    every = fields.get("global_attn_every_n_layers", 3)
    shifted = ["full_attention" if i % every == 1 else "sliding_attention" for i in range(layers)]
    reach = fields["local_attention"]
    found = {
        "window ignored": probe.difference({"local_attention": 1000}),
        "window too wide": probe.difference({"local_attention": reach + 2}),
        "window too narrow": probe.difference({"local_attention": reach - 2}),
        "other layers global": probe.difference({"layer_types": shifted}),
        "base of global layers": probe.difference({"global_rope_theta": fields["local_rope_theta"]}),
        "base of local layers": probe.difference({"local_rope_theta": fields["global_rope_theta"]}),
    }

    def changed(change):
        other = copy.deepcopy(probe.model.base_model)
        with torch.no_grad():
            change(other)
        return probe.of_encoder(other)

    def gates(encoder):
        for layer in encoder.layers:
            for parameter in layer.mlp.Wi.parameters():
                first, second = parameter.clone().chunk(2)
                parameter.copy_(torch.cat([second, first]))

    def no_final_norm(encoder):
        encoder.final_norm = torch.nn.Identity()

    def norm_of_the_first(encoder):
        encoder.layers[0].attn_norm = copy.deepcopy(encoder.layers[0].mlp_norm)

    found["halves of the gate"] = changed(gates)
    found["no final norm"] = changed(no_final_norm)
    found["norm before the first block"] = changed(norm_of_the_first)
    if probe.fixture.head in ("mlm", "token", "question-answering"):
        head = probe.model.head
        gelu_or_relu = torch.relu if fields.get("classifier_activation", "gelu") == "gelu" else torch.nn.functional.gelu
        hidden = head.norm(gelu_or_relu(head.dense(probe.right)))
        out = probe.model.decoder if probe.fixture.head == "mlm" else probe.model.classifier
        right = out(head(probe.right))
        found["activation of the head"] = (out(hidden) - right)[probe.real].abs().max().item()
    if probe.fixture.head == "sequence":
        other = {"cls": "mean", "mean": "cls"}[fields.get("classifier_pooling", "cls")]
        own = probe.model.config.classifier_pooling
        probe.model.config.classifier_pooling = other
        wrong = probe.model(**probe.given).logits
        probe.model.config.classifier_pooling = own
        found["pooling"] = (wrong - probe.record["logits"]).abs().max().item()
    return found


def vocabulary():
    """Tokens with their ids, and merges."""
    vocab, merges = byte_pairs(TEXTS + SENTENCES, MERGES)
    bytes_and_pairs = [token for token in vocab if token not in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")]
    # The pad that words with a space before them are matched with has a token of its own, as in the published vocabulary.
    tokens = SPECIAL + bytes_and_pairs + [MASK]
    return {token: index for index, token in enumerate(tokens)}, merges


def write_tokenizer(directory):
    """tokenizer.json and tokenizer_config.json as the published model has them, at a small size."""
    directory.mkdir(parents=True, exist_ok=True)
    vocab, merges = vocabulary()
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token=None))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(CLS, vocab[CLS]), (SEP, vocab[SEP])],
    )
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL]
                                 + [AddedToken(MASK, lstrip=True, normalized=False, special=True)])
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {
        "clean_up_tokenization_spaces": True, "cls_token": CLS, "mask_token": MASK,
        "model_input_names": ["input_ids", "attention_mask"], "model_max_length": 46,
        "pad_token": PAD, "sep_token": SEP, "tokenizer_class": "PreTrainedTokenizerFast", "unk_token": UNK,
    }
    write_text(directory / "tokenizer_config.json", json.dumps(config, indent=2) + "\n")


MODERN_NASTY = [
    "[MASK]", " [MASK]", "Paris is the [MASK] of France.", "Paris is the   [MASK], [MASK]of[MASK] .",
    "[CLS] inside [SEP] the text [PAD] [UNK]", "glued[MASK]together[SEP][SEP]and [mask] [ MASK] [MASK",
    "e\u0301 is \u00e9", " a", "  a   b ", " \n a\n\n b",
]


def tokenizations(directory):
    """What transformers makes of the nasty strings with the files as they are."""
    tokenizer = AutoTokenizer.from_pretrained(directory)
    singles, pairs, batches = [], [], []
    for text in NASTY + MODERN_NASTY:
        singles.append(single("plain", tokenizer, text))
    for text in SENTENCES:
        for max_length in (3, 9):
            singles.append(single("plain", tokenizer, text, max_length))
    for first, second in PAIRS:
        first, second = SENTENCES[first], SENTENCES[second]
        pairs.append(pair("plain", tokenizer, first, second, "longest_first", None))
        pairs.append(pair("plain", tokenizer, first, second, "longest_first", 12))
    batches.append(batch("plain", tokenizer, SENTENCES[:4] + [""], None, "longest", None, None))
    return {
        "about": "tokenizer of this directory as it is",
        "vocabularies": {"plain": {"add_prefix_space": False, "size": len(tokenizer)}},
        "singles": singles,
        "pairs": [record for record in pairs if "error" not in record],
        "pair_errors": [record for record in pairs if "error" in record],
        "windows": [],
        "batches": batches,
        "words": [],
    }


MASKED_TEXTS = ["The cat [MASK] on the mat.", "the [MASK] of the [MASK]", "[MASK]"]


def extras(directory, fixture, model):
    """The tokenizer of the masked LM, what it makes of texts, and fillings of masks."""
    if fixture.head != "mlm" or fixture.variant:
        return
    write_tokenizer(directory)
    write_sections(directory / "tokenizer_reference.json", tokenizations(directory))
    tokenizer = AutoTokenizer.from_pretrained(directory)
    fills = fillings(tokenizer, MASKED_TEXTS, lambda encoded: model(**encoded).logits)
    about = "float64; text through this directory, a filling for each mask"
    write_sections(directory / "text_reference.json", {"about": about, "fill_mask": fills})


BIASES = dict(norm_bias=True, attention_bias=True, mlp_bias=True, classifier_bias=True)

FAMILY = Family(
    prefix="ModernBert",
    padding=PADDING,
    segments=1,
    first_position=None,
    activation_key="hidden_activation",
    epsilon_key="norm_eps",
    # A token of padding beyond the windows of all others attends to nothing.
    padding_defined=False,
    config=dict(bos_token_id=0, cls_token_id=0, eos_token_id=1, sep_token_id=1, norm_eps=1e-5, hidden_activation="gelu"),
    mistakes=mistakes,
    extras=extras,
    fixtures=[
        Fixture("base", sizes(97, 30, 5, 3, 37, 17), [17, 9, 4, 12], 17, 0.01, gain=1.0),
        Fixture("base", sizes(61, 28, 3, 7, 23, 19, global_attn_every_n_layers=2, local_attention=4, hidden_activation="silu",
                              **BIASES), [13, 13, 7], 13, gain=1.0, variant="biases"),
        Fixture("mlm", sizes(len(vocabulary()[0]), 18, 4, 3, 25, 46), [12, 7, 10], 12, gain=1.0),
        Fixture("mlm", sizes(53, 20, 2, 5, 27, 13, decoder_bias=False, classifier_bias=True, classifier_activation="relu",
                             tie_word_embeddings=False), [11, 8, 10], 11, variant="untied", gain=1.0),
        Fixture("sequence", sizes(37, 24, 4, 3, 22, 11, classifier_dropout=0.25,
                                  **named(["contradiction", "entailment", "neutral"])), [9, 5, 7, 8], 9, gain=1.0),
        Fixture("sequence", sizes(39, 12, 2, 3, 22, 11, classifier_pooling="mean",
                                  **BIASES, **named(["no", "yes"])), [9, 5, 7, 8], 9, variant="mean"),
        Fixture("token", sizes(41, 16, 4, 4, 21, 12, **named(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])), [11, 6, 9], 11,
                gain=1.0),
        Fixture("question-answering", sizes(43, 24, 4, 6, 23, 13), [12, 12, 12, 12], 12, gain=1.0),
        Fixture("multiple-choice", sizes(35, 20, 2, 5, 27, 8), [8, 6, 7, 5, 8, 4], 8, gain=1.0),
    ],
)
