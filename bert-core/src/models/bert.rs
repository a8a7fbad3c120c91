//! BERT (Devlin et al. 2019), whose conventions are those of the network itself.

use serde_json::json;
use tokenizers::PostProcessorWrapper;
use tokenizers::processors::bert::BertProcessing;

use super::family::{
    ConfigKeys, Family, Frame, Published, TensorNames, TokenizerFamily, TokenizerModel,
};
use super::shape::{HeadShapes, Positions};

/// BERT, and models of its architecture under other names.
pub static BERT: Family = Family {
    model_type: "bert",
    name: "BERT",
    class_prefix: "Bert",
    pad_token_id: 0,
    keys: ConfigKeys::PLAIN,
    pooler: true,
    segments_optional: false,
    positions: Positions::FromZero,
    heads: HeadShapes::PLAIN,
    tensors: TensorNames::PLAIN,
    tokenizer: TOKENIZER,
    published: Published {
        id: "google-bert/bert-base-uncased",
        config: || json!({}),
        pooler: true,
        parameters: 109_482_240,
        others: &[
            "MiniLM",
            "BGE",
            "E5",
            "GTE",
            "LaBSE",
            "MacBERT",
            "chinese-roberta-wwm-ext",
        ],
    },
};

/// BERT's tokenizer.
pub(super) const TOKENIZER: TokenizerFamily = TokenizerFamily {
    classes: &[
        "BertTokenizer",
        "LayoutLMTokenizer",
        "LxmertTokenizer",
        "MobileBertTokenizer",
        "SqueezeBertTokenizer",
    ],
    model: TokenizerModel::WordPiece,
    special_tokens: ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"],
    extra_special_tokens: &[],
    special_order: [&["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], &[]],
    composes: false,
    mask_takes_space: false,
    segments: true,
    frame,
};

/// `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`.
fn frame(tokens: Frame) -> PostProcessorWrapper {
    BertProcessing::new(tokens.separator, tokens.first).into()
}
