//! The zoo: families of models as data, from whose files the encoder is read.
//!
//! A family is a file here and a line in [`FAMILIES`].

mod albert;
mod bert;
mod camembert;
mod deberta_v2;
mod distilbert;
mod electra;
mod family;
mod fields;
mod gte;
mod modernbert;
mod mpnet;
pub(crate) mod names;
mod nomic_bert;
mod roberta;
mod rope;
mod shape;
#[cfg(test)]
mod testing;
mod xlm_roberta;

pub use albert::ALBERT;
pub use bert::BERT;
pub use camembert::CAMEMBERT;
pub use deberta_v2::DEBERTA_V2;
pub use distilbert::DISTILBERT;
pub use electra::ELECTRA;
pub use family::{
    ConfigKeys, Family, Frame, Published, TensorNames, TokenizerFamily, TokenizerModel, UnigramText,
};
pub use gte::GTE;
pub use modernbert::MODERNBERT;
pub use mpnet::MPNET;
pub use nomic_bert::NOMIC_BERT;
pub use roberta::ROBERTA;
pub use shape::{
    BlockDropout, BlockShape, ClassifierShape, Convolution, Disentangled, EmbeddingProjection,
    GateShape, HeadDropout, HeadShapes, HiddenLayerShape, LocalLayers, MaskedLmShape, NormPlace,
    Positions, Reads, RelativePositions, Rotary,
};
pub use xlm_roberta::XLM_ROBERTA;

/// Every family.
pub static FAMILIES: [&Family; 12] = [
    &BERT,
    &ROBERTA,
    &XLM_ROBERTA,
    &CAMEMBERT,
    &DISTILBERT,
    &ELECTRA,
    &ALBERT,
    &MODERNBERT,
    &NOMIC_BERT,
    &GTE,
    &MPNET,
    &DEBERTA_V2,
];

/// The family with this `model_type`.
pub fn family(model_type: &str) -> Option<&'static Family> {
    FAMILIES
        .into_iter()
        .find(|family| family.model_type == model_type)
}

/// The family whose files state this `model_type`, today or before transformers had the family.
pub(crate) fn family_of_file(model_type: &str) -> Option<&'static Family> {
    let is_own = |family: &&Family| family.keys.own_model_types.contains(&model_type);
    family(model_type).or_else(|| FAMILIES.into_iter().find(is_own))
}

/// The family that a class of transformers belongs to, by the beginning of its name.
pub(crate) fn family_of_class(class: &str) -> Option<&'static Family> {
    FAMILIES
        .into_iter()
        .find(|family| class.starts_with(family.class_prefix))
}

/// The family whose tokenizer a class of transformers is, with or without `Fast`.
pub(crate) fn family_of_tokenizer(class: &str) -> Option<&'static Family> {
    let class = class.strip_suffix("Fast").unwrap_or(class);
    FAMILIES
        .into_iter()
        .find(|family| family.tokenizer.classes.contains(&class))
}
