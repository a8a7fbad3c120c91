//! Linear layers over tensors.

use std::cell::OnceCell;
use std::mem::MaybeUninit;
use std::sync::Arc;

use bert_kernels::int8::{self, QuantizedRows};
use bert_kernels::matmul::{self, Matrix};
use bert_kernels::output::{init_by_chunks, init_vec};
use bert_kernels::{activation as kernels, bf16, gate as gates, linear as linear_kernels};
use burn::backend::ops::{FloatTensorOps, ModuleOps};
use burn::tensor::Shape;

use super::{
    Backend, HostBackend, HostTensor, Kernel, When, place, rows_and_width, width, with_width,
    zeros_like,
};
use crate::ops::products::{Products, products};
use crate::ops::{Activation, PackedWeight, linear};

/// [`BertOps::project`](crate::ops::BertOps::project).
pub(in crate::ops) fn project<T: HostTensor>(input: T, weight: T, bias: T) -> T {
    match place(When::Preferred, [input, weight, bias]) {
        Kernel([input, weight, bias]) => {
            affine(&input, matrix(&weight), &bias, Activation::Identity)
        }
        Backend([input, weight, bias]) => T::Backend::own_project(input, weight, bias),
    }
}

/// [`BertOps::project_unbiased`](crate::ops::BertOps::project_unbiased).
pub(in crate::ops) fn project_unbiased<T: HostTensor>(input: T, weight: T) -> T {
    match place(When::Preferred, [input, weight]) {
        Kernel([input, weight]) => input.init_like(with_width(&input, width(&weight)), |to| {
            matmul(matrix(&input), matrix(&weight), to)
        }),
        Backend([input, weight]) => T::Backend::linear(input, weight, None),
    }
}

/// [`BertOps::project_gelu`](crate::ops::BertOps::project_gelu).
pub(in crate::ops) fn project_gelu<T: HostTensor>(input: T, weight: T, bias: T) -> T {
    match place(When::Preferred, [input, weight, bias]) {
        Kernel([input, weight, bias]) => affine(&input, matrix(&weight), &bias, Activation::Gelu),
        Backend([input, weight, bias]) => T::Backend::own_project_gelu(input, weight, bias),
    }
}

/// [`BertOps::project_table`](crate::ops::BertOps::project_table).
pub(in crate::ops) fn project_table<T: HostTensor>(input: T, table: T, bias: T) -> T {
    match place(When::Preferred, [input, table, bias]) {
        Kernel([input, table, bias]) => {
            let weight = matrix(&table).transposed();
            affine(&input, weight, &bias, Activation::Identity)
        }
        Backend([input, table, bias]) => T::Backend::own_project_table(input, table, bias),
    }
}

/// [`PackedWeightOps::project_packed`](crate::ops::PackedWeightOps::project_packed).
pub(in crate::ops) fn project_packed<T: HostTensor>(
    input: T,
    bias: T,
    weight: Arc<PackedWeight>,
    activation: Activation,
) -> T {
    match place(When::Always, [input, bias]) {
        Kernel([input, bias]) => {
            let (rows, bias) = (PackedInput::of(&input), bias.as_slice());
            input.init_like(with_width(&input, bias.len()), |to| {
                rows.linear(&weight, bias, activation.into(), to)
            })
        }
        Backend([input, bias]) => {
            linear::project_data::<T::Backend>(input, bias, weight.floats(), activation)
        }
    }
}

/// [`PackedWeightOps::project_packed_thrice`](crate::ops::PackedWeightOps::project_packed_thrice).
pub(in crate::ops) fn project_packed_thrice<T: HostTensor>(
    input: T,
    first: T,
    second: T,
    third: T,
    weights: [Arc<PackedWeight>; 3],
) -> (T, T, T) {
    match place(When::Always, [input, first, second, third]) {
        Kernel([input, biases @ ..]) => {
            let rows = PackedInput::of(&input);
            let layers = [0, 1, 2].map(|at| (&*weights[at], biases[at].as_slice()));
            let outputs = layers.map(|(weight, bias)| {
                input.init_like(with_width(&input, bias.len()), |to| {
                    rows.linear(weight, bias, Activation::Identity.into(), to)
                })
            });
            outputs.into()
        }
        Backend([input, first, second, third]) => {
            let [by_first, by_second, by_third] = weights;
            (
                project_packed(input.clone(), first, by_first, Activation::Identity),
                project_packed(input.clone(), second, by_second, Activation::Identity),
                project_packed(input, third, by_third, Activation::Identity),
            )
        }
    }
}

