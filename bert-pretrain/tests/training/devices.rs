//! One run on devices of several backends, and on a device that a worker offers.

use crate::common::{check, train};
use bert_core::device::{Device, test_devices};
use bert_core::training::Recipe;

#[test]
fn devices_of_two_backends_follow_the_curve_of_one() {
    let devices = test_devices();
    let first: Device = devices[0].1.clone();
    for (label, second) in &devices {
        let pair = [first.clone(), second.clone()];
        let (model, recorder) = train(Recipe::Google, &pair, false);
        let label = format!("{} and {label}", devices[0].0);
        check(&label, Recipe::Google, &model, &recorder);
    }
}

#[cfg(feature = "remote")]
#[test]
fn a_remote_device_follows_the_curve_of_a_local_one() {
    use std::sync::Arc;

    use bert_core::device::{Worker, WorkerOptions};

    let (_, local) = test_devices().swap_remove(0);
    let dir = tempfile::tempdir().unwrap();
    let options = WorkerOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        key_file: dir.path().join("worker.key"),
        token: None,
        observer: Arc::new(|_| {}),
    };
    let worker = Worker::start(vec![local.clone()], options).unwrap();
    let remote = worker.label(0).open().unwrap();

    let (model, recorder) = train(Recipe::HuggingFace, std::slice::from_ref(&remote), false);
    check("remote", Recipe::HuggingFace, &model, &recorder);
    let (model, recorder) = train(Recipe::HuggingFace, &[local, remote], false);
    check("local and remote", Recipe::HuggingFace, &model, &recorder);
    worker.run_until(|| true).unwrap();
}
