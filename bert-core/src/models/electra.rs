//! ELECTRA (Clark et al. 2020): BERT's blocks over embeddings of another width, trained to tell replaced tokens from those of the
//! text (transformers `models/electra/modeling_electra.py`).

use serde_json::{Map, Value, json};

use super::bert;
use super::family::{ConfigKeys, Family, Published, TensorNames, TokenizerFamily};
use super::shape::{
    ClassifierShape, HeadDropout, HeadShapes, HiddenLayerShape, MaskedLmShape, Positions, Reads,
};
use crate::activation::HiddenAct;
use crate::config::BertConfig;
use crate::config::json::{as_size, take};
use crate::error::{Error, Result};

/// `embedding_size` where it is absent.
const EMBEDDING_SIZE: usize = 128;

/// ELECTRA.
pub static ELECTRA: Family = Family {
    model_type: "electra",
    name: "ELECTRA",
    class_prefix: "Electra",
    pad_token_id: 0,
    keys: ConfigKeys {
        read,
        write: |config, fields| {
            fields.insert("embedding_size".to_owned(), json!(config.embedding_width()));
        },
        ..ConfigKeys::PLAIN
    },
    pooler: false,
    segments_optional: false,
    positions: Positions::FromZero,
    heads: HeadShapes {
        sequence: ClassifierShape {
            reads: Reads::FirstToken,
            hidden: Some(HiddenLayerShape::after_dropout(
                HiddenAct::Gelu,
                HeadDropout::Classifier,
            )),
            dropout: HeadDropout::Classifier,
        },
        choice: ClassifierShape {
            reads: Reads::FirstToken,
            hidden: Some(HiddenLayerShape::without_dropout(HiddenAct::Gelu)),
            dropout: HeadDropout::Key("summary_last_dropout", 0.1),
        },
        masked_lm: MaskedLmShape {
            activation: Some(HiddenAct::Gelu),
            ..MaskedLmShape::PLAIN
        },
        next_sentence: false,
        replaced_tokens: true,
        ..HeadShapes::PLAIN
    },
    tensors: TensorNames {
        prefix: "electra.",
        modules: &["embeddings", "embeddings_project", "encoder"],
        encoder: &[("embeddings.projection.", "embeddings_project.")],
        heads: &[
            ("cls.predictions.transform.", "generator_predictions."),
            ("cls.predictions.bias", "generator_lm_head.bias"),
            ("cls.predictions.decoder.", "generator_lm_head."),
            ("cls.discriminator.", "discriminator_predictions."),
        ],
        by_class: &[
            (
                "ForSequenceClassification",
                &[
                    ("pre_classifier.dense.", "classifier.dense."),
                    ("classifier.", "classifier.out_proj."),
                ],
            ),
            (
                "ForMultipleChoice",
                &[("pre_classifier.dense.", "sequence_summary.summary.")],
            ),
        ],
        ..TensorNames::PLAIN
    },
    tokenizer: TokenizerFamily {
        classes: &["ElectraTokenizer"],
        ..bert::TOKENIZER
    },
    published: Published {
        id: "google/electra-base-discriminator",
        config: || json!({"embedding_size": 768}),
        pooler: false,
        parameters: 108_891_648,
        others: &["electra-small", "electra-large", "their generators"],
    },
};

/// Reads the width of the embeddings, and refuses a head for choices that reads something else than the first token.
fn read(fields: &mut Map<String, Value>, config: &mut BertConfig) -> Result<()> {
    let width = take(fields, "embedding_size", as_size)?.unwrap_or(EMBEDDING_SIZE);
    config.embedding_size = (width != config.hidden_size).then_some(width);
    let classes = fields.get("architectures").and_then(Value::as_array);
    let mut classes = classes.into_iter().flatten().filter_map(Value::as_str);
    if classes.any(|class| class.ends_with("ForMultipleChoice")) {
        for (key, supported) in [
            ("summary_type", json!("first")),
            ("summary_use_proj", json!(true)),
            ("summary_activation", json!("gelu")),
        ] {
            if let Some(value) = fields.get(key).filter(|&value| *value != supported) {
                let reason =
                    format!("is {value}, but heads for choices are read with {supported} only");
                return Err(Error::config(key, reason));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::testing;

    fn config(fields: Value) -> Result<BertConfig> {
        let plain = json!({"model_type": "electra", "vocab_size": 30522, "hidden_size": 256,
            "num_hidden_layers": 12, "num_attention_heads": 4, "intermediate_size": 1024});
        testing::config(plain, fields)
    }

    #[test]
    fn the_published_sizes_are_those_of_the_network() {
        let small = config(json!({})).unwrap();
        assert_eq!(
            (small.embedding_size, small.num_params(false)),
            (Some(128), 13_483_008)
        );
        let base = json!({"hidden_size": 768, "embedding_size": 768, "num_attention_heads": 12,
            "intermediate_size": 3072});
        let base = config(base).unwrap();
        assert_eq!(
            (base.embedding_size, base.num_params(false)),
            (None, 108_891_648)
        );
        assert_eq!(base.to_json()["embedding_size"], 768);
        let large = json!({"hidden_size": 1024, "embedding_size": 1024, "num_hidden_layers": 24,
            "num_attention_heads": 16, "intermediate_size": 4096});
        assert_eq!(config(large).unwrap().num_params(false), 334_092_288);
        assert_eq!(BertConfig::from_json(small.to_json()).unwrap(), small);
    }

    #[test]
    fn a_head_for_choices_over_other_vectors_is_refused() {
        let last = json!({"architectures": ["ElectraForMultipleChoice"], "summary_type": "last"});
        let error = config(last).unwrap_err().to_string();
        assert!(error.contains("summary_type"), "{error}");
        assert!(config(json!({"summary_type": "last"})).is_ok());
    }
}
