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
    /// [`AfterPadding`](Self::AfterPadding) for a padding token that the family has in its code, whatever `pad_token_id` says.
    AfterToken(usize),
}

/// Distances between tokens in the scores of attention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RelativePositions {
    /// None.
    #[default]
    None,
    /// A number for each head and distance, or bucket of distances, added to the scores of all layers (Raffel et al. 2020).
    Bias {
        /// Rows of its table.
        buckets: usize,
    },
    /// Embeddings, which the queries and keys of every layer are compared with.
    Disentangled(Disentangled),
}

/// Disentangled attention (He et al. 2021): scores between contents and relative positions, of one table for all layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disentangled {
    /// Buckets that the distances of one direction fall into; `None` if each is its own.
    pub buckets: Option<usize>,
    /// Distances of one direction that are told apart.
    pub farthest: usize,
    /// True if the rows of the table are normalised.
    pub norm: bool,
    /// True if relative positions have the projections of contents.
    pub shared_projections: bool,
    /// True if the contents of queries are compared with the positions of keys.
    pub content_to_position: bool,
    /// True if the positions of queries are compared with the contents of keys.
    pub position_to_content: bool,
}

impl Disentangled {
    /// Rows of the table in one direction.
    pub const fn span(self) -> usize {
        match self.buckets {
            Some(buckets) => buckets,
            None => self.farthest,
        }
    }

    /// Projections of relative positions in a layer.
    pub const fn own_projections(self) -> usize {
        match self.shared_projections {
            true => 0,
            false => self.comparisons(),
        }
    }

    /// Scores that are added to those between contents.
    pub const fn comparisons(self) -> usize {
        self.content_to_position as usize + self.position_to_content as usize
    }
}

/// Convolution of the embeddings over neighbouring tokens, which is added to the output of the first layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Tokens that it spans, an odd number.
    pub kernel: usize,
    /// Activation.
    pub activation: HiddenAct,
}

/// Place of the projection from the width of the embeddings to that of the blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmbeddingProjection {
    /// After their LayerNorm, with a bias.
    #[default]
    AfterNorm,
    /// Before their LayerNorm, without a bias.
    BeforeNorm,
}

impl RelativePositions {
    /// Buckets that the distances of a bias fall into, half of them for keys after the query.
    pub const BUCKETS: usize = 32;
}

/// Shape of the blocks of an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockShape {
    /// Place of the LayerNorms.
    pub norm: NormPlace,
    /// True if LayerNorms have a bias, that of the embeddings too.
    pub norm_bias: bool,
    /// True if the projections of attention have a bias.
    pub attention_bias: bool,
    /// True if queries, keys and values are one projection, side by side.
    pub fused_projections: bool,
    /// Gate of the feed-forward layer.
    pub gate: GateShape,
    /// True if the widening and the narrowing half of the feed-forward layer have a bias.
    pub feed_forward_bias: [bool; 2],
}

/// Place of the LayerNorms of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormPlace {
    /// After each half and its residual.
    After,
    /// Before each half, but for the attention of the first block, and after the last block.
    Before,
}

/// Gate of a feed-forward layer (Shazeer 2020).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateShape {
    /// None: the projection is activated.
    None,
    /// The first half of a projection of twice the width is activated and multiplied by the second.
    FirstHalf,
    /// The second half of a projection of twice the width is activated and multiplied by the first.
    SecondHalf,
    /// A second projection is activated and multiplied by the first.
    Apart,
}

/// Rotary position embedding of queries and keys (Su et al. 2021), in the half-split form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotary {
    /// Base of the wavelengths.
    pub theta: f64,
    /// Base in local layers.
    pub local_theta: f64,
    /// Factor that positions are divided by; 1 without scaling.
    pub scale: f64,
}

/// Layers that attend to the neighbourhood of each token alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalLayers {
    /// Tokens on either side that are attended to.
    pub reach: usize,
    /// True for every layer that is local.
    pub layers: Vec<bool>,
}

impl BlockShape {
    /// BERT's blocks.
    pub const PLAIN: Self = Self {
        norm: NormPlace::After,
        norm_bias: true,
        attention_bias: true,
        fused_projections: false,
        gate: GateShape::None,
        feed_forward_bias: [true; 2],
    };
}

/// Shapes of the task heads.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// True if there is a head for replaced tokens.
    pub replaced_tokens: bool,
}

/// Shape of a classifier over the output of the encoder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassifierShape {
    /// Input of the classifier.
    pub reads: Reads,
    /// Hidden layer of the encoder's width between input and outputs, if there is one.
    pub hidden: Option<HiddenLayerShape>,
    /// Dropout before its outputs.
    pub dropout: HeadDropout,
}

/// Shape of a classifier's hidden layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HiddenLayerShape {
    /// Activation.
    pub activation: HiddenAct,
    /// Dropout of its input.
    pub dropout: HeadDropout,
    /// True if it has a bias.
    pub bias: bool,
    /// True if LayerNorm follows its activation.
    pub norm: bool,
}

impl HiddenLayerShape {
    /// A layer with dropout of its input.
    pub const fn after_dropout(activation: HiddenAct, dropout: HeadDropout) -> Self {
        Self {
            activation,
            dropout,
            bias: true,
            norm: false,
        }
    }

    /// A layer whose input is not dropped.
    pub const fn without_dropout(activation: HiddenAct) -> Self {
        Self::after_dropout(activation, HeadDropout::None)
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
    /// The mean of the last hidden states of all tokens that are not padding.
    Mean,
}

/// Source of the dropout probability of a head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HeadDropout {
    /// `classifier_dropout`, or `hidden_dropout_prob` where it is absent.
    Classifier,
    /// `hidden_dropout_prob`.
    Hidden,
    /// A key of the family's own, and its value where it is absent.
    Key(&'static str, f64),
    /// No dropout.
    None,
}

/// Shape of the masked-LM head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskedLmShape {
    /// Activation after its dense layer; `None` for `hidden_act`.
    pub activation: Option<HiddenAct>,
    /// True if its dense layer has a bias.
    pub dense_bias: bool,
    /// True if the decoder has a bias.
    pub decoder_bias: bool,
}

impl MaskedLmShape {
    /// BERT's.
    pub const PLAIN: Self = Self {
        activation: None,
        dense_bias: true,
        decoder_bias: true,
    };
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
        masked_lm: MaskedLmShape::PLAIN,
        next_sentence: true,
        replaced_tokens: false,
    };
}

/// Halves of a block whose output has dropout before it is added to the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockDropout {
    /// After the projection of attention.
    pub attention: bool,
    /// After the feed-forward layer.
    pub feed_forward: bool,
    /// True if that after the projection of attention has the probability of that on attention's probabilities.
    pub as_attention: bool,
    /// True if there is dropout of `hidden_dropout_prob` before the narrowing half of the feed-forward layer, too.
    pub widened: bool,
}

impl BlockDropout {
    /// BERT's: both halves.
    pub const PLAIN: Self = Self {
        attention: true,
        feed_forward: true,
        as_attention: false,
        widened: false,
    };
}
