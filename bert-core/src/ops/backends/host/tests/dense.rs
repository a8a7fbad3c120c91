//! Linear layers and what follows them.

use std::sync::Arc;

use burn::backend::ops::{ActivationOps, FloatTensorOps, ModuleOps};
use burn::tensor::{Shape, TensorData};

use super::super as host;
use super::{assert_close, numbers};
use crate::ops::backends::host::HostBackend;
use crate::ops::products::with_products;
use crate::ops::{
    Activation, GradientOps, PackedWeight, Products, ResidualForm, activation, linear, norm,
};
use host::tensor::HostTensor;
use host::tensor::tests::{filled, for_each_backend};

/// A product as one of [`Products`] rounds its operands.
type Product<'a, T> = (&'a str, Box<dyn Fn() -> T + 'a>);

fn products_in_bf16<T: HostTensor>(like: &T) {
    for (rows, depth, width) in [(3, 5, 7), (70, 130, 65)] {
        for is_exact in [true, false] {
            // Eighths are numbers of bf16, and sums of their products are exact in f32.
            let operand = |shape: [usize; 2], step: usize| {
                let numbers = numbers(like, shape, step).into_contiguous();
                let values = numbers.as_slice().iter();
                let eighths = values.map(|&value| match is_exact {
                    true => (value * 8.0).round() / 8.0,
                    false => value,
                });
                filled(like, shape, &eighths.collect::<Vec<_>>())
            };
            let input = || operand([rows, depth], 7);
            let weight = || operand([depth, width], 11);
            let table = || operand([width, depth], 5);
            let grad = || operand([rows, width], 17);
            let bias = || numbers(like, [width], 13);
            let products: [Product<'_, T>; 6] = [
                (
                    "project",
                    Box::new(|| host::project(input(), weight(), bias())),
                ),
                (
                    "project_unbiased",
                    Box::new(|| host::project_unbiased(input(), weight())),
                ),
                (
                    "project_table",
                    Box::new(|| host::project_table(input(), table(), bias())),
                ),
                (
                    "table_backward",
                    Box::new(|| host::project_table_backward(table(), grad())),
                ),
                (
                    "input_backward",
                    Box::new(|| host::project_input_backward(weight(), grad())),
                ),
                (
                    "weight_backward",
                    Box::new(|| host::project_weight_backward(input(), grad())),
                ),
            ];
            for (name, product) in products {
                let floats = product();
                let rounded = with_products(Products::BFloat16, &product).into_contiguous();
                if is_exact {
                    assert_close(rounded, floats, name);
                    continue;
                }
                let floats = floats.into_contiguous();
                let both = rounded.as_slice().iter().zip(floats.as_slice());
                let difference = both.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                let is_rounded = T::Backend::prefers_host_kernels();
                assert_eq!(difference > 1e-5, is_rounded, "{name}: {difference}");
                assert!(difference < 0.1, "{name}: {difference}");
            }
        }
    }
}

