//! Operations of the optimizer: updates by Adam, the norm of gradients and its clipping.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, ExtensionType, backend_extension};
use burn::tensor::Tensor;

use super::tensors::dispatch;
use super::{AdamOutput, AdamStep, AdamTensors, adam, scale};

/// Eight flat tensors, each of its own size.
#[derive(Clone, Debug, ExtensionType)]
#[cfg_attr(
    any(feature = "wgpu", feature = "cuda", feature = "rocm", feature = "cpu"),
    extension_type(fusion)
)]
pub struct EightTensors<B: Backend>(
    pub FloatTensor<B>,
    pub FloatTensor<B>,
    pub FloatTensor<B>,
    pub FloatTensor<B>,
    pub FloatTensor<B>,
    pub FloatTensor<B>,
    pub FloatTensor<B>,
    pub FloatTensor<B>,
);

impl<B: Backend> EightTensors<B> {
    pub(crate) fn from_array([a, b, c, d, e, f, g, h]: [FloatTensor<B>; 8]) -> Self {
        Self(a, b, c, d, e, f, g, h)
    }

    pub(crate) fn into_array(self) -> [FloatTensor<B>; 8] {
        let Self(a, b, c, d, e, f, g, h) = self;
        [a, b, c, d, e, f, g, h]
    }
}

/// Operations on flat parameters, gradients and moments; they have no gradients of their own.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    LibTorch: cfg(feature = "tch"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm", feature = "cpu")),
    Remote: cfg(feature = "remote")
)]
pub trait OptimizerOps: Backend {
    /// The new value after a step of Adam, or without a rate its direction; then the new means of the gradient and of its
    /// square. All are flat and of one size.
    fn adam_update(
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        adam::update::<Self>(value, gradient, first, second, step)
    }

    /// [`adam_update`](OptimizerOps::adam_update) by the gradient multiplied by `factor`, `[1]`, as clipping has it.
    fn scaled_adam_update(
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        factor: FloatTensor<Self>,
        step: AdamStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        Self::adam_update(value, Self::scale_by(gradient, factor), first, second, step)
    }

    /// [`scaled_adam_update`](OptimizerOps::scaled_adam_update) of four parameters, each of its own size.
    fn scaled_adam_update_of_four(
        #[extension_type] a: AdamTensors<Self>,
        #[extension_type] b: AdamTensors<Self>,
        #[extension_type] c: AdamTensors<Self>,
        #[extension_type] d: AdamTensors<Self>,
        factor: FloatTensor<Self>,
        step: AdamStep,
    ) -> (
        AdamOutput<Self>,
        AdamOutput<Self>,
        AdamOutput<Self>,
        AdamOutput<Self>,
    ) {
        [a, b, c, d]
            .map(|parameter| {
                let AdamTensors {
                    value,
                    gradient,
                    first,
                    second,
                } = parameter;
                let factor = factor.clone();
                let (output, first, second) =
                    Self::scaled_adam_update(value, gradient, first, second, factor, step);
                AdamOutput {
                    output,
                    first,
                    second,
                }
            })
            .into()
    }

    /// Sums of the squares of several tensors, `[n]`: those of `input`, which n numbers add up to.
    fn squares(input: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::sum_of_squares(input)
    }

    /// `sums`, `[n]` from [`squares`](OptimizerOps::squares), with those of the first `count` of eight tensors.
    fn add_squares(
        sums: FloatTensor<Self>,
        #[extension_type] inputs: EightTensors<Self>,
        count: usize,
    ) -> FloatTensor<Self> {
        let inputs = inputs.into_array().into_iter().take(count);
        inputs.fold(sums, |sums, input| {
            Self::float_add(sums, Self::sum_of_squares(input))
        })
    }

    /// The norm that `sums` from [`squares`](OptimizerOps::squares) belong to, and the factor by which a gradient of that norm is
    /// at most `maximum` long, `[1]` each.
    fn clipping(
        sums: FloatTensor<Self>,
        maximum: f64,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        scale::clipping::<Self>(sums, maximum, epsilon)
    }

    /// The sum of the squares of all elements, `[1]`.
    fn sum_of_squares(input: FloatTensor<Self>) -> FloatTensor<Self> {
        scale::sum_of_squares::<Self>(input)
    }

