//! One run on devices of several backends, and on devices behind a server.

mod common;

use bert_core::device::{Device, test_devices};
use bert_core::training::Recipe;
use common::{check, train};

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
    use bert_core::device::{DeviceSpec, serve};
    use std::net::TcpListener;

    let (_, local) = test_devices().swap_remove(0);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let served = local.clone();
    // It serves until the process ends.
    std::thread::spawn(move || serve(vec![served], listener).unwrap());
    let spec: DeviceSpec = format!("remote:{address}").parse().unwrap();
    let remote = spec.open().unwrap();

    let (model, recorder) = train(Recipe::HuggingFace, std::slice::from_ref(&remote), false);
    check("remote", Recipe::HuggingFace, &model, &recorder);
    let (model, recorder) = train(Recipe::HuggingFace, &[local, remote], false);
    check("local and remote", Recipe::HuggingFace, &model, &recorder);
}
