//! Operations counted on paper.

use bert_core::config::BertConfig;
use bert_core::models::{GateShape, Reads, RelativePositions};
use serde::{Deserialize, Serialize};

use crate::contract::Mode;

/// Work of one iteration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Rows of the batch.
    pub sequences: usize,
    /// Tokens that are not padding.
    pub tokens: usize,
    /// Tokens with padding.
    pub padded_tokens: usize,
    /// Floating-point operations of all matrix products and of what is added to attention scores, padding included.
    pub flops: f64,
}

/// Operations of a linear layer over `rows` vectors; a multiplication with its addition counts two.
fn linear(rows: usize, inputs: usize, outputs: usize) -> f64 {
    2.0 * rows as f64 * inputs as f64 * outputs as f64
}

/// Operations of the encoder's blocks over `[batch, seq]` tokens, the last block's for tokens that nobody reads included: they
/// are the same for all contestants, though one may spare itself some.
///
/// Matrix products: the four projections of attention, its scores and contexts (in local layers those within reach), in
/// disentangled attention those of contents and relative positions and the projections of these, the feed-forward layer with its
/// gate, the projection of embeddings and a convolution over them. Beside them, one addition for every term of a score that is no
/// product of queries and keys. Lookups, LayerNorm, GELU and softmax are a percent or two of it, and a cost of memory rather
/// than of arithmetic.
pub fn encoder_flops(config: &BertConfig, batch: usize, seq: usize) -> f64 {
    let (tokens, hidden) = (batch * seq, config.hidden_size);
    let gates = match config.block.gate {
        GateShape::None => 0.0,
        GateShape::FirstHalf | GateShape::SecondHalf | GateShape::Apart => 1.0,
    };
    let feed_forward = (2.0 + gates) * linear(tokens, hidden, config.intermediate_size);
    let block = 4.0 * linear(tokens, hidden, hidden) + feed_forward;
    let relative = Relative::of(config, seq);
    let attention = |layer| {
        let pairs = batch * pairs_of_tokens(config, layer, seq);
        let additions = relative.terms * config.num_attention_heads * pairs;
        let products = 2 + relative.comparisons;
        products as f64 * linear(pairs, hidden, 1) + additions as f64
    };
    let attention: f64 = (0..config.num_hidden_layers).map(attention).sum();
    let block = block + relative.comparisons as f64 * linear(relative.rows, hidden, hidden);
    let projection = config.embedding_size;
    let projection = projection.map_or(0.0, |width| linear(tokens, width, hidden));
    let convolution = config.convolution;
    let convolution =
        convolution.map_or(0.0, |shape| linear(tokens, shape.kernel * hidden, hidden));
    projection + convolution + config.num_hidden_layers as f64 * block + attention
}

/// Work of relative positions in every layer.
struct Relative {
    /// Products of a content and a relative position for each pair of tokens.
    comparisons: usize,
    /// Terms that are added to each score.
    terms: usize,
    /// Relative positions that are projected for each comparison, once for all rows of a batch.
    rows: usize,
}

impl Relative {
    fn of(config: &BertConfig, seq: usize) -> Self {
        let (comparisons, terms, rows) = match config.relative {
            RelativePositions::None => (0, 0, 0),
            RelativePositions::Bias { .. } => (0, 1, 0),
            RelativePositions::Disentangled(shape) => {
                let distances = (2 * seq).saturating_sub(1);
                let rows = distances.min(2 * shape.span());
                (shape.comparisons(), shape.comparisons(), rows)
            }
        };
        Self {
            comparisons,
            terms,
            rows,
        }
    }
}

/// Pairs of a token and one that it attends to in a layer, in a row of `seq` tokens.
fn pairs_of_tokens(config: &BertConfig, layer: usize, seq: usize) -> usize {
    let local = config.local.as_ref();
    match local.filter(|local| local.layers.get(layer) == Some(&true)) {
        None => seq * seq,
        Some(local) => {
            let last = |token: usize| (token + local.reach).min(seq - 1);
            let seen = |token: usize| last(token) - token.saturating_sub(local.reach) + 1;
            (0..seq).map(seen).sum()
        }
    }
}

