//! The points in which families of encoders differ, as data of a configuration.

use crate::activation::HiddenAct;

/// Assignment of rows of the position table to the tokens of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Positions {
    /// Row `i` for index `i` of the input, at padding too.
    #[default]
    FromZero,
    /// No table of positions.
    None,
    /// Row `pad_token_id + n` for the `n`-th token that is not padding, counted from 1; row `pad_token_id` for padding.
    AfterPadding,
}

/// Shapes of the task heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadShapes {
    /// Classes, labels or numbers for whole texts.
    pub sequence: ClassifierShape,
    /// Labels of tokens.
    pub token: ClassifierShape,
    /// Starts and ends of answers.
    pub question_answering: ClassifierShape,
    /// One score per choice.
    pub choice: ClassifierShape,
    /// Scores over the vocabulary.
    pub masked_lm: MaskedLmShape,
    /// True if there is a head for next sentences.
    pub next_sentence: bool,
}

/// Shape of a classifier over the output of the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassifierShape {
    /// Input of the classifier.
    pub reads: Reads,
    /// Hidden layer of the encoder's width between input and outputs, if there is one.
    pub hidden: Option<HiddenLayerShape>,
    /// Dropout before its outputs.
    pub dropout: HeadDropout,
}

/// Shape of a classifier's hidden layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HiddenLayerShape {
    /// Activation.
    pub activation: HiddenAct,
    /// True if the classifier's dropout applies to its input too.
    pub drops_input: bool,
}

impl HiddenLayerShape {
    /// A layer whose input the classifier's dropout applies to.
    pub const fn after_dropout(activation: HiddenAct) -> Self {
        Self {
            activation,
            drops_input: true,
        }
    }

    /// A layer whose input is not dropped.
    pub const fn without_dropout(activation: HiddenAct) -> Self {
        Self {
            activation,
            drops_input: false,
        }
    }
}

/// Vectors of the encoder that a classifier reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// The output of the pooler.
    Pooled,
    /// The last hidden state of the first token.
    FirstToken,
    /// The last hidden states of all tokens.
    EveryToken,
}

/// Source of the dropout probability of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadDropout {
    /// `classifier_dropout`, or `hidden_dropout_prob` where it is absent.
    Classifier,
    /// `hidden_dropout_prob`.
    Hidden,
    /// A key of the family's own, and its value where it is absent, in thousandths.
    Key(&'static str, u16),
    /// No dropout.
    None,
}

/// Shape of the masked-LM head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskedLmShape {
    /// Activation after its dense layer; `None` for `hidden_act`.
    pub activation: Option<HiddenAct>,
}

impl ClassifierShape {
    /// One linear layer over every token.
    pub const TOKENS: Self = Self {
        reads: Reads::EveryToken,
        hidden: None,
        dropout: HeadDropout::Classifier,
    };

    /// One linear layer over every token, without dropout.
    pub const SPANS: Self = Self {
        dropout: HeadDropout::None,
        ..Self::TOKENS
    };

    /// One linear layer over the output of the pooler.
    pub const POOLED: Self = Self {
        reads: Reads::Pooled,
        hidden: None,
        dropout: HeadDropout::Classifier,
    };
}

impl HeadShapes {
    /// BERT's heads: one linear layer each.
    pub const PLAIN: Self = Self {
        sequence: ClassifierShape::POOLED,
        token: ClassifierShape::TOKENS,
        question_answering: ClassifierShape::SPANS,
        choice: ClassifierShape::POOLED,
        masked_lm: MaskedLmShape { activation: None },
        next_sentence: true,
    };
}

/// Halves of a block whose output has dropout before it is added to the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockDropout {
    /// After the projection of attention.
    pub attention: bool,
    /// After the feed-forward layer.
    pub feed_forward: bool,
}

impl BlockDropout {
    /// BERT's: both halves.
    pub const PLAIN: Self = Self {
        attention: true,
        feed_forward: true,
    };
}
