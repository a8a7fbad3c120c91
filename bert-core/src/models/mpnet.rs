//! MPNet (Song et al. 2020): RoBERTa's network and heads without segments, with a relative position bias that all layers share
//! (transformers `models/mpnet/modeling_mpnet.py`).

use serde_json::{Map, Value, json};

use super::bert;
use super::family::{ConfigKeys, Family, Published, TensorNames, TokenizerFamily};
use super::roberta;
use super::shape::{
    ClassifierShape, HeadDropout, HeadShapes, HiddenLayerShape, Positions, Reads, RelativePositions,
};
use crate::activation::HiddenAct;
use crate::config::BertConfig;
use crate::config::json::{as_size, take};
use crate::error::{Error, Result};

/// Key of the rows that the table of the relative position bias has.
const BUCKETS_KEY: &str = "relative_attention_num_buckets";
/// Rows that it has at least.
const BUCKETS: usize = RelativePositions::BUCKETS;

/// MPNet.
pub static MPNET: Family = Family {
    model_type: "mpnet",
    name: "MPNet",
    class_prefix: "MPNet",
    pad_token_id: 1,
    keys: ConfigKeys {
        without: &["type_vocab_size", "classifier_dropout"],
        defaults: |config| {
            config.type_vocab_size = 0;
            config.relative = RelativePositions::Bias { buckets: BUCKETS };
        },
        read,
        write: |config, fields| {
            if let RelativePositions::Bias { buckets } = config.relative {
                fields.insert(BUCKETS_KEY.to_owned(), json!(buckets));
            }
        },
        ..ConfigKeys::PLAIN
    },
    segments_optional: true,
    positions: Positions::AfterToken(1),
    heads: HeadShapes {
        sequence: ClassifierShape {
            reads: Reads::FirstToken,
            hidden: Some(HiddenLayerShape::after_dropout(
                HiddenAct::Tanh,
                HeadDropout::Hidden,
            )),
            dropout: HeadDropout::Hidden,
        },
        token: ClassifierShape {
            dropout: HeadDropout::Hidden,
            ..ClassifierShape::TOKENS
        },
        ..roberta::FAMILY.heads
    },
    tensors: TensorNames {
        prefix: "mpnet.",
        encoder: &[
            (
                "encoder.layer.{}.attention.self.query.",
                "encoder.layer.{}.attention.attn.q.",
            ),
            (
                "encoder.layer.{}.attention.self.key.",
                "encoder.layer.{}.attention.attn.k.",
            ),
            (
                "encoder.layer.{}.attention.self.value.",
                "encoder.layer.{}.attention.attn.v.",
            ),
            (
                "encoder.layer.{}.attention.output.dense.",
                "encoder.layer.{}.attention.attn.o.",
            ),
            (
                "encoder.layer.{}.attention.output.LayerNorm.",
                "encoder.layer.{}.attention.LayerNorm.",
            ),
        ],
        ..roberta::FAMILY.tensors
    },
    tokenizer: TokenizerFamily {
        classes: &["MPNetTokenizer"],
        special_tokens: ["[UNK]", "</s>", "<pad>", "<s>", "<mask>"],
        special_order: [&["<s>", "<pad>", "</s>", "[UNK]"], &["<mask>"]],
        mask_takes_space: true,
        segments: false,
        frame: roberta::FAMILY.tokenizer.frame,
        ..bert::TOKENIZER
    },
    published: Published {
        id: "microsoft/mpnet-base",
        config: || json!({"vocab_size": 30527, "max_position_embeddings": 514, "layer_norm_eps": 1e-5}),
        pooler: true,
        parameters: 109_486_464,
        others: &["all-mpnet-base-v2", "multi-qa-mpnet-base"],
    },
    ..roberta::FAMILY
};

/// Reads the rows of the table of the relative position bias.
fn read(fields: &mut Map<String, Value>, config: &mut BertConfig) -> Result<()> {
    let buckets = take(fields, BUCKETS_KEY, as_size)?.unwrap_or(BUCKETS);
    if !(BUCKETS..=1 << 16).contains(&buckets) {
        let reason = format!(
            "is {buckets}, but distances fall into {BUCKETS} buckets, each with its row: state at least that many, and at most 65536"
        );
        return Err(Error::config(BUCKETS_KEY, reason));
    }
    config.relative = RelativePositions::Bias { buckets };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::testing;

    /// The file of mpnet-base, with other fields.
    fn config(other: Value) -> Result<BertConfig> {
        let fields = json!({
            "architectures": ["MPNetForMaskedLM"], "attention_probs_dropout_prob": 0.1, "bos_token_id": 0,
            "eos_token_id": 2, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": 768,
            "initializer_range": 0.02, "intermediate_size": 3072, "layer_norm_eps": 1e-5,
            "max_position_embeddings": 514, "model_type": "mpnet", "num_attention_heads": 12,
            "num_hidden_layers": 12, "pad_token_id": 1, "relative_attention_num_buckets": 32,
            "vocab_size": 30527
        });
        testing::config(fields, other)
    }

    #[test]
    fn the_published_sizes_are_those_of_the_network() {
        let base = config(json!({})).unwrap();
        assert_eq!((base.first_position(), base.max_input_length()), (2, 512));
        assert_eq!(base.num_params(true), 109_486_464);
        assert_eq!(base.num_params(false), 108_895_872);
        assert_eq!(BertConfig::from_json(base.to_json()).unwrap(), base);
        let written = base.to_json();
        for key in ["type_vocab_size", "classifier_dropout"] {
            assert!(!written.contains_key(key), "{key}");
        }
        // Positions are counted without token 1, of whatever the padding is.
        let other = config(json!({"pad_token_id": 0})).unwrap();
        assert_eq!((other.first_position(), other.pad_token_id), (2, 0));
    }

    #[test]
    fn a_table_has_a_row_for_every_bucket() {
        let wide = config(json!({"relative_attention_num_buckets": 40})).unwrap();
        assert_eq!(wide.num_params(false), 108_895_872 + 8 * 12);
        assert_eq!(wide.to_json()[BUCKETS_KEY], 40);
        for wrong in [json!(31), json!("many"), json!(1 << 17)] {
            let error = config(json!({"relative_attention_num_buckets": wrong}));
            let error = error.unwrap_err().to_string();
            assert!(error.contains(BUCKETS_KEY), "{error}");
        }
    }

    #[test]
    fn names_are_those_of_transformers() {
        for (ours, theirs) in [
            (
                "bert.encoder.layer.7.attention.self.query.weight",
                "mpnet.encoder.layer.7.attention.attn.q.weight",
            ),
            (
                "bert.encoder.layer.7.attention.output.dense.bias",
                "mpnet.encoder.layer.7.attention.attn.o.bias",
            ),
            (
                "bert.encoder.layer.7.attention.output.LayerNorm.bias",
                "mpnet.encoder.layer.7.attention.LayerNorm.bias",
            ),
            (
                "bert.encoder.layer.7.output.LayerNorm.bias",
                "mpnet.encoder.layer.7.output.LayerNorm.bias",
            ),
            (
                "bert.encoder.relative_attention_bias.weight",
                "mpnet.encoder.relative_attention_bias.weight",
            ),
            (
                "cls.predictions.transform.LayerNorm.weight",
                "lm_head.layer_norm.weight",
            ),
        ] {
            assert_eq!(MPNET.file_name(ours, ""), theirs);
            assert_eq!(MPNET.our_name(theirs), ours);
        }
    }
}
