//! DistilBERT (Sanh et al. 2019): BERT's blocks without segments and pooler, half as many of them (transformers
//! `models/distilbert/modeling_distilbert.py`).

use serde_json::json;

use super::bert;
use super::family::{ConfigKeys, Family, Published, TensorNames, TokenizerFamily};
use super::shape::{
    BlockDropout, ClassifierShape, HeadDropout, HeadShapes, HiddenLayerShape, Positions, Reads,
};
use crate::activation::HiddenAct;

/// DistilBERT.
pub static DISTILBERT: Family = Family {
    model_type: "distilbert",
    name: "DistilBERT",
    class_prefix: "DistilBert",
    pad_token_id: 0,
    keys: ConfigKeys {
        renamed: &[
            ("hidden_size", "dim"),
            ("num_hidden_layers", "n_layers"),
            ("num_attention_heads", "n_heads"),
            ("intermediate_size", "hidden_dim"),
            ("hidden_act", "activation"),
            ("hidden_dropout_prob", "dropout"),
            ("attention_probs_dropout_prob", "attention_dropout"),
        ],
        without: &["type_vocab_size", "layer_norm_eps", "classifier_dropout"],
        defaults: |config| {
            config.type_vocab_size = 0;
            config.block_dropout = BlockDropout {
                attention: false,
                ..BlockDropout::PLAIN
            };
        },
        ..ConfigKeys::PLAIN
    },
    pooler: false,
    segments_optional: true,
    positions: Positions::FromZero,
    heads: HeadShapes {
        sequence: CLASSIFIER,
        token: ClassifierShape {
            dropout: HeadDropout::Hidden,
            ..ClassifierShape::TOKENS
        },
        question_answering: ClassifierShape {
            dropout: HeadDropout::Key("qa_dropout", 0.1),
            ..ClassifierShape::TOKENS
        },
        choice: CLASSIFIER,
        next_sentence: false,
        ..HeadShapes::PLAIN
    },
    tensors: TensorNames {
        prefix: "distilbert.",
        modules: &["embeddings", "transformer"],
        encoder: &[
            (
                "encoder.layer.{}.attention.self.query.",
                "transformer.layer.{}.attention.q_lin.",
            ),
            (
                "encoder.layer.{}.attention.self.key.",
                "transformer.layer.{}.attention.k_lin.",
            ),
            (
                "encoder.layer.{}.attention.self.value.",
                "transformer.layer.{}.attention.v_lin.",
            ),
            (
                "encoder.layer.{}.attention.output.dense.",
                "transformer.layer.{}.attention.out_lin.",
            ),
            (
                "encoder.layer.{}.attention.output.LayerNorm.",
                "transformer.layer.{}.sa_layer_norm.",
            ),
            (
                "encoder.layer.{}.intermediate.dense.",
                "transformer.layer.{}.ffn.lin1.",
            ),
            (
                "encoder.layer.{}.output.dense.",
                "transformer.layer.{}.ffn.lin2.",
            ),
            (
                "encoder.layer.{}.output.LayerNorm.",
                "transformer.layer.{}.output_layer_norm.",
            ),
        ],
        heads: &[
            ("cls.predictions.transform.dense.", "vocab_transform."),
            ("cls.predictions.transform.LayerNorm.", "vocab_layer_norm."),
            ("cls.predictions.bias", "vocab_projector.bias"),
            ("cls.predictions.decoder.", "vocab_projector."),
            ("pre_classifier.dense.", "pre_classifier."),
        ],
        ..TensorNames::PLAIN
    },
    tokenizer: TokenizerFamily {
        classes: &["DistilBertTokenizer"],
        segments: false,
        ..bert::TOKENIZER
    },
    published: Published {
        id: "distilbert/distilbert-base-uncased",
        config: || json!({"n_layers": 6}),
        pooler: false,
        parameters: 66_362_880,
        others: &[
            "distilbert-base-cased",
            "distilbert-base-multilingual-cased",
        ],
    },
};

/// The classifier of texts and of choices.
const CLASSIFIER: ClassifierShape = ClassifierShape {
    reads: Reads::FirstToken,
    hidden: Some(HiddenLayerShape::without_dropout(HiddenAct::Relu)),
    dropout: HeadDropout::Key("seq_classif_dropout", 0.2),
};

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::config::BertConfig;
    use crate::models::testing;

    fn config(fields: Value) -> crate::Result<BertConfig> {
        let plain = json!({"model_type": "distilbert", "vocab_size": 30522, "dim": 768, "n_layers": 6,
            "n_heads": 12, "hidden_dim": 3072, "dropout": 0.25, "activation": "relu"});
        testing::config(plain, fields)
    }

    #[test]
    fn the_published_sizes_are_those_of_the_network() {
        for (vocabulary, parameters) in [
            (30522, 66_362_880),
            (28996, 65_190_912),
            (119_547, 134_734_080),
        ] {
            let config = config(json!({"vocab_size": vocabulary})).unwrap();
            assert_eq!(config.num_params(false), parameters);
        }
    }

    #[test]
    fn keys_are_those_of_the_family() {
        let read = config(json!({"qa_dropout": 0.5})).unwrap();
        assert_eq!((read.hidden_size, read.type_vocab_size), (768, 0));
        assert_eq!(read.hidden_act, HiddenAct::Relu);
        assert_eq!(read.hidden_dropout_prob, 0.25);
        let heads = read.heads;
        assert_eq!(read.dropout_prob_of(heads.question_answering), 0.5);
        assert_eq!(read.dropout_prob_of(heads.sequence), 0.2);
        assert_eq!(read.dropout_prob_of(heads.token), 0.25);
        let written = read.to_json();
        assert_eq!(written["dim"], 768);
        for key in ["hidden_size", "type_vocab_size", "layer_norm_eps"] {
            assert!(!written.contains_key(key), "{key}");
        }
        assert_eq!(BertConfig::from_json(written).unwrap(), read);
        let error = config(json!({"dim": null})).unwrap_err().to_string();
        assert!(error.contains("`dim`"), "{error}");
        for wrong in [json!(2), json!("0.1")] {
            let error = config(json!({"qa_dropout": wrong}))
                .unwrap_err()
                .to_string();
            assert!(error.contains("qa_dropout"), "{error}");
        }
    }
}
