//! Several poolings side by side.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use bert_core::batch::BertInput;
use bert_core::nn::BertModel;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::Pooling;
use crate::error::Error;

/// One pooling, or several whose vectors stand one after the other; written `cls+mean`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Poolings(Vec<Pooling>);

impl Poolings {
    /// Poolings in the order of their vectors; `None` of none.
    pub fn new(each: Vec<Pooling>) -> Option<Self> {
        (!each.is_empty()).then_some(Self(each))
    }

    /// Every pooling, in the order of their vectors.
    pub fn each(&self) -> &[Pooling] {
        &self.0
    }

    /// True if the encoder needs its pooler.
    pub(super) fn needs_pooler(&self) -> bool {
        self.0.contains(&Pooling::Pooler)
    }

    /// The vectors of texts; what no pooling reads of the last block is not computed.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq]` ids, segments and padding
    /// - result: `[batch, poolings * hidden]`
    ///
    /// # Panics
    ///
    /// [`Pooler`](Pooling::Pooler) with a model without a pooler.
    pub fn encode(&self, model: &BertModel, input: BertInput) -> Tensor<2> {
        if let [pooling] = self.each() {
            return pooling.encode(model, input);
        }
        let mask_pad = input.mask_pad.clone();
        let output = model.forward(input);
        let vectors = self.each().iter();
        let vectors = vectors.map(|pooling| pooling.forward(output.clone(), mask_pad.clone()));
        Tensor::cat(vectors.collect(), 1)
    }
}

impl Default for Poolings {
    fn default() -> Self {
        Pooling::default().into()
    }
}

impl From<Pooling> for Poolings {
    fn from(pooling: Pooling) -> Self {
        Self(vec![pooling])
    }
}

impl PartialEq<Pooling> for Poolings {
    fn eq(&self, other: &Pooling) -> bool {
        self.0 == [*other]
    }
}

impl Display for Poolings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(Pooling::to_string).collect();
        f.pad(&names.join("+"))
    }
}

impl FromStr for Poolings {
    type Err = Error;

    fn from_str(names: &str) -> Result<Self, Error> {
        names
            .split('+')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl TryFrom<String> for Poolings {
    type Error = Error;

    fn try_from(names: String) -> Result<Self, Error> {
        names.parse()
    }
}

impl From<Poolings> for String {
    fn from(poolings: Poolings) -> Self {
        poolings.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_and_print() {
        for names in ["cls", "cls+mean", "mean-sqrt-len+max+mean"] {
            let poolings: Poolings = names.parse().unwrap();
            assert_eq!(poolings.to_string(), names);
            let json = serde_json::to_string(&poolings).unwrap();
            assert_eq!(json, format!("\"{names}\""));
            assert_eq!(serde_json::from_str::<Poolings>(&json).unwrap(), poolings);
        }
        assert_eq!("max".parse::<Poolings>().unwrap(), Pooling::Max);
        assert!(Poolings::default() != Pooling::Cls && Poolings::new(Vec::new()).is_none());
        for names in ["", "cls+", "cls+median", "cls,mean"] {
            assert!(names.parse::<Poolings>().is_err(), "{names}");
        }
    }
}
