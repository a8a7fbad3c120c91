//! The golden fixtures in half precision. A device's float type is settled once for a process: this one's is f16.

use std::path::PathBuf;

use bert_core::agreement::Golden;
use bert_core::checkpoint::Loading;
use bert_core::device::{Device, Precision, set_dtype, test_devices};
use burn::tensor::FloatDType;

/// f16 has 11 bits: a value of the fixtures, which reach 4, is rounded by up to 2e-3, and layers follow layers.
const BAR: f64 = 4e-3;

/// The test devices that compute in f16. NdArray and many graphics drivers do not; where `BERT_TEST_DTYPE` asks for it,
/// all of them must.
fn devices() -> Vec<(String, Device)> {
    let asked = std::env::var("BERT_TEST_DTYPE").is_ok_and(|dtype| dtype == "f16");
    test_devices()
        .into_iter()
        .filter(|(label, device)| {
            let supported = device.supports_dtype(FloatDType::F16);
            let expected = asked || label == "flex" || label.starts_with("libtorch");
            assert!(supported || !expected, "{label} does not compute in f16");
            supported
        })
        .collect()
}

#[test]
fn values_in_half_precision_are_near_the_reference() {
    for (label, device) in devices() {
        set_dtype(&device, &label, Precision::F16).unwrap();
        for name in ["tiny-erf", "tiny-tanh", "tiny-relu", "tiny-pytorch-tanh"] {
            let golden = Golden::open(
                PathBuf::from(env!("CARGO_MANIFEST_DIR"))
                    .join("fixtures")
                    .join(name),
            )
            .unwrap();
            let (model, _) = golden
                .checkpoint()
                .load_model(Loading::Strict, &device)
                .unwrap();
            assert_eq!(
                device.settings().float_dtype,
                FloatDType::F16,
                "{label}: another float type was settled"
            );
            let trace = golden.probe().forward(&model, &device);
            let compared = trace.names().count();
            let mut worst = 0.0_f64;
            for difference in trace.differences(golden.reference()) {
                if !difference.is_gradient() {
                    worst = worst.max(difference.max_abs);
                    assert!(difference.max_abs <= BAR, "{label} {name}: {difference:?}");
                }
            }
            assert_eq!(
                compared,
                2 * golden.checkpoint().config().num_hidden_layers + 3
            );
            assert!(
                worst > 1e-5,
                "{label} {name}: too near for f16: {worst:.1e}"
            );
            println!("{label:12} {name:18} forward {worst:.1e} in f16");
        }
    }
}
