//! GTE v1.5 and its multilingual successors (Zhang et al. 2024): BERT's blocks with rotary positions, gated feed-forward layers,
//! and projections side by side (transformers `models/gte/modeling_gte.py`).

use serde_json::{Map, Value, json};

use super::bert;
use super::family::{ConfigKeys, Family, Published, TensorNames, TokenizerFamily};
use super::fields::{check_head_size, only, stated, wrong};
use super::rope::{self, Scaling};
use super::shape::{
    BlockDropout, BlockShape, GateShape, HeadShapes, MaskedLmShape, Positions, Rotary,
};
use crate::activation::HiddenAct;
use crate::config::BertConfig;
use crate::error::{Error, Result};

/// Base of rotary positions where `config.json` states none.
const THETA: f64 = 160_000.0;
/// `model_type` of the authors' own files.
const OWN_MODEL_TYPE: &str = "new";
/// Key for the base of rotary positions in the authors' own files.
const OWN_THETA: &str = "rope_theta";

/// GTE, as transformers 5 has it; the authors' own files, of `model_type` "new", are read too.
pub static GTE: Family = Family {
    model_type: "gte",
    name: "GTE",
    class_prefix: "Gte",
    pad_token_id: 1,
    keys: ConfigKeys {
        own_model_types: &[OWN_MODEL_TYPE],
        own_code: &["Alibaba-NLP/new-impl--", "hf_alibaba_nlp_gte."],
        position_embedding_type: "rope",
        new_model: |fields| {
            fields.insert("type_vocab_size".to_owned(), json!(0));
        },
        defaults,
        read,
        write,
        ..ConfigKeys::PLAIN
    },
    pooler: true,
    segments_optional: true,
    positions: Positions::None,
    heads: HeadShapes {
        masked_lm: MaskedLmShape {
            activation: Some(HiddenAct::Gelu),
            ..MaskedLmShape::PLAIN
        },
        next_sentence: false,
        ..HeadShapes::PLAIN
    },
    tensors: TensorNames {
        prefix: "gte.",
        own_prefixes: &["new."],
        without: &["ForQuestionAnswering", "ForMultipleChoice"],
        encoder: &[
            (
                "encoder.layer.{}.attention.self.query.",
                "encoder.layer.{}.attention.qkv_proj.",
            ),
            (
                "encoder.layer.{}.attention.output.dense.",
                "encoder.layer.{}.attention.o_proj.",
            ),
            (
                "encoder.layer.{}.attention.output.LayerNorm.",
                "encoder.layer.{}.attn_ln.",
            ),
            (
                "encoder.layer.{}.intermediate.dense.",
                "encoder.layer.{}.mlp.up_gate_proj.",
            ),
            (
                "encoder.layer.{}.output.dense.",
                "encoder.layer.{}.mlp.down_proj.",
            ),
            (
                "encoder.layer.{}.output.LayerNorm.",
                "encoder.layer.{}.mlp_ln.",
            ),
        ],
        heads: &[
            ("cls.predictions.transform.dense.", "lm_head.dense."),
            ("cls.predictions.transform.LayerNorm.", "lm_head.norm."),
            ("cls.predictions.bias", "lm_head.decoder.bias"),
            ("cls.predictions.decoder.", "lm_head.decoder."),
        ],
        ..TensorNames::PLAIN
    },
    tokenizer: TokenizerFamily {
        classes: &["BertTokenizer"],
        ..bert::TOKENIZER
    },
    published: Published {
        id: "Alibaba-NLP/gte-base-en-v1.5",
        config: || {
            json!({"vocab_size": 30528, "type_vocab_size": 0, "pad_token_id": 0, "rope_theta": 500_000,
                "rope_scaling": {"type": "ntk", "factor": 2.0}})
        },
        pooler: false,
        parameters: 136_776_192,
        others: &[
            "gte-large-en-v1.5",
            "gte-multilingual-base",
            "gte-multilingual-reranker-base",
            "snowflake-arctic-embed-m-v2.0",
        ],
    },
};

