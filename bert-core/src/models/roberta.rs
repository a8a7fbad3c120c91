//! RoBERTa (Liu et al. 2019): BERT's network with byte-level tokens, positions counted from after padding, no segments, no
//! next sentences, and heads of its own (transformers `models/roberta/modeling_roberta.py`).

use serde_json::{Value, json};
use tokenizers::PostProcessorWrapper;
use tokenizers::processors::roberta::RobertaProcessing;

use super::family::{
    ConfigKeys, Family, Frame, Published, TensorNames, TokenizerFamily, TokenizerModel,
};
use super::shape::{
    ClassifierShape, HeadDropout, HeadShapes, HiddenLayerShape, MaskedLmShape, Positions, Reads,
};
use crate::activation::HiddenAct;

/// RoBERTa.
pub static ROBERTA: Family = FAMILY;

/// RoBERTa, for families that share its network and heads.
pub(super) const FAMILY: Family = Family {
    model_type: "roberta",
    name: "RoBERTa",
    class_prefix: "Roberta",
    pad_token_id: 1,
    keys: ConfigKeys::PLAIN,
    pooler: true,
    segments_optional: false,
    positions: Positions::AfterPadding,
    heads: HeadShapes {
        sequence: ClassifierShape {
            reads: Reads::FirstToken,
            hidden: Some(HiddenLayerShape::after_dropout(
                HiddenAct::Tanh,
                HeadDropout::Classifier,
            )),
            dropout: HeadDropout::Classifier,
        },
        choice: ClassifierShape {
            dropout: HeadDropout::Hidden,
            ..ClassifierShape::POOLED
        },
        masked_lm: MaskedLmShape {
            activation: Some(HiddenAct::Gelu),
            ..MaskedLmShape::PLAIN
        },
        next_sentence: false,
        ..HeadShapes::PLAIN
    },
    tensors: TensorNames {
        prefix: "roberta.",
        heads: &[
            ("cls.predictions.transform.dense.", "lm_head.dense."),
            (
                "cls.predictions.transform.LayerNorm.",
                "lm_head.layer_norm.",
            ),
            ("cls.predictions.", "lm_head."),
        ],
        by_class: &[(
            "ForSequenceClassification",
            &[
                ("pre_classifier.dense.", "classifier.dense."),
                ("classifier.", "classifier.out_proj."),
            ],
        )],
        ..TensorNames::PLAIN
    },
    tokenizer: TokenizerFamily {
        classes: &["RobertaTokenizer"],
        model: TokenizerModel::ByteLevelBpe,
        special_tokens: ["<unk>", "</s>", "<pad>", "<s>", "<mask>"],
        extra_special_tokens: &[],
        special_order: [&["<s>", "<pad>", "</s>", "<unk>"], &["<mask>"]],
        composes: false,
        mask_takes_space: true,
        segments: false,
        frame,
    },
    published: Published {
        id: "FacebookAI/roberta-base",
        config: || published(50265),
        pooler: true,
        parameters: 124_645_632,
        others: &["DistilRoBERTa"],
    },
};

/// Fields of the published models of base size.
pub(super) fn published(vocab_size: usize) -> Value {
    json!({"vocab_size": vocab_size, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5})
}

/// `<s> A </s>` and `<s> A </s></s> B </s>`; offsets leave out the space that a token begins with.
fn frame(tokens: Frame) -> PostProcessorWrapper {
    let splitter = tokens.splitter;
    RobertaProcessing::new(tokens.separator, tokens.first)
        .add_prefix_space(splitter.is_some_and(|splitter| splitter.add_prefix_space))
        .trim_offsets(splitter.is_none_or(|splitter| splitter.trim_offsets))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BertConfig;
    use crate::models::testing;

    fn config(fields: Value) -> crate::Result<BertConfig> {
        let plain = json!({"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 5,
            "num_attention_heads": 4, "intermediate_size": 37});
        testing::config(plain, fields)
    }

    #[test]
    fn the_published_sizes_are_those_of_the_network() {
        let published = json!({"model_type": "roberta", "vocab_size": 50265, "hidden_size": 768,
            "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
            "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5});
        let base = config(published).unwrap();
        assert_eq!((base.first_position(), base.max_input_length()), (2, 512));
        assert_eq!(base.num_params(true), 124_645_632);
        assert_eq!(base.num_params(false), 124_055_040);
        assert_eq!(base.to_json()["model_type"], "roberta");
        assert_eq!(BertConfig::from_json(base.to_json()).unwrap(), base);
    }

    #[test]
    fn a_class_names_the_family_where_no_model_type_does() {
        let stated = config(json!({"architectures": ["RobertaForMaskedLM"]})).unwrap();
        assert_eq!(*stated.family, ROBERTA);
        assert_eq!(stated.pad_token_id, 1);
        assert!(stated.check_next_sentence().is_err());
        let plain = config(json!({"architectures": ["BertModel"]})).unwrap();
        assert_ne!(*plain.family, ROBERTA);
    }

    #[test]
    fn a_table_without_a_row_for_the_first_token_is_refused() {
        let short = json!({"model_type": "roberta", "max_position_embeddings": 2});
        let error = config(short).unwrap_err().to_string();
        assert!(error.contains("max_position_embeddings"), "{error}");
    }

    #[test]
    fn names_are_those_of_transformers() {
        for (ours, theirs) in [
            (
                "bert.encoder.layer.0.output.LayerNorm.weight",
                "roberta.encoder.layer.0.output.LayerNorm.weight",
            ),
            (
                "cls.predictions.transform.LayerNorm.bias",
                "lm_head.layer_norm.bias",
            ),
            ("cls.predictions.bias", "lm_head.bias"),
            ("cls.predictions.decoder.weight", "lm_head.decoder.weight"),
            ("classifier.weight", "classifier.weight"),
        ] {
            assert_eq!(ROBERTA.file_name(ours, ""), theirs);
            assert_eq!(ROBERTA.our_name(theirs), ours);
        }
        assert_eq!(
            ROBERTA.file_name("classifier.weight", "RobertaForSequenceClassification"),
            "classifier.out_proj.weight"
        );
        for (theirs, ours) in [
            (
                "encoder.layer.0.output.dense.weight",
                "bert.encoder.layer.0.output.dense.weight",
            ),
            ("classifier.dense.bias", "pre_classifier.dense.bias"),
        ] {
            assert_eq!(ROBERTA.our_name(theirs), ours);
        }
    }
}
