//! BERT (Devlin et al. 2019), whose conventions are those of the network itself.

use tokenizers::PostProcessorWrapper;
use tokenizers::processors::bert::BertProcessing;

use super::family::{ConfigKeys, Family, Frame, TensorNames, TokenizerFamily, TokenizerModel};
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
};

/// BERT's tokenizer.
pub(super) const TOKENIZER: TokenizerFamily = TokenizerFamily {
    classes: &[
        "BertTokenizer",
        "LayoutLMTokenizer",
        "LxmertTokenizer",
        "MPNetTokenizer",
        "MobileBertTokenizer",
        "SqueezeBertTokenizer",
    ],
    model: TokenizerModel::WordPiece,
    special_tokens: ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"],
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