fn defaults(config: &mut BertConfig) {
    config.attention_probs_dropout_prob = 0.0;
    config.max_position_embeddings = 8192;
    config.type_vocab_size = 1;
    config.block = BlockShape {
        fused_projections: true,
        gate: GateShape::SecondHalf,
        feed_forward_bias: [false, true],
        ..BlockShape::PLAIN
    };
    config.block_dropout = BlockDropout {
        widened: true,
        ..BlockDropout::PLAIN
    };
    config.rotary = Some(Rotary {
        theta: THETA,
        local_theta: THETA,
        scale: 1.0,
    });
}

/// Keys of the authors' own files, and the one value of each that is computed.
fn expected() -> [(&'static str, Value); 5] {
    [
        ("position_embedding_type", json!("rope")),
        ("layer_norm_type", json!("layer_norm")),
        ("pack_qkv", json!(true)),
        ("logn_attention_scale", json!(false)),
        ("logn_attention_clip1", json!(false)),
    ]
}

/// Keys of the authors' own files that choose between ways to compute one network.
const INDIFFERENT: [&str; 2] = ["unpad_inputs", "use_memory_efficient_attention"];

/// Reads the keys of transformers, and those of the authors' own files, in whose place they come.
fn read(fields: &mut Map<String, Value>, config: &mut BertConfig) -> Result<()> {
    only(fields, &expected())?;
    for key in INDIFFERENT {
        fields.shift_remove(key);
    }
    if fields.get("model_type").and_then(Value::as_str) == Some(OWN_MODEL_TYPE) {
        if stated(fields, OWN_THETA).is_none() {
            let reason = "is missing; a config.json of the model_type \"new\" must state it";
            return Err(Error::config(OWN_THETA, reason));
        }
        fields.insert("model_type".to_owned(), json!(GTE.model_type));
    }
    check_head_size(fields, config)?;
    config.rotary = Some(rotary(fields, config)?);
    Ok(())
}

/// Rotary positions, which are left in the form in which transformers reads them.
fn rotary(fields: &mut Map<String, Value>, config: &BertConfig) -> Result<Rotary> {
    let mut is_of_today = true;
    let mut own = |key: &str| {
        let value = fields.shift_remove(key).filter(|value| !value.is_null());
        is_of_today &= value.is_none();
        value
    };
    let (own_theta, own_scaling) = (own(OWN_THETA), own(rope::SCALING));
    // Where both are stated, transformers reads the older key.
    let found = match &own_scaling {
        Some(scaling) => rope::parameters(rope::SCALING, scaling)?,
        None => {
            let key = rope::PARAMETERS;
            rope::parameters(key, fields.get(key).unwrap_or(&Value::Null))?
        }
    };
    let theta = match (found.theta, own_theta) {
        (Some(theta), _) => theta,
        (None, Some(theta)) => {
            let number = theta.as_f64();
            number.ok_or_else(|| wrong(OWN_THETA, &theta, "a number"))?
        }
        (None, None) => THETA,
    };
    let (theta, scale) = match found.scaling {
        Scaling::None => (theta, 1.0),
        Scaling::Linear(factor) => (theta, factor),
        Scaling::Ntk(factor) => {
            is_of_today = false;
            let heads = config.num_attention_heads.max(1);
            let width = (config.hidden_size / heads).max(1) as f64;
            (theta * factor, factor.powf(2.0 / width))
        }
    };
    let rotary = Rotary {
        theta,
        local_theta: theta,
        scale,
    };
    if !is_of_today {
        fields.insert(rope::PARAMETERS.to_owned(), parameters(rotary));
    }
    Ok(rotary)
}

/// Rotary positions as transformers writes them.
fn parameters(rotary: Rotary) -> Value {
    match rotary.scale == 1.0 {
        true => json!({"rope_type": "default", "rope_theta": rotary.theta}),
        false => {
            json!({"rope_type": "linear", "rope_theta": rotary.theta, "factor": rotary.scale})
        }
    }
}

fn write(config: &BertConfig, fields: &mut Map<String, Value>) {
    if let (Some(rotary), false) = (config.rotary, config.extra.contains_key(rope::PARAMETERS)) {
        fields.insert(rope::PARAMETERS.to_owned(), parameters(rotary));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::testing;

    /// The file of gte-base-en-v1.5, with other fields.
    fn config(other: Value) -> Result<BertConfig> {
        let fields = json!({
            "architectures": ["NewModel"], "attention_probs_dropout_prob": 0.0, "auto_map": own_code(),
            "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": 768, "initializer_range": 0.02,
            "intermediate_size": 3072, "layer_norm_eps": 1e-12, "layer_norm_type": "layer_norm",
            "max_position_embeddings": 8192, "model_type": "new", "num_attention_heads": 12,
            "num_hidden_layers": 12, "pack_qkv": true, "pad_token_id": 0, "position_embedding_type": "rope",
            "rope_scaling": {"factor": 2.0, "type": "ntk"}, "rope_theta": 500_000, "torch_dtype": "float32",
            "transformers_version": "4.39.1", "type_vocab_size": 0, "unpad_inputs": false,
            "use_memory_efficient_attention": false, "vocab_size": 30528
        });
        testing::config(fields, other)
    }

    fn own_code() -> Value {
        json!({
            "AutoConfig": "Alibaba-NLP/new-impl--configuration.NewConfig",
            "AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel",
            "AutoModelForMaskedLM": "Alibaba-NLP/new-impl--modeling.NewForMaskedLM",
        })
    }

    #[test]
    fn the_published_sizes_are_those_of_the_network() {
        let base = config(json!({})).unwrap();
        assert_eq!(*base.family, GTE);
        assert_eq!(base.num_params(false), 136_776_192);
        assert_eq!(base.num_params(true), 136_776_192 + 768 * 769);
        assert_eq!((base.max_input_length(), base.type_vocab_size), (8192, 0));
        assert_eq!(base.widened_dropout_prob(), 0.1);
        let large = json!({"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
            "intermediate_size": 4096, "type_vocab_size": 2});
        // Tables and their norm, then of a layer: attention, feed-forward layer, norms.
        let layer = 4 * 1024 * 1025 + 3 * 1024 * 4096 + 1024 + 4 * 1024;
        let expected = (30_528 + 2 + 2) * 1024 + 24 * layer;
        assert_eq!(config(large).unwrap().num_params(false), expected);
    }

    #[test]
    fn what_is_written_are_the_keys_of_transformers() {
        let base = config(json!({})).unwrap();
        let fields = base.to_json();
        assert_eq!(fields["model_type"], "gte");
        // As transformers writes it of NTK scaling with the factor 2 and heads of width 64.
        let factor = 2_f64.powf(2.0 / 64.0);
        let written = json!({"rope_type": "linear", "rope_theta": 1_000_000.0, "factor": factor});
        assert_eq!(fields["rope_parameters"], written);
        let own = expected().map(|(key, _)| key).into_iter();
        let own = own.chain(INDIFFERENT);
        for key in own.chain(["rope_theta", "rope_scaling", "auto_map"]) {
            assert!(!fields.contains_key(key), "{key}");
        }
        assert_eq!(BertConfig::from_json(fields).unwrap(), base);
    }

    #[test]
    fn rotary_positions_are_read_in_every_spelling() {
        let rotary = |other: Value| {
            let rotary = config(other).unwrap().rotary.unwrap();
            (rotary.theta, rotary.scale)
        };
        let ntk = |factor: f64| json!({"type": "ntk", "factor": factor});
        let linear =
            |theta: f64| json!({"rope_type": "linear", "rope_theta": theta, "factor": 1.5});
        // gte-multilingual-base.
        let multilingual = json!({"rope_theta": 20_000, "rope_scaling": ntk(8.0)});
        assert_eq!(rotary(multilingual), (160_000.0, 8_f64.powf(1.0 / 32.0)));
        let plain = json!({"rope_theta": 10_000, "rope_scaling": null});
        assert_eq!(rotary(plain), (10_000.0, 1.0));
        let of_today = |parameters: Value| {
            json!({"model_type": "gte", "architectures": ["GteModel"], "rope_scaling": null,
                "rope_theta": null, "rope_parameters": parameters})
        };
        assert_eq!(rotary(of_today(linear(70.0))), (70.0, 1.5));
        assert_eq!(rotary(of_today(json!(null))), (160_000.0, 1.0));
        // Parameters stand beside the older keys in files that both programs read.
        let both = json!({"model_type": "gte", "rope_scaling": null, "rope_theta": 30,
            "rope_parameters": {"rope_type": "default", "rope_theta": 40.0}});
        assert_eq!(rotary(both), (40.0, 1.0));
        let first =
            json!({"rope_theta": 30, "rope_scaling": ntk(1.0), "rope_parameters": linear(70.0)});
        assert_eq!(rotary(first), (30.0, 1.0));
    }

    #[test]
    fn the_authors_code_in_a_directory_is_known_by_its_name() {
        // snowflake-arctic-embed-m-v2.0.
        let snowflake = config(json!({
            "model_type": "gte", "architectures": ["GteModel"], "rope_scaling": null, "rope_theta": 160_000,
            "auto_map": {"AutoConfig": "configuration_hf_alibaba_nlp_gte.GteConfig",
                "AutoModel": "modeling_hf_alibaba_nlp_gte.GteModel", "AutoTokenizer": ["tokens.Mine", null]},
            "logn_attention_clip1": false, "logn_attention_scale": false, "unpad_inputs": "true",
            "use_memory_efficient_attention": "true", "type_vocab_size": 1, "vocab_size": 250_048, "pad_token_id": 1
        }))
        .unwrap();
        assert_eq!(snowflake.num_params(false), 305_368_320);
        let left = json!({"AutoTokenizer": ["tokens.Mine", null]});
        assert_eq!(snowflake.to_json()["auto_map"], left);
        let other = json!({"AutoModel": "modeling.NewModel"});
        let error = config(json!({"auto_map": other})).unwrap_err().to_string();
        assert!(error.contains("auto_map"), "{error}");
    }

    #[test]
    fn what_is_not_computed_is_refused_by_name() {
        for (field, value) in [
            ("position_embedding_type", json!("absolute")),
            ("layer_norm_type", json!("rms_norm")),
            ("pack_qkv", json!(false)),
            ("logn_attention_scale", json!(true)),
            ("rope_scaling", json!({"type": "dynamic", "factor": 2.0})),
            ("rope_scaling", json!({"type": "ntk"})),
            ("rope_scaling", json!({"type": "ntk", "factor": 0.5})),
            (
                "rope_scaling",
                json!({"type": "ntk", "factor": 2.0, "mixed_b": 0.6}),
            ),
            (
                "rope_scaling",
                json!({"type": "ntk", "rope_type": "linear", "factor": 2.0}),
            ),
            ("rope_scaling", json!(2)),
            ("rope_theta", json!(null)),
            ("rope_theta", json!("much")),
            ("rope_theta", json!(-1)),
            ("head_dim", json!(32)),
            ("num_attention_heads", json!(0)),
            ("num_attention_heads", json!(256)),
            ("architectures", json!(["BertModel"])),
        ] {
            let error = config(json!({field: value})).unwrap_err().to_string();
            assert!(error.contains(field), "{field}={value}: {error}");
        }
    }

    #[test]
    fn names_are_those_of_transformers_and_of_the_authors() {
        for (ours, theirs) in [
            (
                "bert.encoder.layer.3.attention.self.query.bias",
                "gte.encoder.layer.3.attention.qkv_proj.bias",
            ),
            (
                "bert.encoder.layer.3.intermediate.dense.weight",
                "gte.encoder.layer.3.mlp.up_gate_proj.weight",
            ),
            (
                "bert.encoder.layer.3.output.LayerNorm.weight",
                "gte.encoder.layer.3.mlp_ln.weight",
            ),
            ("cls.predictions.bias", "lm_head.decoder.bias"),
            (
                "cls.predictions.transform.LayerNorm.bias",
                "lm_head.norm.bias",
            ),
            ("classifier.bias", "classifier.bias"),
        ] {
            assert_eq!(GTE.file_name(ours, ""), theirs);
            assert_eq!(GTE.our_name(theirs), ours);
            let own = theirs.replacen("gte.", "new.", 1);
            assert_eq!(GTE.our_name(&own), ours);
            let alone = theirs.strip_prefix("gte.").unwrap_or(theirs);
            assert_eq!(GTE.our_name(alone), ours);
        }
    }
}
