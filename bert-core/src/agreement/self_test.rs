//! The self-test that proves a device: a network with odd sizes forward and backward, an optimizer step and a product with
//! one output, against float64.

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData, activation};

use super::probe::{push_values, without_dropout};
use super::{FORWARD_BAR, GRADIENT_BAR, Golden, Trace, push_gradients};
use crate::Result;
use crate::batch::BertInput;
use crate::checkpoint::Loading;
use crate::device::{Measurement, Precision};
use crate::nn::BertModel;
use crate::training::{Optimizer, ParameterGradients, Recipe};

/// Differences allowed in a float type: absolute in forward values, relative in gradients.
fn bars(precision: Precision) -> (f64, f64) {
    match precision {
        Precision::F32 => (FORWARD_BAR, GRADIENT_BAR),
        Precision::F16 => (2e-2, 5e-2),
        Precision::BF16 => (1.5e-1, 3e-1),
    }
}

/// Measures `device` (without autodiff), which computes in `precision`, against float64 of transformers.
///
/// The fixture `proof` has rows of 131, 1 and 19 tokens and odd sizes throughout. It runs padded and packed, its row of one
/// token alone too, forward and backward; then a product with one output and what fuses with it, and in f32 (in which
/// training keeps its weights) a step of Adam.
///
/// # Errors
/// When the fixture cannot be unpacked or loaded.
pub fn self_test(device: &Device, precision: Precision) -> Result<Vec<Measurement>> {
    let golden = Golden::built_in()?;
    let (forward, gradient) = bars(precision);
    let (model, _) = golden.checkpoint().load_model(Loading::Strict, device)?;
    let input = golden.probe().input(device);
    let mut measured = vec![
        Measurement::new(
            "hidden states, padded",
            outputs(&golden, &model, input.clone().padded()),
            forward,
        ),
        Measurement::new(
            "hidden states, packed",
            outputs(&golden, &model, input),
            forward,
        ),
        Measurement::new(
            "hidden states, one token alone",
            single_token(&golden, &model, device),
            forward,
        ),
    ];

    let autodiff = device.clone().autodiff();
    let (model, _) = golden.checkpoint().load_model(Loading::Strict, &autodiff)?;
    let model = without_dropout(model);
    let loss = golden.probe().loss(&model, &autodiff);
    let gradients = loss.backward();
    let mut trace = Trace::default();
    push_gradients(&mut trace, &model, &gradients);
    let differences = trace.differences(golden.reference());
    let worst = differences.iter().map(|d| d.relative()).fold(0.0, max);
    measured.push(Measurement::new("gradients, packed", worst, gradient));
    let (output, slope) = one_output(&autodiff);
    measured.push(Measurement::new(
        "a product with one output",
        output,
        forward,
    ));
    measured.push(Measurement::new(
        "gradients, a product with one output",
        slope,
        gradient,
    ));
    if precision == Precision::F32 {
        let taken =
            ParameterGradients::take(&model, GradientsParams::from_grads(gradients, &model));
        measured.push(Measurement::new(
            "a step of Adam",
            adam_step(model, taken, &trace),
            forward,
        ));
    }
    Ok(measured)
}

/// `f64::max` that keeps NaN.
fn max(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.max(b)
    }
}

fn largest(found: impl IntoIterator<Item = f64>, expected: impl IntoIterator<Item = f64>) -> f64 {
    let pairs = found.into_iter().zip(expected);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, max)
}

/// Largest difference of the sequence output (at tokens, not at padding) and the pooled output.
fn outputs(golden: &Golden, model: &BertModel, input: BertInput) -> f64 {
    let output = model.forward(input);
    let hidden = output.sequence_output.dims()[2];
    let found: Vec<f64> = output.sequence_output.into_data().iter().collect();
    let is_token = &golden.probe().attention_mask;
    let at_tokens = |values: &[f64]| -> Vec<f64> {
        let rows = values.chunks(hidden).zip(is_token);
        let tokens = rows.filter(|(_, is_token)| **is_token == 1);
        tokens.flat_map(|(row, _)| row.to_vec()).collect()
    };
    let difference = largest(
        at_tokens(&found),
        at_tokens(reference(golden, "sequence_output")),
    );
    let Some(pooled) = output.pooled_output else {
        return f64::NAN;
    };
    let pooled: Vec<f64> = pooled.into_data().iter().collect();
    max(
        difference,
        largest(pooled, reference(golden, "pooled_output").iter().copied()),
    )
}

/// The reference's values, none where it lacks the name: every comparison with them then shows.
fn reference<'a>(golden: &'a Golden, name: &str) -> &'a [f64] {
    golden.reference().get(name).unwrap_or(&[f64::NAN])
}