fn linear_layers_by_packed_weights<T: HostTensor>(like: &T) {
    // On one thread, by columns and by rows, with and without part of a panel, and deeper than a stretch.
    for (rows, depth, width) in [
        (1, 5, 7),
        (3, 900, 64),
        (10, 560, 200),
        (60, 280, 130),
        (151, 96, 64),
    ] {
        let input = || numbers(like, [2, rows, depth], 7);
        // Sums of many numbers, as near as those of few.
        let scale = 1.0 / depth as f32;
        let weight = numbers(like, [depth, width], 11).into_contiguous();
        let values: Vec<f32> = weight
            .as_slice()
            .iter()
            .map(|value| value * scale)
            .collect();
        let weight = || filled(like, [depth, width], &values);
        let bias = || numbers(like, [width], 13);
        let panels = PackedWeight::panels(&values, width).expect("kernels are compiled in");
        let panels = Arc::new(panels);
        assert_eq!(
            panels.floats(),
            TensorData::new(values.clone(), [depth, width])
        );
        let linear = || T::Backend::linear(input(), weight(), Some(bias()));
        assert_close(
            host::project_packed(input(), bias(), panels.clone(), Activation::Identity),
            linear(),
            "project_packed",
        );
        assert_close(
            host::project_packed(input(), bias(), panels, Activation::Gelu),
            T::Backend::gelu(linear()),
            "project_packed with GELU",
        );
        // Each number of bf16 is off by a 512th of itself at most.
        let bfloat16 = PackedWeight::bfloat16(&values, width).expect("kernels are compiled in");
        let found = host::project_packed(input(), bias(), Arc::new(bfloat16), Activation::Identity);
        let (found, expected) = (found.into_contiguous(), linear().into_contiguous());
        for (found, expected) in found.as_slice().iter().zip(expected.as_slice()) {
            assert!((found - expected).abs() < 4e-3, "{found} is not {expected}");
        }
        // Each number of 8 bits is off by half a step at most, so sums are nearly right.
        let int8 = PackedWeight::int8(&values, width).expect("finite values");
        let found = host::project_packed(input(), bias(), Arc::new(int8), Activation::Identity);
        let (found, expected) = (found.into_contiguous(), linear().into_contiguous());
        for (found, expected) in found.as_slice().iter().zip(expected.as_slice()) {
            assert!((found - expected).abs() < 2e-2, "{found} is not {expected}");
        }
    }
    let packed = PackedWeight::panels(&[1.0, 2.0, 3.0, 4.0], 2).expect("kernels are compiled in");
    let (none, bias) = (filled(like, [0, 2], &[]), filled(like, [2], &[0.0; 2]));
    let found = host::project_packed(none, bias, Arc::new(packed), Activation::Identity);
    assert_eq!(found.shape(), Shape::new([0, 2]));
}

fn packed_layers_together_are_those_one_by_one<T: HostTensor>(like: &T) {
    type Pack = fn(&[f32], usize) -> Option<PackedWeight>;
    let packs: [Pack; 3] = [
        PackedWeight::panels,
        PackedWeight::bfloat16,
        PackedWeight::int8,
    ];
    for (rows, depth, width) in [(2, 24, 70), (300, 64, 128)] {
        for pack in packs {
            let weight = |depth: usize, width: usize| {
                let values = numbers(like, [depth, width], 11).into_contiguous();
                let weight = pack(values.as_slice(), width);
                Arc::new(weight.expect("kernels are compiled in"))
            };
            let [wider, narrower] = [weight(depth, width), weight(width, depth)];
            let input = || numbers(like, [rows, depth], 7);
            let bias = |step: usize| numbers(like, [width], step);
            let single = |step| {
                host::project_packed(input(), bias(step), wider.clone(), Activation::Identity)
            };
            let weights = [(); 3].map(|()| wider.clone());
            let (first, second, third) =
                host::project_packed_thrice(input(), bias(3), bias(5), bias(13), weights);
            for (found, step) in [(first, 3), (second, 5), (third, 13)] {
                assert_close(found, single(step), "project_packed_thrice");
            }
            let narrow_bias = || numbers(like, [depth], 13);
            let widened = host::project_packed(input(), bias(3), wider.clone(), Activation::Gelu);
            let expected = host::project_packed(
                widened,
                narrow_bias(),
                narrower.clone(),
                Activation::Identity,
            );
            let weights = [wider.clone(), narrower];
            let found = host::feed_forward_packed(
                input(),
                bias(3),
                narrow_bias(),
                weights,
                Activation::Gelu,
            );
            assert_close(found, expected, "feed_forward_packed");
            let swish = Activation::Swish(1.0);
            let gate = host::project_packed(input(), bias(5), wider.clone(), swish);
            let expected = T::Backend::float_mul(gate, single(3));
            let weights = [(); 2].map(|()| wider.clone());
            let found = host::project_packed_gated(input(), bias(5), bias(3), weights, swish);
            assert_close(found, expected, "project_packed_gated");
        }
    }
}

