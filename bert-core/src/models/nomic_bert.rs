//! NomicBERT (Nussbaum et al. 2024): BERT's blocks with rotary positions, gated feed-forward layers, and no biases but those of
//! norms (transformers `models/nomic_bert/modeling_nomic_bert.py`).

use serde_json::{Map, Value, json};

use super::bert;
use super::family::{ConfigKeys, Family, Published, TensorNames, TokenizerFamily};
use super::fields::{check_head_size, only};
use super::rope;
use super::shape::{BlockShape, GateShape, HeadShapes, Positions, Rotary};
use crate::activation::{HiddenAct, SiluName};
use crate::config::BertConfig;
use crate::error::{Error, Result};

/// Base of rotary positions where `config.json` states none.
const THETA: f64 = 1000.0;

/// NomicBERT, as transformers 5 has it; its files before that have keys of their own, which are read too.
pub static NOMIC_BERT: Family = Family {
    model_type: "nomic_bert",
    name: "NomicBERT",
    class_prefix: "NomicBert",
    pad_token_id: 0,
    keys: ConfigKeys {
        aliases: &[
            ("hidden_size", "n_embd"),
            ("num_hidden_layers", "n_layer"),
            ("num_attention_heads", "n_head"),
            ("intermediate_size", "n_inner"),
            ("max_position_embeddings", "n_positions"),
            ("layer_norm_eps", "layer_norm_epsilon"),
            ("hidden_dropout_prob", "resid_pdrop"),
            ("attention_probs_dropout_prob", "attn_pdrop"),
        ],
        own_code: &["nomic-ai/nomic-bert-2048", "hf_nomic_bert"],
        defaults,
        read,
        write,
        ..ConfigKeys::PLAIN
    },
    pooler: true,
    segments_optional: false,
    positions: Positions::None,
    heads: HeadShapes {
        next_sentence: false,
        ..HeadShapes::PLAIN
    },
    tensors: TensorNames {
        prefix: "nomic_bert.",
        modules: &["embeddings", "emb_ln", "encoder", "pooler"],
        without: &["ForQuestionAnswering", "ForMultipleChoice"],
        encoder: &[
            ("embeddings.LayerNorm.", "emb_ln."),
            (
                "encoder.layer.{}.attention.self.query.",
                "encoder.layers.{}.attn.Wqkv.",
            ),
            (
                "encoder.layer.{}.attention.output.dense.",
                "encoder.layers.{}.attn.out_proj.",
            ),
            (
                "encoder.layer.{}.attention.output.LayerNorm.",
                "encoder.layers.{}.norm1.",
            ),
            (
                "encoder.layer.{}.intermediate.dense.",
                "encoder.layers.{}.mlp.fc11.",
            ),
            (
                "encoder.layer.{}.intermediate.gate.",
                "encoder.layers.{}.mlp.fc12.",
            ),
            (
                "encoder.layer.{}.output.dense.",
                "encoder.layers.{}.mlp.fc2.",
            ),
            (
                "encoder.layer.{}.output.LayerNorm.",
                "encoder.layers.{}.norm2.",
            ),
        ],
        heads: &[(
            "cls.predictions.transform.LayerNorm.",
            "cls.predictions.transform.layer_norm.",
        )],
        ..TensorNames::PLAIN
    },
    tokenizer: TokenizerFamily {
        classes: &["BertTokenizer"],
        ..bert::TOKENIZER
    },
    published: Published {
        id: "nomic-ai/nomic-embed-text-v1.5",
        config: || json!({"vocab_size": 30528}),
        pooler: false,
        parameters: 136_731_648,
        others: &["nomic-embed-text-v1", "snowflake-arctic-embed-m-long"],
    },
};

fn defaults(config: &mut BertConfig) {
    config.hidden_act = HiddenAct::Silu(SiluName::Silu);
    config.hidden_dropout_prob = 0.0;
    config.attention_probs_dropout_prob = 0.0;
    config.max_position_embeddings = 2048;
    config.block = BlockShape {
        attention_bias: false,
        fused_projections: true,
        gate: GateShape::Apart,
        feed_forward_bias: [false; 2],
        ..BlockShape::PLAIN
    };
    config.rotary = Some(Rotary {
        theta: THETA,
        local_theta: THETA,
        scale: 1.0,
    });
}

