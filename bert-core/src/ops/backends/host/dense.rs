//! Linear layers over tensors.

use std::cell::OnceCell;
use std::mem::MaybeUninit;
use std::sync::Arc;

use bert_kernels::bf16;
use bert_kernels::int8::{self, QuantizedRows};
use bert_kernels::linear::{self as kernels, Activation};
use bert_kernels::matmul::{self, Matrix};
use burn::backend::ops::{FloatTensorOps, ModuleOps};
use burn::tensor::Shape;

use super::{
    Backend, HostBackend, HostTensor, Kernel, When, place, rows_and_width, width, with_width,
    zeros_like,
};
use crate::ops::products::{Products, products};
use crate::ops::{PackedWeight, linear};

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
    gelu: bool,
) -> T {
    match place(When::Always, [input, bias]) {
        Kernel([input, bias]) => {
            let activation = if gelu {
                Activation::Gelu
            } else {
                Activation::Identity
            };
            PackedInput::new(&input).linear(&weight, &bias, activation)
        }
        Backend([input, bias]) => {
            linear::project_data::<T::Backend>(input, bias, weight.floats(), gelu)
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
            let input = PackedInput::new(&input);
            let layers = [0, 1, 2].map(|at| (&*weights[at], &biases[at]));
            layers
                .map(|(weight, bias)| input.linear(weight, bias, Activation::Identity))
                .into()
        }
        Backend([input, first, second, third]) => {
            let [by_first, by_second, by_third] = weights;
            (
                project_packed(input.clone(), first, by_first, false),
                project_packed(input.clone(), second, by_second, false),
                project_packed(input, third, by_third, false),
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
                    bf16::feed_forward(matrix(&input), layers, to)
                }
                (PackedWeight::Int8(by_first), PackedWeight::Int8(by_second)) => {
                    let rows = QuantizedRows::quantize(input.as_slice(), width(&input));
                    int8::feed_forward(&rows, [(by_first, first), (by_second, second)], to)
                }
                _ => unreachable!("no kernel has other weights"),
            })
        }
        Backend([input, first, second]) => {
            let widened = project_packed(input, first, by_first, true);
            project_packed(widened, second, by_second, false)
        }
    }
}

/// A contiguous input of layers with packed weights, quantised for the first that is in 8 bits.
struct PackedInput<'a, T> {
    tensor: &'a T,
    rows: OnceCell<QuantizedRows>,
}

impl<'a, T: HostTensor> PackedInput<'a, T> {
    fn new(tensor: &'a T) -> Self {
        Self {
            tensor,
            rows: OnceCell::new(),
        }
    }

    /// `activation(input · weight + bias)`, the bias contiguous too.
    fn linear(&self, weight: &PackedWeight, bias: &T, activation: Activation) -> T {
        let input = self.tensor;
        let bias = bias.as_slice();
        input.init_like(with_width(input, bias.len()), |to| match weight {
            PackedWeight::BFloat16(weight) => {
                bf16::linear(matrix(input), weight, bias, activation, to)
            }
            PackedWeight::Int8(weight) => {
                let quantize = || QuantizedRows::quantize(input.as_slice(), width(input));
                int8::linear(
                    self.rows.get_or_init(quantize),
                    weight,
                    bias,
                    activation,
                    to,
                )
            }
            PackedWeight::Panels(weight) => {
                kernels::packed_linear(input.as_slice(), weight, bias, activation, to)
            }
        })
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
            kernels::bias_backward(grad.as_slice(), output.make_mut());
            output
        }
        Backend([grad]) => T::Backend::linear_bias_backward(grad),
    }
}

/// `activation(input · weight + bias)` of contiguous tensors.
fn affine<T: HostTensor>(input: &T, weight: Matrix<'_>, bias: &T, activation: Activation) -> T {
    let bias = bias.as_slice();
    input.init_like(with_width(input, bias.len()), |to| match products() {
        Products::Float => kernels::linear(matrix(input), weight, bias, activation, to),
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
