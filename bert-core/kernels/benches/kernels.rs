//! Kernels at the sizes of BERT base: `cargo bench -p bert-kernels`, or with a filter, `-- attention`.
//!
//! Rows are those of a short sentence and of 8 sequences of 128 tokens. Items are multiplications, or numbers of the input.

use bert_kernels::activation::Activation;
use bert_kernels::attention::{
    Attention, Dropout, ForwardPass, Heads, Projections, Scoring, Sequence,
};
use bert_kernels::bf16::Bf16Matrix;
use bert_kernels::int8::{QuantizedMatrix, QuantizedRows};
use bert_kernels::matmul::{Matrix, PackedMatrix};
use bert_kernels::output::init_vec;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

const HIDDEN: usize = 768;
const INTERMEDIATE: usize = 3072;
const HEADS: usize = 12;
const SEQ: usize = 128;
const ROWS: [usize; 5] = [4, 16, 48, 128, 8 * SEQ];

fn main() {
    divan::main();
}

fn numbers(count: usize) -> Vec<f32> {
    let numbers = (0..count).map(|at| (at * 7 % 997) as f32 / 498.0 - 1.0);
    numbers.collect()
}

/// The widening half of the feed-forward layer, with GELU.
mod linear {
    use super::*;

    fn multiplications(rows: usize) -> ItemsCount {
        ItemsCount::new(rows * HIDDEN * INTERMEDIATE)
    }

    #[divan::bench(args = ROWS)]
    fn f32(bencher: Bencher, rows: usize) {
        let (weight, bias) = (numbers(HIDDEN * INTERMEDIATE), numbers(INTERMEDIATE));
        let matrix = Matrix::new(&weight, HIDDEN, INTERMEDIATE);
        let input = numbers(rows * HIDDEN);
        bencher.counter(multiplications(rows)).bench(|| {
            let input = Matrix::new(black_box(&input), rows, HIDDEN);
            init_vec(rows * INTERMEDIATE, |to| {
                bert_kernels::linear::linear(input, matrix, &bias, Activation::Gelu, to)
            })
        });
    }

    #[divan::bench(args = ROWS)]
    fn packed(bencher: Bencher, rows: usize) {
        let (weight, bias) = (numbers(HIDDEN * INTERMEDIATE), numbers(INTERMEDIATE));
        let matrix = PackedMatrix::pack(&weight, INTERMEDIATE);
        let input = numbers(rows * HIDDEN);
        bencher.counter(multiplications(rows)).bench(|| {
            let input = black_box(&input);
            init_vec(rows * INTERMEDIATE, |to| {
                bert_kernels::linear::packed_linear(input, &matrix, &bias, Activation::Gelu, to)
            })
        });
    }

    #[divan::bench(args = ROWS)]
    fn bf16(bencher: Bencher, rows: usize) {
        let (weight, bias) = (numbers(HIDDEN * INTERMEDIATE), numbers(INTERMEDIATE));
        let matrix = Bf16Matrix::round(&weight, INTERMEDIATE);
        let input = numbers(rows * HIDDEN);
        bencher.counter(multiplications(rows)).bench(|| {
            let input = Matrix::new(black_box(&input), rows, HIDDEN);
            init_vec(rows * INTERMEDIATE, |to| {
                bert_kernels::bf16::linear(input, &matrix, &bias, Activation::Gelu, to)
            })
        });
    }

    #[divan::bench(args = ROWS)]
    fn int8(bencher: Bencher, rows: usize) {
        let (weight, bias) = (numbers(HIDDEN * INTERMEDIATE), numbers(INTERMEDIATE));
        let matrix = QuantizedMatrix::quantize(&weight, INTERMEDIATE).expect("finite weights");
        let input = numbers(rows * HIDDEN);
        bencher.counter(multiplications(rows)).bench(|| {
            let input = QuantizedRows::quantize(black_box(&input), HIDDEN);
            init_vec(rows * INTERMEDIATE, |to| {
                bert_kernels::int8::linear(&input, &matrix, &bias, Activation::Gelu, to)
            })
        });
    }
}