/// Keys of files before transformers 5, and the one value of each that is computed.
fn expected() -> [(&'static str, Value); 12] {
    [
        ("activation_function", json!("swiglu")),
        ("prenorm", json!(false)),
        ("parallel_block", json!(false)),
        ("use_rms_norm", json!(false)),
        ("causal", json!(false)),
        ("qkv_proj_bias", json!(false)),
        ("mlp_fc1_bias", json!(false)),
        ("mlp_fc2_bias", json!(false)),
        ("rotary_emb_interleaved", json!(false)),
        ("rotary_emb_fraction", json!(1.0)),
        ("scale_attn_by_inverse_layer_idx", json!(false)),
        ("scale_attn_weights", json!(true)),
    ]
}

fn read(fields: &mut Map<String, Value>, config: &mut BertConfig) -> Result<()> {
    for key in ["num_experts", "moe_every_n_layers", "moe_top_k"] {
        if fields
            .get(key)
            .and_then(Value::as_u64)
            .is_some_and(|n| n > 0)
        {
            let reason =
                "is that of a mixture of experts, which is not computed: use a model without";
            return Err(Error::config(key, reason));
        }
    }
    only(fields, &expected())?;
    if fields
        .get("rotary_emb_scale_base")
        .is_some_and(|base| !base.is_null())
    {
        let reason = "is stated, but rotary positions are computed without scaling: take it out";
        return Err(Error::config("rotary_emb_scale_base", reason));
    }
    check_head_size(fields, config)?;
    // Beyond these, the authors' code scales the positions.
    if let Some(trained) = fields.get("max_trained_positions").and_then(Value::as_u64) {
        let trained = usize::try_from(trained).unwrap_or(usize::MAX);
        config.max_position_embeddings = config.max_position_embeddings.min(trained);
    }
    rope::refuse_scaling(fields)?;
    let before = fields
        .shift_remove("rotary_emb_base")
        .filter(|base| !base.is_null());
    let stated = fields.get(rope::PARAMETERS).map(rope::theta).transpose()?;
    let theta = match (stated.flatten(), before) {
        (Some(theta), _) => theta,
        (None, Some(base)) => base.as_f64().ok_or_else(|| {
            let reason = format!("is {base}, but must be a number");
            Error::config("rotary_emb_base", reason)
        })?,
        (None, None) => THETA,
    };
    config.rotary = Some(Rotary {
        theta,
        local_theta: theta,
        scale: 1.0,
    });
    Ok(())
}

fn write(config: &BertConfig, fields: &mut Map<String, Value>) {
    if let (Some(rotary), false) = (config.rotary, config.extra.contains_key(rope::PARAMETERS)) {
        let parameters = json!({"rope_type": "default", "rope_theta": rotary.theta});
        fields.insert(rope::PARAMETERS.to_owned(), parameters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::testing;

    /// The file of nomic-embed-text-v1.5, with other fields.
    fn config(other: Value) -> Result<BertConfig> {
        let fields = json!({
            "activation_function": "swiglu", "architectures": ["NomicBertModel"], "attn_pdrop": 0.0, "causal": false,
            "embd_pdrop": 0.0, "layer_norm_epsilon": 1e-12, "max_trained_positions": 2048, "mlp_fc1_bias": false,
            "mlp_fc2_bias": false, "model_type": "nomic_bert", "n_embd": 768, "n_head": 12, "n_inner": 3072,
            "n_layer": 12, "n_positions": 8192, "parallel_block": false, "prenorm": false, "qkv_proj_bias": false,
            "resid_pdrop": 0.0, "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0,
            "rotary_emb_interleaved": false, "rotary_emb_scale_base": null, "rotary_scaling_factor": null,
            "type_vocab_size": 2, "use_rms_norm": false, "vocab_size": 30528
        });
        testing::config(fields, other)
    }

    #[test]
    fn the_published_sizes_are_those_of_the_network() {
        let base = config(json!({})).unwrap();
        assert_eq!(base.num_params(false), 136_731_648);
        assert_eq!(base.max_input_length(), 2048);
        assert_eq!(base.rotary_bases(), [1000.0]);
        let fields = base.to_json();
        assert_eq!(
            (&fields["hidden_size"], &fields["hidden_act"]),
            (&json!(768), &json!("silu"))
        );
        assert!(!fields.contains_key("n_embd"));
        let again = BertConfig::from_json(fields).unwrap();
        assert_eq!((again.rotary, again.block), (base.rotary, base.block));
    }

    #[test]
    fn what_is_not_computed_is_refused_by_name() {
        for (field, value) in [
            ("num_experts", json!(8)),
            ("prenorm", json!(true)),
            ("activation_function", json!("gelu")),
            ("rotary_emb_fraction", json!(0.5)),
            ("rotary_emb_interleaved", json!(true)),
            ("qkv_proj_bias", json!(true)),
            ("rotary_emb_scale_base", json!(512)),
            ("rope_parameters", json!({"rope_type": "yarn"})),
            ("head_dim", json!(32)),
        ] {
            let error = config(json!({field: value})).unwrap_err().to_string();
            assert!(error.contains(field), "{field}={value}: {error}");
        }
        let no_heads = config(json!({"head_dim": 64, "n_head": 0}));
        let error = no_heads.unwrap_err().to_string();
        assert!(error.contains("head_dim"), "{error}");
    }
}
