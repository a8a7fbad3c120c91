//! ALBERT (Lan et al. 2020): narrow embeddings with a projection, and blocks that share their parameters (transformers
//! `models/albert/modeling_albert.py`).

use serde_json::{Map, Value, json};

use super::bert;
use super::family::{
    ConfigKeys, Family, Published, TensorNames, TokenizerFamily, TokenizerModel, UnigramText,
};
use super::shape::{BlockDropout, HeadShapes, Positions};
use crate::activation::{GeluTanhName, HiddenAct};
use crate::config::BertConfig;
use crate::config::json::{as_size, take};
use crate::error::{Error, Result};

/// `embedding_size` where it is absent.
const EMBEDDING_SIZE: usize = 128;

/// ALBERT.
pub static ALBERT: Family = Family {
    model_type: "albert",
    name: "ALBERT",
    class_prefix: "Albert",
    pad_token_id: 0,
    keys: ConfigKeys {
        renamed: &[("classifier_dropout", "classifier_dropout_prob")],
        defaults: |config| {
            config.hidden_act = HiddenAct::GeluTanh(GeluTanhName::New);
            config.hidden_dropout_prob = 0.0;
            config.attention_probs_dropout_prob = 0.0;
            config.classifier_dropout = Some(0.1);
            config.block_dropout = BlockDropout {
                feed_forward: false,
                ..BlockDropout::PLAIN
            };
        },
        read,
        write: |config, fields| {
            fields.insert("embedding_size".to_owned(), json!(config.embedding_width()));
            fields.insert("num_hidden_groups".to_owned(), json!(config.num_blocks()));
            fields.insert("inner_group_num".to_owned(), json!(1));
        },
        ..ConfigKeys::PLAIN
    },
    pooler: true,
    segments_optional: false,
    positions: Positions::FromZero,
    heads: HeadShapes {
        next_sentence: false,
        ..HeadShapes::PLAIN
    },
    tensors: TensorNames {
        prefix: "albert.",
        encoder: &[
            (
                "embeddings.projection.",
                "encoder.embedding_hidden_mapping_in.",
            ),
            (
                "encoder.layer.{}.attention.output.dense.",
                "encoder.albert_layer_groups.{}.albert_layers.0.attention.dense.",
            ),
            (
                "encoder.layer.{}.attention.output.LayerNorm.",
                "encoder.albert_layer_groups.{}.albert_layers.0.attention.LayerNorm.",
            ),
            (
                "encoder.layer.{}.attention.self.",
                "encoder.albert_layer_groups.{}.albert_layers.0.attention.",
            ),
            (
                "encoder.layer.{}.intermediate.dense.",
                "encoder.albert_layer_groups.{}.albert_layers.0.ffn.",
            ),
            (
                "encoder.layer.{}.output.dense.",
                "encoder.albert_layer_groups.{}.albert_layers.0.ffn_output.",
            ),
            (
                "encoder.layer.{}.output.LayerNorm.",
                "encoder.albert_layer_groups.{}.albert_layers.0.full_layer_layer_norm.",
            ),
            ("pooler.dense.", "pooler."),
        ],
        heads: &[
            ("cls.predictions.bias", "predictions.bias"),
            ("cls.predictions.decoder.", "predictions.decoder."),
            ("cls.predictions.transform.", "predictions."),
            ("cls.sentence_order.", "sop_classifier."),
        ],
        ..TensorNames::PLAIN
    },
    tokenizer: TokenizerFamily {
        classes: &["AlbertTokenizer"],
        model: TokenizerModel::Unigram(UnigramText::Folded),
        special_tokens: ["<unk>", "[SEP]", "<pad>", "[CLS]", "[MASK]"],
        special_order: [&["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"], &[]],
        mask_takes_space: true,
        ..bert::TOKENIZER
    },
    published: Published {
        id: "albert/albert-base-v2",
        config: || json!({"vocab_size": 30000}),
        pooler: true,
        parameters: 11_683_584,
        others: &["ALBERT v1 and v2, large to xxlarge"],
    },
};

/// Reads the width of the embeddings and the groups of layers.
fn read(fields: &mut Map<String, Value>, config: &mut BertConfig) -> Result<()> {
    let width = take(fields, "embedding_size", as_size)?;
    config.embedding_size = Some(width.unwrap_or(EMBEDDING_SIZE));
    let groups = take(fields, "num_hidden_groups", as_size)?;
    config.num_hidden_groups = Some(groups.unwrap_or(1));
    match take(fields, "inner_group_num", as_size)? {
        None | Some(1) => Ok(()),
        Some(inner) => Err(Error::config(
            "inner_group_num",
            format!("is {inner}, but groups of one block, 1, are what is read"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::testing;

    fn config(fields: Value) -> Result<BertConfig> {
        let plain = json!({"model_type": "albert", "vocab_size": 30000, "hidden_size": 768,
            "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072});
        testing::config(plain, fields)
    }

    #[test]
    fn the_published_sizes_are_those_of_the_network() {
        let base = config(json!({})).unwrap();
        assert_eq!((base.num_blocks(), base.num_hidden_layers), (1, 12));
        assert_eq!(base.num_params(true), 11_683_584);
        for (hidden, layers, heads, parameters) in [
            (1024, 24, 16, 17_683_968),
            (2048, 24, 16, 58_724_864),
            (4096, 12, 64, 222_595_584),
        ] {
            let sizes = json!({"hidden_size": hidden, "num_hidden_layers": layers,
                "num_attention_heads": heads, "intermediate_size": 4 * hidden});
            assert_eq!(config(sizes).unwrap().num_params(true), parameters);
        }
        assert_eq!(BertConfig::from_json(base.to_json()).unwrap(), base);
    }

    #[test]
    fn defaults_are_those_of_the_family() {
        let base = config(json!({})).unwrap();
        assert_eq!(base.hidden_act.name(), "gelu_new");
        assert_eq!(
            (base.hidden_dropout_prob, base.head_dropout_prob()),
            (0.0, 0.1)
        );
        assert_eq!(base.to_json()["classifier_dropout_prob"], 0.1);
    }

    #[test]
    fn groups_that_cannot_be_are_refused() {
        for (key, value) in [
            ("num_hidden_groups", 5),
            ("inner_group_num", 2),
            ("num_hidden_groups", 0),
        ] {
            let error = config(json!({key: value})).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