/// [`PackedWeightOps::feed_forward_packed`](crate::ops::PackedWeightOps::feed_forward_packed).
pub(in crate::ops) fn feed_forward_packed<T: HostTensor>(
    input: T,
    first: T,
    second: T,
    weights: [Arc<PackedWeight>; 2],
    activation: Activation,
) -> T {
    let [by_first, by_second] = weights;
    let bits = match (&*by_first, &*by_second) {
        (PackedWeight::BFloat16(_), PackedWeight::BFloat16(_))
        | (PackedWeight::Int8(_), PackedWeight::Int8(_)) => When::Always,
        _ => When::Never,
    };
    match place(bits, [input, first, second]) {
        Kernel([input, first, second]) => {
            let shape = with_width(&input, width(&second));
            let [first, second] = [&first, &second].map(|bias| bias.as_slice());
            input.init_like(shape, |to| match (&*by_first, &*by_second) {
                (PackedWeight::BFloat16(by_first), PackedWeight::BFloat16(by_second)) => {
                    let layers = [(by_first, first), (by_second, second)];
                    bf16::feed_forward(matrix(&input), layers, activation.into(), to)
                }
                (PackedWeight::Int8(by_first), PackedWeight::Int8(by_second)) => {
                    let rows = QuantizedRows::quantize(input.as_slice(), width(&input));
                    let layers = [(by_first, first), (by_second, second)];
                    int8::feed_forward(&rows, layers, activation.into(), to)
                }
                _ => unreachable!("no kernel has other weights"),
            })
        }
        Backend([input, first, second]) => {
            let widened = project_packed(input, first, by_first, activation);
            project_packed(widened, second, by_second, Activation::Identity)
        }
    }
}

/// [`PackedWeightOps::project_packed_gated`](crate::ops::PackedWeightOps::project_packed_gated), a block of rows at a time, so
/// that gates stay in the cache.
pub(in crate::ops) fn project_packed_gated<T: HostTensor>(
    input: T,
    of_gate: T,
    of_other: T,
    weights: [Arc<PackedWeight>; 2],
    activation: Activation,
) -> T {
    let [gate, other] = weights;
    match place(When::Always, [input, of_gate, of_other]) {
        Kernel([input, of_gate, of_other]) => {
            let (columns, depth) = (width(&of_other), width(&input));
            let rows = GATED_ROWS * rayon::current_num_threads();
            let [of_gate, of_other] = [&of_gate, &of_other].map(T::as_slice);
            input.init_like(with_width(&input, columns), |to| {
                let length = rows * columns.max(1);
                init_by_chunks(to, length, |at, to| {
                    let count = to.len() / columns.max(1);
                    let from = &input.as_slice()[at * rows * depth..][..count * depth];
                    let from = PackedInput::new(from, depth);
                    let gate = init_vec(to.len(), |to| {
                        from.linear(&gate, of_gate, activation.into(), to)
                    });
                    let to = from.linear(&other, of_other, Activation::Identity.into(), to);
                    gates::apart(Activation::Identity.into(), to, &gate);
                    to
                })
            })
        }
        Backend([input, of_gate, of_other]) => {
            let gate = project_packed(input.clone(), of_gate, gate, activation);
            let other = project_packed(input, of_other, other, Activation::Identity);
            T::Backend::float_mul(other, gate)
        }
    }
}

/// Rows for each thread whose gates are computed before they are multiplied.
const GATED_ROWS: usize = 128;

/// Rows that are multiplied with packed weights, quantised for the first that is in 8 bits.
struct PackedInput<'a> {
    values: &'a [f32],
    depth: usize,
    quantized: OnceCell<QuantizedRows>,
}

impl<'a> PackedInput<'a> {
    fn new(values: &'a [f32], depth: usize) -> Self {
        Self {
            values,
            depth,
            quantized: OnceCell::new(),
        }
    }

    /// All rows of a contiguous tensor.
    fn of(tensor: &'a impl HostTensor) -> Self {
        Self::new(tensor.as_slice(), width(tensor))
    }

