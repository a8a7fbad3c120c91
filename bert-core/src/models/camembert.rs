//! CamemBERT (Martin et al. 2020): RoBERTa's network and heads with a French Unigram vocabulary (transformers
//! `models/camembert/`).

use super::family::{Family, Published, TokenizerFamily};
use super::{roberta, xlm_roberta};

/// CamemBERT.
pub static CAMEMBERT: Family = Family {
    model_type: "camembert",
    name: "CamemBERT",
    class_prefix: "Camembert",
    tokenizer: TokenizerFamily {
        classes: &["CamembertTokenizer"],
        extra_special_tokens: &["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"],
        special_order: [
            &[
                "<s>NOTUSED",
                "<pad>",
                "</s>NOTUSED",
                "<unk>",
                "<unk>NOTUSED",
                "<s>",
                "</s>",
            ],
            &["<mask>"],
        ],
        mask_takes_space: true,
        ..xlm_roberta::TOKENIZER
    },
    published: Published {
        id: "almanach/camembert-base",
        config: || roberta::published(32005),
        pooler: true,
        parameters: 110_621_952,
        others: &["camembert-large"],
    },
    ..roberta::FAMILY
};

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::BertConfig;

    #[test]
    fn the_published_sizes_are_those_of_the_network() {
        let published = json!({"model_type": "camembert", "vocab_size": 32005, "hidden_size": 768,
            "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
            "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5});
        let base = BertConfig::from_json(published.as_object().unwrap().clone()).unwrap();
        assert_eq!(*base.family, CAMEMBERT);
        assert_eq!(base.pad_token_id, 1);
        assert_eq!(base.num_params(true), 110_621_952);
        assert_eq!(base.num_params(false), 110_031_360);
        assert_eq!(CAMEMBERT.class("Model"), "CamembertModel");
    }
}
