//! Defects of Burn 0.22.1 that `ops` works around; each test fails when its defect is mended upstream, so that the
//! workaround can go.

use bert_core::device::test_devices;
use bert_core::ops::{self, Activation};
use burn::tensor::{Bool, Device, Tensor, activation};

use crate::values;

/// Two keys, the second masked: attention must return the first value for both queries.
fn masked_attention(device: &Device) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
    (
        Tensor::from_floats([[[[1.0, 0.0], [0.0, 1.0]]]], device),
        Tensor::from_floats([[[[0.5, 0.5], [0.5, 0.5]]]], device),
        Tensor::from_floats([[[[1.0, 2.0], [30.0, 40.0]]]], device),
    )
}

#[test]
fn masked_keys_are_left_out_on_every_device() {
    for (label, device) in test_devices() {
        let (query, key, value) = masked_attention(&device);
        let mask = Tensor::<2, Bool>::from_bool([[false, true]], &device);
        let context = ops::attention(query, key, value, mask);
        assert_eq!(values(context), [1.0, 2.0, 1.0, 2.0], "{label}");
    }
}

#[test]
fn libtorch_still_takes_the_mask_for_its_opposite() {
    for (label, device) in test_devices() {
        if !label.starts_with("libtorch") {
            continue;
        }
        let (query, key, value) = masked_attention(&device);
        let mask = Tensor::<4, Bool>::from_bool([[[[false, true], [false, true]]]], &device);
        let context = burn::tensor::module::attention(
            query,
            key,
            value,
            Some(mask),
            None,
            Default::default(),
        );
        assert_eq!(
            values(context),
            [30.0, 40.0, 30.0, 40.0],
            "burn-tch now follows Burn's polarity: drop the inversion in ops/backends/libtorch"
        );
    }
}

/// Derivative of `x · Φ(x)` at 1, to nine digits.
const SLOPE_AT_ONE: f32 = 1.083_315_5;

fn slope(device: &Device, gelu: impl Fn(Tensor<1>) -> Tensor<1>) -> f32 {
    let x = Tensor::<1>::from_floats([1.0], &device.clone().autodiff()).require_grad();
    let gradients = gelu(x.clone()).sum().backward();
    values(x.grad(&gradients).unwrap())[0]
}

#[test]
fn gelu_has_its_exact_gradient_on_every_device() {
    for (label, device) in test_devices() {
        let found = slope(&device, |x| ops::activate(x, Activation::Gelu));
        assert!((found - SLOPE_AT_ONE).abs() < 1e-6, "{label}: {found}");
    }
}

#[test]
fn burns_default_gelu_gradient_is_still_approximate() {
    for (label, device) in test_devices() {
        let exact = label == "flex" || label.starts_with("libtorch");
        let found = slope(&device, activation::gelu);
        assert_eq!(
            (found - SLOPE_AT_ONE).abs() < 1e-5,
            exact,
            "{label}: {found}; if it is exact now, drop its `erf_backward` in ops"
        );
    }
}

#[test]
fn gelu_tanh_takes_negative_numbers_on_every_device() {
    for (label, device) in test_devices() {
        let found = values(ops::activate(
            Tensor::<1>::from_floats([-1.0, 2.0], &device),
            Activation::GeluTanh,
        ));
        // transformers `NewGELUActivation`
        for (found, expected) in found.into_iter().zip([-0.158_808, 1.954_597_7]) {
            assert!((found - expected).abs() < 1e-6, "{label}: {found}");
        }
    }
}
