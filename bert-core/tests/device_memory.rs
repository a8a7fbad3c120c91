//! burn#5212, burn#4792: the memory of a device, or of the process that drives it, grew with every step of training.

use bert_core::batch::BertInput;
use bert_core::config::BertConfig;
use bert_core::device::{Device, test_devices};
use bert_core::ops;
use bert_core::training::{Optimizer, ParameterGradients, Recipe};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Int, Tensor};

const STEPS: usize = 1000;
/// Steps until buffers, kernels and caches are there.
const WARM_UP: usize = 100;
const BATCH: usize = 2;

fn config() -> BertConfig {
    let [vocabulary, hidden, layers, heads, intermediate] = [61, 8, 1, 2, 12];
    BertConfig::new(vocabulary, hidden, layers, heads, intermediate)
}

/// Texts of four lengths in turn.
fn batch(step: usize, device: &Device) -> (BertInput, Tensor<1, Int>) {
    let length = 3 + step % 4;
    let ids = (0..BATCH * length).map(|at| 1 + ((step * 17 + at * 5) % 60) as i64);
    let input = BertInput::from_attention_mask(
        ids.collect(),
        vec![0; BATCH * length],
        vec![1; BATCH * length],
        [BATCH, length],
        device,
    );
    (input, Tensor::from_data([step as i64 % 8, 3], device))
}

/// Bytes that the backend has reserved on the device, if it knows, and those that the process occupies.
fn memory(device: &Device) -> [Option<u64>; 2] {
    device.sync().unwrap();
    let reserved = device.memory_pool_usage().map(|usage| usage.bytes_reserved);
    [reserved, resident()]
}

/// Linux alone tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes << 10)
}

/// Slack for the process: an allocator's and a driver's own ways.
const RESIDENT_SLACK: u64 = 24 << 20;

#[test]
fn memory_is_flat_over_a_thousand_steps_of_training() {
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let mut model = config().init(7, &device).train();
        let mut optimizer = Optimizer::new(Recipe::Google.optimizer());
        let mut warm = [None; 2];
        let mut course = Vec::new();
        for step in 1..=STEPS {
            let (input, labels) = batch(step, &device);
            let logits = model.forward(input).pooled_output.unwrap();
            let loss = ops::cross_entropy(logits, labels, None).sum / BATCH as f64;
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            let gradients = ParameterGradients::take(&model, gradients);
            (model, _) = optimizer.step(model, gradients, 1e-4);
            // As often as a run reports.
            if step % 10 == 0 {
                let loss = loss.into_scalar::<f32>();
                assert!(loss.is_finite(), "{label}: {loss} at step {step}");
            }
            if step % WARM_UP == 0 {
                let now = memory(&device);
                if step == WARM_UP {
                    warm = now;
                }
                course.push(now.map(|bytes| bytes.map(|bytes| bytes >> 10)));
            }
        }
        println!("{label}: KiB reserved and resident at every {WARM_UP}th step: {course:?}");
        let [reserved, resident] = memory(&device);
        assert!(
            reserved <= warm[0],
            "{label}: the device's memory grows: {course:?}"
        );
        let bound = warm[1].map(|bytes| bytes + RESIDENT_SLACK);
        assert!(resident <= bound, "{label}: the process grows: {course:?}");
    }
}