/// Operations of an iteration in `mode` over a rectangle of `[batch, seq]` tokens with `predictions` masked ones.
///
/// A backward pass counts twice its forward pass: one product for the gradient of the weights, one for that of the inputs.
pub fn flops(config: &BertConfig, mode: Mode, batch: usize, seq: usize, predictions: usize) -> f64 {
    let hidden = config.hidden_size;
    let encoder = encoder_flops(config, batch, seq);
    let square = linear(batch, hidden, hidden);
    let pooler = if config.family.published.pooler {
        square
    } else {
        0.0
    };
    // Two classes, or "is next" and "is not".
    let outputs = linear(batch, hidden, 2);
    let texts = config.heads.sequence;
    let layers = usize::from(texts.reads == Reads::Pooled) + usize::from(texts.hidden.is_some());
    let next_sentence = if config.heads.next_sentence {
        square + outputs
    } else {
        0.0
    };
    let embedding = config.embedding_width();
    let masked =
        linear(predictions, hidden, embedding) + linear(predictions, embedding, config.vocab_size);
    match mode {
        Mode::Embed => encoder,
        Mode::Forward => encoder + pooler,
        // The loss is taken from the token vectors: nothing flows back through the pooler.
        Mode::Backward => 3.0 * encoder + pooler,
        Mode::Train => 3.0 * (encoder + layers as f64 * square + outputs),
        Mode::Pretrain => 3.0 * (encoder + next_sentence + masked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> BertConfig {
        // vocabulary 37, hidden 8, 3 layers, 2 heads, intermediate 20
        BertConfig::new(37, 8, 3, 2, 20)
    }

    #[test]
    fn the_encoder_is_counted_product_by_product() {
        let (batch, seq) = (2, 5);
        let per_layer = 4 * 2 * 10 * 8 * 8      // query, key, value, output
            + 2 * 2 * (2 * 5 * 5 * 8)           // scores and contexts, all heads
            + 2 * 2 * 10 * 8 * 20; // feed-forward
        assert_eq!(
            encoder_flops(&config(), batch, seq),
            f64::from(3 * per_layer)
        );
    }

    #[test]
    fn training_counts_three_passes_and_the_heads() {
        let count = |mode| flops(&config(), mode, 2, 5, 3);
        let encoder = encoder_flops(&config(), 2, 5);
        assert_eq!(count(Mode::Forward), encoder + 256.0);
        assert_eq!(count(Mode::Backward), 3.0 * encoder + 256.0);
        assert_eq!(count(Mode::Train), 3.0 * (encoder + 256.0 + 64.0));
        let masked = 2.0 * 3.0 * 8.0 * (8.0 + 37.0);
        assert_eq!(count(Mode::Pretrain), count(Mode::Train) + 3.0 * masked);
        assert_eq!(count(Mode::Embed), encoder);
    }

    #[test]
    fn gates_windows_and_projections_count() {
        use bert_core::models::LocalLayers;
        let (batch, seq) = (2, 5);
        let plain = encoder_flops(&config(), batch, seq);
        let mut modern = config();
        modern.block.gate = GateShape::FirstHalf;
        let gate = 3.0 * 2.0 * 10.0 * 8.0 * 20.0;
        assert_eq!(encoder_flops(&modern, batch, seq), plain + gate);
        modern.local = Some(LocalLayers {
            reach: 1,
            layers: vec![false, true, true],
        });
        // 13 pairs of 25 are within reach.
        let beyond = 2.0 * 2.0 * (2.0 * 2.0 * 12.0 * 8.0);
        assert_eq!(encoder_flops(&modern, batch, seq), plain + gate - beyond);
        let mut projected = config();
        projected.embedding_size = Some(3);
        assert_eq!(
            encoder_flops(&projected, batch, seq),
            plain + 2.0 * 10.0 * 3.0 * 8.0
        );
    }

    #[test]
    fn relative_positions_and_convolutions_count() {
        use bert_core::activation::HiddenAct;
        use bert_core::models::{Convolution, Disentangled};
        let (batch, seq) = (2, 5);
        let plain = encoder_flops(&config(), batch, seq);
        let mut biased = config();
        biased.relative = RelativePositions::Bias { buckets: 32 };
        // 3 layers, 2 rows of 25 pairs, 2 heads.
        assert_eq!(encoder_flops(&biased, batch, seq), plain + 300.0);

        let shape = Disentangled {
            buckets: None,
            farthest: 16,
            norm: true,
            shared_projections: true,
            content_to_position: true,
            position_to_content: true,
        };
        let with = |shape| {
            let mut config = config();
            config.relative = RelativePositions::Disentangled(shape);
            encoder_flops(&config, batch, seq) - plain
        };
        // For each of 2 comparisons: 9 distances projected from width 8 to 8, 50 products of width 8, 100 additions.
        let comparison = 2 * 9 * 8 * 8 + 2 * 50 * 8 + 100;
        assert_eq!(with(shape), f64::from(3 * 2 * comparison));
        // One comparison, a table of 6 rows.
        let narrow = Disentangled {
            farthest: 3,
            position_to_content: false,
            ..shape
        };
        let comparison = 2 * 6 * 8 * 8 + 2 * 50 * 8 + 100;
        assert_eq!(with(narrow), f64::from(3 * comparison));

        let mut convolved = config();
        convolved.convolution = Some(Convolution {
            kernel: 3,
            activation: HiddenAct::Gelu,
        });
        // 10 tokens, 3 times width 8 to 8, once.
        let convolution = f64::from(2 * 10 * 24 * 8);
        assert_eq!(encoder_flops(&convolved, batch, seq), plain + convolution);
    }

    #[test]
    fn base_at_128_tokens_is_the_published_number() {
        use bert_core::config::{BertSize, BertVocabulary};
        // 22.5 GFLOPs a sequence of 128 tokens: Sun et al. 2020 (MobileBERT), table 1.
        let base = BertConfig::preset(BertSize::Base, BertVocabulary::Uncased);
        let giga = flops(&base, Mode::Forward, 1, 128, 0) / 1e9;
        assert!((22.0..22.8).contains(&giga), "{giga}");
    }
}