/// The whole feed-forward layer of 8 sequences of 128 tokens, by two products or, together, by one kernel.
mod feed_forward {
    use super::*;

    const ROWS: usize = 8 * SEQ;

    struct Layer {
        input: Vec<f32>,
        weight: Vec<f32>,
        biases: [Vec<f32>; 2],
    }

    fn layer() -> Layer {
        Layer {
            input: numbers(ROWS * HIDDEN),
            weight: numbers(HIDDEN * INTERMEDIATE),
            biases: [INTERMEDIATE, HIDDEN].map(numbers),
        }
    }

    fn counter() -> ItemsCount {
        ItemsCount::new(2 * ROWS * HIDDEN * INTERMEDIATE)
    }

    #[divan::bench(args = [false, true])]
    fn bf16(bencher: Bencher, together: bool) {
        use bert_kernels::bf16::{feed_forward, linear};
        let layer = layer();
        let [first, second] =
            [INTERMEDIATE, HIDDEN].map(|columns| Bf16Matrix::round(&layer.weight, columns));
        let [of_first, of_second] = &layer.biases;
        bencher.counter(counter()).bench(|| {
            let input = Matrix::new(black_box(&layer.input), ROWS, HIDDEN);
            if together {
                let layers = [(&first, &of_first[..]), (&second, &of_second[..])];
                return init_vec(ROWS * HIDDEN, |to| {
                    feed_forward(input, layers, Activation::Gelu, to)
                });
            }
            let widened = init_vec(ROWS * INTERMEDIATE, |to| {
                linear(input, &first, of_first, Activation::Gelu, to)
            });
            let widened = Matrix::new(&widened, ROWS, INTERMEDIATE);
            init_vec(ROWS * HIDDEN, |to| {
                linear(widened, &second, of_second, Activation::Identity, to)
            })
        });
    }

    #[divan::bench(args = [false, true])]
    fn int8(bencher: Bencher, together: bool) {
        use bert_kernels::int8::{feed_forward, linear};
        let layer = layer();
        let [first, second] = [INTERMEDIATE, HIDDEN].map(|columns| {
            QuantizedMatrix::quantize(&layer.weight, columns).expect("finite weights")
        });
        let [of_first, of_second] = &layer.biases;
        bencher.counter(counter()).bench(|| {
            let input = QuantizedRows::quantize(black_box(&layer.input), HIDDEN);
            if together {
                let layers = [(&first, &of_first[..]), (&second, &of_second[..])];
                return init_vec(ROWS * HIDDEN, |to| {
                    feed_forward(&input, layers, Activation::Gelu, to)
                });
            }
            let widened = init_vec(ROWS * INTERMEDIATE, |to| {
                linear(&input, &first, of_first, Activation::Gelu, to)
            });
            let widened = QuantizedRows::quantize(&widened, INTERMEDIATE);
            init_vec(ROWS * HIDDEN, |to| {
                linear(&widened, &second, of_second, Activation::Identity, to)
            })
        });
    }
}

#[divan::bench(args = ROWS)]
fn attention(bencher: Bencher, rows: usize) {
    attend(bencher, rows, rows.min(SEQ), None);
}

/// Attention over one long sequence, to all of it and within a window.
#[divan::bench(args = [None, Some(64)])]
fn attention_of_a_long_text(bencher: Bencher, reach: Option<usize>) {
    attend(bencher, 2048, 2048, reach);
}

fn attend(bencher: Bencher, rows: usize, seq: usize, reach: Option<usize>) {
    let layer = Layer::new(rows, seq, reach, 0.0);
    bencher.counter(layer.items()).bench(|| {
        let attention = black_box(&layer).attention();
        init_vec(layer.query.len(), |to| {
            bert_kernels::attention::forward(attention, to)
        })
    });
}

/// Sequences of a batch with gradients: their length, their window, and the probability of dropout.
const TRAINED: [(usize, Option<usize>, f64); 7] = [
    (32, None, 0.1),
    (128, None, 0.0),
    (128, None, 0.1),
    (512, None, 0.1),
    (2048, None, 0.0),
    (2048, Some(64), 0.0),
    (4096, None, 0.0),
];