    /// A flat `input` multiplied by `factor`, `[1]`.
    fn scale_by(input: FloatTensor<Self>, factor: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_mul(input, factor)
    }
}

/// The new value after a step of Adam, or without a rate its direction; then the new means of the gradient and of its square.
/// The gradient is multiplied by `factor` if there is one.
///
/// # Shapes
///
/// - factor: `[1]`
/// - all others: `[size]`
pub(crate) fn adam_update(
    value: Tensor<1>,
    gradient: Tensor<1>,
    first: Tensor<1>,
    second: Tensor<1>,
    factor: Option<Tensor<1>>,
    step: AdamStep,
) -> [Tensor<1>; 3] {
    let tensors = [value, gradient, first, second].map(Tensor::into_dispatch);
    let [value, gradient, first, second] = tensors;
    let (output, first, second) = match factor.map(Tensor::into_dispatch) {
        Some(factor) => Dispatch::scaled_adam_update(value, gradient, first, second, factor, step),
        None => Dispatch::adam_update(value, gradient, first, second, step),
    };
    [output, first, second].map(Tensor::from_dispatch)
}

/// [`adam_update`] of four parameters, each of its own size: value, gradient and the two means of each.
pub(crate) fn adam_update_of_four(
    parameters: [[Tensor<1>; 4]; 4],
    factor: Tensor<1>,
    step: AdamStep,
) -> [[Tensor<1>; 3]; 4] {
    let [a, b, c, d] = parameters.map(|tensors| {
        let [value, gradient, first, second] = tensors.map(Tensor::into_dispatch);
        AdamTensors {
            value,
            gradient,
            first,
            second,
        }
    });
    let factor = factor.into_dispatch();
    let outputs = Dispatch::scaled_adam_update_of_four(a, b, c, d, factor, step);
    <[AdamOutput<Dispatch>; 4]>::from(outputs)
        .map(|updated| [updated.output, updated.first, updated.second].map(Tensor::from_dispatch))
}

/// The Euclidean norm of all elements of `tensors` together, and the factor by which they are at most `maximum` long, `[1]` each;
/// `None` without any tensor.
///
/// `epsilon` is added to the norm that is divided by (PyTorch's `clip_grad_norm_`: 1e-6).
///
/// # Shapes
///
/// - tensors: `[size]`, each of its own size
pub(crate) fn clipping(
    tensors: impl IntoIterator<Item = Tensor<1>>,
    maximum: f64,
    epsilon: f64,
) -> Option<(Tensor<1>, Tensor<1>)> {
    let sums = squares(tensors)?.into_dispatch();
    let (norm, factor) = Dispatch::clipping(sums, maximum, epsilon);
    Some((Tensor::from_dispatch(norm), Tensor::from_dispatch(factor)))
}

/// The sum of the squares of all elements of `tensors`, `[1]`; `None` without any.
///
/// # Shapes
///
/// - tensors: `[size]`, each of its own size
pub(crate) fn sum_of_all_squares(
    tensors: impl IntoIterator<Item = Tensor<1>>,
) -> Option<Tensor<1>> {
    let sums = squares(tensors)?;
    Some(match sums.dims() {
        [1] => sums,
        _ => sums.sum(),
    })
}

/// Numbers that the squares of all elements of `tensors` add up to, `[n]`.
fn squares(tensors: impl IntoIterator<Item = Tensor<1>>) -> Option<Tensor<1>> {
    let mut tensors = tensors.into_iter();
    let mut sums = dispatch!(OptimizerOps::squares(tensors.next()?));
    while let Some(last) = tensors.next() {
        let mut eight = [(); 8].map(|()| last.clone());
        let mut count = 1;
        for (place, next) in eight[1..].iter_mut().zip(tensors.by_ref()) {
            *place = next;
            count += 1;
        }
        let eight = EightTensors::from_array(eight.map(Tensor::into_dispatch));
        let added = Dispatch::add_squares(sums.into_dispatch(), eight, count);
        sums = Tensor::from_dispatch(added);
    }
    Some(sums)
}

/// The sum of the squares of all elements.
///
/// # Shapes
///
/// - input: `[size]`
/// - output: `[1]`
pub(crate) fn sum_of_squares(input: Tensor<1>) -> Tensor<1> {
    dispatch!(OptimizerOps::sum_of_squares(input))
}