fn linear_layers<T: HostTensor>(like: &T) {
    // Few rows with and without a panel of their own, many, and enough for a matrix unit.
    for (rows, depth, width) in [(3, 24, 64), (3, 24, 40), (70, 24, 40), (70, 80, 96)] {
        let input = || numbers(like, [2, rows, depth], 7);
        let weight = || numbers(like, [depth, width], 11);
        let bias = || numbers(like, [width], 13);
        let grad = || numbers(like, [2, rows, width], 17);
        let linear = || T::Backend::linear(input(), weight(), Some(bias()));
        assert_close(
            host::project(input(), weight(), bias()),
            linear(),
            "project",
        );
        assert_close(
            host::project_gelu(input(), weight(), bias()),
            T::Backend::gelu(linear()),
            "project_gelu",
        );
        assert_close(
            host::project_input_backward(weight(), grad()),
            T::Backend::linear_x_backward(weight(), grad()),
            "project_input_backward",
        );
        assert_close(
            host::project_weight_backward(input(), grad()),
            T::Backend::linear_weight_backward(input(), grad()),
            "project_weight_backward",
        );
        assert_close(
            host::project_bias_backward(grad()),
            T::Backend::linear_bias_backward(grad()),
            "project_bias_backward",
        );
        // A weight that is the view of another.
        let turned = T::Backend::float_transpose(numbers(like, [width, depth], 11));
        assert_close(
            host::project(input(), turned.clone(), bias()),
            T::Backend::linear(input(), turned, Some(bias())),
            "project with a view",
        );
        let rows_of = || numbers(like, [2 * rows, depth], 7);
        let table = || numbers(like, [width, depth], 11);
        assert_close(
            host::project_table(rows_of(), table(), bias()),
            linear::table::<T::Backend>(rows_of(), table(), bias()),
            "project_table",
        );
        let grad = || numbers(like, [2 * rows, width], 17);
        assert_close(
            host::project_table_backward(table(), grad()),
            T::Backend::float_matmul(grad(), table()),
            "project_table_backward",
        );
    }
}

/// Bodies that no backend in this process overrides.
fn what_follows_a_product<T: HostTensor>(like: &T) {
    let tensor = |step| move || numbers(like, [2, 9, 36], step);
    let [product, residual, grad] = [tensor(7), tensor(11), tensor(5)];
    let [bias, gamma, beta] = [3, 13, 17].map(|step| move || numbers(like, [36], step));
    let biased = || linear::add_bias::<T::Backend>(product(), bias());
    assert_close(
        T::Backend::bias_gelu(product(), bias()),
        T::Backend::gelu(biased()),
        "bias_gelu",
    );
    let [of_product, of_bias] = T::Backend::bias_gelu_backward(product(), bias(), grad());
    let expected = activation::backward::<T::Backend>(biased(), grad(), Activation::Gelu);
    assert_close(of_product, expected.clone(), "gradient of the product");
    let of_rows = |tensor| {
        let rows = T::Backend::float_reshape(tensor, Shape::new([18, 36]));
        T::Backend::float_reshape(T::Backend::float_sum_dim(rows, 0), Shape::new([36]))
    };
    assert_close(of_bias, of_rows(expected), "gradient of the bias");

    for dropout in [0.0, 0.25] {
        let form = ResidualForm {
            epsilon: 1e-6,
            dropout,
        };
        let [sum, output, factors] =
            T::Backend::drop_add_normalize(product(), bias(), residual(), gamma(), beta(), form);
        let drop = |tensor: T| match dropout > 0.0 {
            true => T::Backend::float_mul(tensor, factors.clone()),
            false => tensor,
        };
        let expected = || T::Backend::float_add(drop(biased()), residual());
        assert_close(sum.clone(), expected(), "sum");
        let normal = T::Backend::layer_norm(expected(), gamma(), Some(beta()), 1e-6);
        assert_close(output, normal, "LayerNorm of the sum");
        let found =
            T::Backend::drop_add_normalize_backward(sum, gamma(), grad(), factors.clone(), form);
        let (of_sum, of_gamma, of_beta) =
            norm::backward::<T::Backend>(expected(), gamma(), grad(), 1e-6);
        let of_projected = drop(of_sum.clone());
        let of_bias = of_rows(of_projected.clone());
        let expected = [of_projected, of_bias, of_sum, of_gamma, of_beta];
        for (found, expected) in found.into_iter().zip(expected) {
            assert_close(found, expected, "gradients of the end of a block");
        }
    }
}

for_each_backend!(
    linear_layers,
    products_in_bf16,
    linear_layers_by_packed_weights,
    packed_layers_together_are_those_one_by_one,
    what_follows_a_product
);