/// Attention with what its gradients take, 1,024 rows or one sequence.
#[divan::bench(args = TRAINED)]
fn attention_with_statistics(bencher: Bencher, (seq, reach, dropout): (usize, Option<usize>, f64)) {
    let layer = Layer::new(seq.max(8 * SEQ), seq, reach, dropout);
    bencher.counter(layer.items()).bench(|| {
        let attention = black_box(&layer).attention();
        init_vec(layer.query.len(), |to| {
            bert_kernels::attention::forward_with_statistics(attention, to).0
        })
    });
}

/// Gradients of attention, 1,024 rows or one sequence.
#[divan::bench(args = TRAINED)]
fn attention_backward(bencher: Bencher, (seq, reach, dropout): (usize, Option<usize>, f64)) {
    let layer = Layer::new(seq.max(8 * SEQ), seq, reach, dropout);
    let mut statistics = Vec::new();
    let context = init_vec(layer.query.len(), |to| {
        let (context, of_rows) =
            bert_kernels::attention::forward_with_statistics(layer.attention(), to);
        statistics = of_rows;
        context
    });
    let grad = numbers(context.len());
    bencher.counter(layer.items()).bench(|| {
        let pass = ForwardPass {
            context: &context,
            statistics: &statistics,
        };
        let attention = black_box(&layer).attention();
        bert_kernels::attention::backward(attention, pass, &grad, false)
    });
}

/// Operands of an attention layer over sequences of one length.
struct Layer {
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    sequences: Vec<Sequence>,
    attended: Vec<f32>,
    scoring: Scoring<'static>,
    dropout: Option<Dropout>,
}

impl Layer {
    fn new(rows: usize, seq: usize, reach: Option<usize>, dropout: f64) -> Self {
        let [query, key, value] = [(); 3].map(|()| numbers(rows * HIDDEN));
        let attended = vec![1.0; rows];
        Self {
            query,
            key,
            value,
            sequences: Sequence::padded(&attended, seq),
            attended,
            scoring: Scoring {
                reach,
                ..Scoring::scaled(0.125)
            },
            dropout: (dropout > 0.0).then(|| Dropout::new(1, dropout)),
        }
    }

    fn items(&self) -> ItemsCount {
        ItemsCount::new(self.query.len())
    }

    fn attention(&self) -> Attention<'_> {
        Attention {
            inputs: Projections {
                query: &self.query,
                key: &self.key,
                value: &self.value,
            },
            sequences: &self.sequences,
            attended: &self.attended,
            heads: Heads {
                count: HEADS,
                size: HIDDEN / HEADS,
            },
            scoring: self.scoring,
            dropout: self.dropout,
        }
    }
}

#[divan::bench(args = ROWS)]
fn layer_norm(bencher: Bencher, rows: usize) {
    let (gamma, beta) = (numbers(HIDDEN), numbers(HIDDEN));
    let input = numbers(rows * HIDDEN);
    bencher.counter(ItemsCount::new(input.len())).bench(|| {
        let input = black_box(&input);
        init_vec(input.len(), |to| {
            bert_kernels::layer_norm::forward(input, &gamma, &beta, 1e-12, to)
        })
    });
}

#[divan::bench(args = ROWS)]
fn gelu(bencher: Bencher, rows: usize) {
    let input = numbers(rows * INTERMEDIATE);
    bencher.counter(ItemsCount::new(input.len())).bench(|| {
        let input = black_box(&input);
        init_vec(input.len(), |to| {
            bert_kernels::activation::forward(Activation::Gelu, input, to)
        })
    });
}

#[divan::bench(args = ROWS)]
fn softmax(bencher: Bencher, rows: usize) {
    let (batch, seq) = (rows.div_ceil(SEQ), rows.min(SEQ));
    let scores = numbers(batch * HEADS * seq * seq);
    let attended = vec![1.0; batch * seq];
    bencher
        .counter(ItemsCount::new(scores.len()))
        .with_inputs(|| scores.clone())
        .bench_refs(|scores| {
            bert_kernels::softmax::masked_softmax(scores, &attended, seq, 0.125);
        });
}
