//! Kernels at the sizes of BERT base: `cargo bench -p bert-kernels`, or with a filter, `-- attention`.
//!
//! Rows are those of a short sentence and of 8 sequences of 128 tokens.

use std::hint::black_box;

use bert_kernels::attention::{Projections, Sequence, Sizes, attention};
use bert_kernels::int8::{self, QuantizedMatrix};
use bert_kernels::linear::{Activation, linear, packed_linear};
use bert_kernels::matmul::{Matrix, PackedMatrix};
use bert_kernels::output::init_vec;
use bert_kernels::{gelu, layer_norm, softmax};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const HIDDEN: usize = 768;
const INTERMEDIATE: usize = 3072;
const HEADS: usize = 12;
const SEQ: usize = 128;
const ROWS: [usize; 2] = [16, 8 * SEQ];

criterion_group!(benches, dense, attend, elementwise);
criterion_main!(benches);

fn numbers(count: usize) -> Vec<f32> {
    let numbers = (0..count).map(|at| (at * 7 % 997) as f32 / 498.0 - 1.0);
    numbers.collect()
}

/// The widening half of the feed-forward layer, with GELU.
fn dense(criterion: &mut Criterion) {
    let weight = numbers(HIDDEN * INTERMEDIATE);
    let bias = numbers(INTERMEDIATE);
    let matrix = Matrix::new(&weight, HIDDEN, INTERMEDIATE);
    let packed = PackedMatrix::pack(&weight, INTERMEDIATE);
    let quantized = QuantizedMatrix::quantize(&weight, INTERMEDIATE).expect("finite weights");
    let mut group = criterion.benchmark_group("linear");
    for rows in ROWS {
        let input = numbers(rows * HIDDEN);
        let size = rows * INTERMEDIATE;
        group.throughput(Throughput::Elements((size * HIDDEN) as u64));
        group.bench_function(BenchmarkId::new("f32", rows), |bencher| {
            bencher.iter(|| {
                let input = Matrix::new(black_box(&input), rows, HIDDEN);
                init_vec(size, |to| {
                    linear(input, matrix, &bias, Activation::Gelu, to)
                })
            });
        });
        group.bench_function(BenchmarkId::new("packed", rows), |bencher| {
            bencher.iter(|| {
                let input = black_box(&input);
                init_vec(size, |to| {
                    packed_linear(input, &packed, &bias, Activation::Gelu, to)
                })
            });
        });
        group.bench_function(BenchmarkId::new("int8", rows), |bencher| {
            bencher.iter(|| {
                let input = black_box(&input);
                init_vec(size, |to| {
                    int8::linear(input, &quantized, &bias, Activation::Gelu, to)
                })
            });
        });
    }
}

fn attend(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("attention");
    for rows in ROWS {
        let sizes = Sizes {
            batch: rows.div_ceil(SEQ),
            seq: rows.min(SEQ),
            heads: HEADS,
            head_size: HIDDEN / HEADS,
        };
        let [query, key, value] = [(); 3].map(|()| numbers(rows * HIDDEN));
        let attended = vec![1.0; rows];
        let sequences = Sequence::padded(&attended, sizes.seq);
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(BenchmarkId::from_parameter(rows), |bencher| {
            bencher.iter(|| {
                let inputs = Projections {
                    query: black_box(&query),
                    key: &key,
                    value: &value,
                };
                init_vec(query.len(), |to| {
                    attention(inputs, sizes, &sequences, &attended, to)
                })
            });
        });
    }
}

fn elementwise(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("elementwise");
    let (gamma, beta) = (numbers(HIDDEN), numbers(HIDDEN));
    for rows in ROWS {
        let input = numbers(rows * HIDDEN);
        group.throughput(Throughput::Elements(input.len() as u64));
        group.bench_function(BenchmarkId::new("layer_norm", rows), |bencher| {
            bencher.iter(|| {
                let input = black_box(&input);
                init_vec(input.len(), |to| {
                    layer_norm::forward(input, &gamma, &beta, 1e-12, to)
                })
            });
        });
        let input = numbers(rows * INTERMEDIATE);
        group.throughput(Throughput::Elements(input.len() as u64));
        group.bench_function(BenchmarkId::new("gelu", rows), |bencher| {
            bencher.iter(|| {
                let input = black_box(&input);
                init_vec(input.len(), |to| gelu::forward(input, to))
            });
        });
        let (batch, seq) = (rows.div_ceil(SEQ), rows.min(SEQ));
        let mut scores = numbers(batch * HEADS * seq * seq);
        let attended = vec![1.0; batch * seq];
        group.throughput(Throughput::Elements(scores.len() as u64));
        group.bench_function(BenchmarkId::new("softmax", rows), |bencher| {
            bencher.iter(|| {
                softmax::masked_softmax(black_box(&mut scores), &attended, seq, 0.125);
            });
        });
    }
    group.finish();
}
