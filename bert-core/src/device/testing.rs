//! The devices that tests loop over.

use crate::device::{BACKENDS, Device, DeviceSpec};

/// The devices that a test must pass on, with their labels.
///
/// Those named in `BERT_TEST_DEVICES` (labels separated by commas), else every compiled-in CPU
/// backend that needs no driver.
///
/// # Panics
/// When a named device does not open, and when there is none: a test that ran on nothing must not
/// pass.
pub fn test_devices() -> Vec<(String, Device)> {
    let specs: Vec<DeviceSpec> = match std::env::var("BERT_TEST_DEVICES") {
        Ok(labels) if !labels.trim().is_empty() => labels
            .split(',')
            .map(|label| {
                label
                    .parse()
                    .unwrap_or_else(|error| panic!("BERT_TEST_DEVICES: {error}"))
            })
            .collect(),
        _ => BACKENDS
            .iter()
            .filter(|backend| backend.compiled)
            .filter_map(|backend| backend.processor)
            .map(DeviceSpec::of_table)
            .filter(|spec| !spec.wants_proof())
            .collect(),
    };
    assert!(
        !specs.is_empty(),
        "no CPU backend is compiled in to test on: add `--features flex`, or name devices in BERT_TEST_DEVICES"
    );
    let open = |spec: DeviceSpec| match spec.open() {
        Ok(device) => (spec.to_string(), device),
        Err(error) => panic!("{error}"),
    };
    let devices = specs.into_iter().map(open).collect();
    #[cfg(all(target_os = "linux", target_env = "gnu", feature = "cubecl"))]
    super::exit::end_tests_at_once();
    devices
}