/// Largest difference of the row of one token when nothing else is in the batch.
fn single_token(golden: &Golden, model: &BertModel, device: &Device) -> f64 {
    let probe = golden.probe();
    let [_, seq] = probe.shape;
    let mut rows = probe.attention_mask.chunks(seq);
    let Some(row) = rows.position(|row| row.iter().sum::<i64>() == 1) else {
        return f64::NAN;
    };
    let first = row * seq;
    let input = BertInput::from_attention_mask(
        vec![probe.input_ids[first]],
        vec![probe.token_type_ids[first]],
        vec![1],
        [1, 1],
        device,
    );
    let found: Vec<f64> = model
        .forward(input)
        .sequence_output
        .into_data()
        .iter()
        .collect();
    let expected = reference(golden, "sequence_output")
        .chunks(found.len())
        .nth(first);
    largest(found, expected.unwrap_or(&[f64::NAN]).iter().copied())
}

/// Rows and depth of the product with one output.
const PRODUCT: [usize; 2] = [37, 129];

/// `sigmoid(x · w + b)` with one column, and the gradient of its sum of squares for `w`: the largest differences, absolute
/// and relative.
fn one_output(device: &Device) -> (f64, f64) {
    let [rows, depth] = PRODUCT;
    let number = |index: usize, step: usize| ((index * step + 11) % 101) as f64 / 101.0 - 0.5;
    // Eighths are exact in every float type.
    let exact = |value: f64| (value * 8.0).round() / 8.0;
    let x: Vec<f64> = (0..rows * depth).map(|i| exact(number(i, 37))).collect();
    let w: Vec<f64> = (0..depth).map(|i| exact(number(i, 29))).collect();
    let bias = 0.25;
    let on_device = |values: &[f64], shape: [usize; 2]| {
        let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        Tensor::<2>::from_data(TensorData::new(values, shape), device)
    };
    let weight = on_device(&w, [depth, 1]).require_grad();
    let output = activation::sigmoid(on_device(&x, PRODUCT).matmul(weight.clone()) + bias);
    let gradients = output.clone().powi_scalar(2).sum().backward();
    let found: Vec<f64> = output.into_data().iter().collect();
    let slopes: Vec<f64> = weight
        .grad(&gradients)
        .map(|gradient| gradient.into_data().iter().collect())
        .unwrap_or_default();

    let dots = x
        .chunks(depth)
        .map(|row| row.iter().zip(&w).map(|(x, w)| x * w).sum::<f64>());
    let expected: Vec<f64> = dots
        .map(|dot| 1.0 / (1.0 + (-(dot + bias)).exp()))
        .collect();
    let mut expected_slopes = vec![0.0; depth];
    for (row, s) in x.chunks(depth).zip(&expected) {
        for (slope, x) in expected_slopes.iter_mut().zip(row) {
            *slope += 2.0 * s * s * (1.0 - s) * x;
        }
    }
    let scale = expected_slopes
        .iter()
        .fold(0.0, |scale: f64, slope| scale.max(slope.abs()));
    if slopes.len() != depth {
        return (f64::NAN, f64::NAN);
    }
    (
        largest(found, expected),
        largest(slopes, expected_slopes) / scale,
    )
}

/// Largest difference of a parameter after one step of AdamW from `gradients`, whose values are in `trace`.
fn adam_step(model: BertModel, gradients: ParameterGradients, trace: &Trace) -> f64 {
    const RATE: f64 = 1e-2;
    let config = Recipe::HuggingFace.optimizer();
    let mut before = Trace::default();
    push_values(&mut before, &model);
    let (model, _) = Optimizer::new(config).step(model, gradients, RATE);
    let mut after = Trace::default();
    push_values(&mut after, &model);

    let squares = trace.names().filter_map(|name| trace.get(name)).flatten();
    let norm = squares.map(|value| value * value).sum::<f64>().sqrt();
    let factor = match config.max_gradient_norm {
        Some(maximum) => (maximum / (norm + config.clip_epsilon)).min(1.0),
        None => 1.0,
    };
    let mut worst = 0.0;
    for name in before.names() {
        let parameter = name.trim_start_matches("value.");
        let rule = crate::training::default_rule(parameter);
        let decay = if rule.decays {
            config.weight_decay
        } else {
            0.0
        };
        let (Some(old), Some(new), Some(gradient)) = (
            before.get(name),
            after.get(name),
            trace.get(&format!("grad.{parameter}")),
        ) else {
            return f64::NAN;
        };
        // In the first step the corrected moments are the gradient and its square.
        let expected = old.iter().zip(gradient).map(|(value, gradient)| {
            let gradient = gradient * factor;
            let direction = gradient / (gradient.abs() + config.epsilon);
            value - RATE * (direction + decay * value)
        });
        worst = max(worst, largest(new.iter().copied(), expected));
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_devices;

    #[test]
    fn every_device_passes() {
        for (label, device) in test_devices() {
            let measured = self_test(&device, Precision::F32).unwrap();
            assert_eq!(measured.len(), 7, "{label}");
            for measurement in measured {
                println!("{label}: {measurement:?}");
                assert!(measurement.is_within_bar(), "{label}: {measurement:?}");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_outside_every_bar() {
        assert!(!Measurement::new("x", f64::NAN, 1e-5).is_within_bar());
        assert_eq!(
            max(f64::NAN, 1.0).total_cmp(&1.0),
            std::cmp::Ordering::Greater
        );
        assert!(largest([1.0], [f64::NAN]).is_nan());
    }
}
