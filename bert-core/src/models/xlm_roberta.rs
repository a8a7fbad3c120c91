//! XLM-RoBERTa (Conneau et al. 2020): RoBERTa's network and heads with a Unigram vocabulary of a hundred languages
//! (transformers `models/xlm_roberta/`).

use tokenizers::PostProcessorWrapper;
use tokenizers::processors::roberta::RobertaProcessing;

use super::family::{Family, Frame, Published, TokenizerFamily, TokenizerModel, UnigramText};
use super::roberta;

/// XLM-RoBERTa.
pub static XLM_ROBERTA: Family = Family {
    model_type: "xlm-roberta",
    name: "XLM-RoBERTa",
    class_prefix: "XLMRoberta",
    tokenizer: TOKENIZER,
    published: Published {
        id: "FacebookAI/xlm-roberta-base",
        config: || roberta::published(250_002),
        pooler: true,
        parameters: 278_043_648,
        others: &[
            "BGE-M3",
            "multilingual E5",
            "bge-reranker-v2-m3",
            "paraphrase-multilingual-mpnet",
        ],
    },
    ..roberta::FAMILY
};

/// Conventions of the tokenizer; spaces are part of the pieces and of their offsets.
pub(super) const TOKENIZER: TokenizerFamily = TokenizerFamily {
    classes: &["XLMRobertaTokenizer"],
    model: TokenizerModel::Unigram(UnigramText::Words),
    mask_takes_space: false,
    frame,
    ..roberta::FAMILY.tokenizer
};

/// `<s> A </s>` and `<s> A </s></s> B </s>`.
fn frame(tokens: Frame) -> PostProcessorWrapper {
    RobertaProcessing::new(tokens.separator, tokens.first)
        .add_prefix_space(false)
        .trim_offsets(false)
        .into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::BertConfig;

    fn published(fields: Value) -> BertConfig {
        let mut all = json!({"model_type": "xlm-roberta", "vocab_size": 250002, "hidden_size": 768,
            "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
            "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5});
        let all = all.as_object_mut().unwrap();
        all.extend(fields.as_object().unwrap().clone());
        BertConfig::from_json(all.clone()).unwrap()
    }

    #[test]
    fn the_published_sizes_are_those_of_the_network() {
        let base = published(json!({}));
        assert_eq!(*base.family, XLM_ROBERTA);
        assert_eq!((base.first_position(), base.max_input_length()), (2, 512));
        assert_eq!(base.num_params(true), 278_043_648);
        assert_eq!(base.num_params(false), 277_453_056);
        assert_eq!(BertConfig::from_json(base.to_json()).unwrap(), base);

        let large = json!({"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
            "intermediate_size": 4096});
        assert_eq!(published(large.clone()).num_params(true), 559_890_432);
        assert_eq!(published(large.clone()).num_params(false), 558_840_832);

        // BAAI/bge-m3.
        let mut long = large;
        long["max_position_embeddings"] = json!(8194);
        let long = published(long);
        assert_eq!(long.num_params(true), 567_754_752);
        assert_eq!(long.num_params(false), 566_705_152);
        assert_eq!(long.max_input_length(), 8192);
    }

    #[test]
    fn names_are_those_of_roberta() {
        let name = "cls.predictions.transform.LayerNorm.weight";
        assert_eq!(XLM_ROBERTA.file_name(name, ""), "lm_head.layer_norm.weight");
        let name = "bert.encoder.layer.0.output.dense.weight";
        let theirs = "roberta.encoder.layer.0.output.dense.weight";
        assert_eq!(XLM_ROBERTA.file_name(name, ""), theirs);
        assert_eq!(XLM_ROBERTA.class("ForMaskedLM"), "XLMRobertaForMaskedLM");
    }
}