    /// `activation(input · weight + bias)`
    fn linear<'o>(
        &self,
        weight: &PackedWeight,
        bias: &[f32],
        activation: kernels::Activation,
        to: &'o mut [MaybeUninit<f32>],
    ) -> &'o mut [f32] {
        match weight {
            PackedWeight::BFloat16(weight) => {
                let rows = self.values.len() / self.depth.max(1);
                let input = Matrix::new(self.values, rows, self.depth);
                bf16::linear(input, weight, bias, activation, to)
            }
            PackedWeight::Int8(weight) => {
                let quantize = || QuantizedRows::quantize(self.values, self.depth);
                let rows = self.quantized.get_or_init(quantize);
                int8::linear(rows, weight, bias, activation, to)
            }
            PackedWeight::Panels(weight) => {
                linear_kernels::packed_linear(self.values, weight, bias, activation, to)
            }
        }
    }
}

/// [`GradientOps::project_table_backward`](crate::ops::GradientOps::project_table_backward).
pub(in crate::ops) fn project_table_backward<T: HostTensor>(table: T, grad: T) -> T {
    match place(When::Preferred, [table, grad]) {
        Kernel([table, grad]) => {
            let shape = with_width(&grad, width(&table));
            grad.init_like(shape, |to| matmul(matrix(&grad), matrix(&table), to))
        }
        Backend([table, grad]) => T::Backend::float_matmul(grad, table),
    }
}

/// [`GradientOps::project_input_backward`](crate::ops::GradientOps::project_input_backward).
pub(in crate::ops) fn project_input_backward<T: HostTensor>(weight: T, grad: T) -> T {
    match place(When::Preferred, [weight, grad]) {
        Kernel([weight, grad]) => {
            let [depth, _] = weight.shape().dims();
            let shape = with_width(&grad, depth);
            grad.init_like(shape, |to| {
                matmul(matrix(&grad), matrix(&weight).transposed(), to)
            })
        }
        Backend([weight, grad]) => T::Backend::linear_x_backward(weight, grad),
    }
}

/// [`GradientOps::project_weight_backward`](crate::ops::GradientOps::project_weight_backward).
pub(in crate::ops) fn project_weight_backward<T: HostTensor>(input: T, grad: T) -> T {
    match place(When::Preferred, [input, grad]) {
        Kernel([input, grad]) => {
            let shape = Shape::new([width(&input), width(&grad)]);
            grad.init_like(shape, |to| {
                matmul(matrix(&input).transposed(), matrix(&grad), to)
            })
        }
        Backend([input, grad]) => T::Backend::linear_weight_backward(input, grad),
    }
}

/// [`GradientOps::project_bias_backward`](crate::ops::GradientOps::project_bias_backward).
pub(in crate::ops) fn project_bias_backward<T: HostTensor>(grad: T) -> T {
    match place(When::Always, [grad]) {
        Kernel([grad]) => {
            let mut output = zeros_like(&grad, [width(&grad)]);
            linear_kernels::bias_backward(grad.as_slice(), output.make_mut());
            output
        }
        Backend([grad]) => T::Backend::linear_bias_backward(grad),
    }
}

/// `activation(input · weight + bias)` of contiguous tensors.
fn affine<T: HostTensor>(input: &T, weight: Matrix<'_>, bias: &T, activation: Activation) -> T {
    let (bias, activation) = (bias.as_slice(), activation.into());
    input.init_like(with_width(input, bias.len()), |to| match products() {
        Products::Float => linear_kernels::linear(matrix(input), weight, bias, activation, to),
        Products::BFloat16 => bf16::affine(matrix(input), weight, bias, activation, to),
    })
}

/// `left · right` in the type of this thread's products.
fn matmul<'a>(
    left: Matrix<'_>,
    right: Matrix<'_>,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    match products() {
        Products::Float => matmul::matmul(left, right, output),
        Products::BFloat16 => bf16::matmul(left, right, output),
    }
}

/// All rows of a contiguous tensor.
fn matrix(tensor: &impl HostTensor) -> Matrix<'_> {
    let (rows, width) = rows_and_width(tensor);
    Matrix::new(tensor.as_slice(), rows, width)
}
