//! One run on devices of several backends, and on a device that a worker offers.

use crate::common::{check, train, train_on, updates, weights};
use bert_core::device::{Device, test_devices};
use bert_core::training::{Recipe, Update};
use bert_pretrain::objective::PreTrainingBatch;
use bert_pretrain::recipe::loss_epsilon;

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

/// The update with a micro-batch for every row.
fn row_by_row(mut update: Update<PreTrainingBatch>, loss_epsilon: f64) -> Update<PreTrainingBatch> {
    let mut rows = Vec::new();
    for batch in &update.micro_batches {
        let [count, seq] = batch.shape;
        for row in 0..count {
            let cut = |values: &[i64]| values[row * seq..(row + 1) * seq].to_vec();
            let masked = batch.positions.iter().zip(&batch.labels);
            let of_row = masked.filter(|(position, _)| **position as usize / seq == row);
            let (positions, labels) = of_row
                .map(|(position, label)| (position % seq as i64, label))
                .unzip();
            rows.push(PreTrainingBatch {
                input_ids: cut(&batch.input_ids),
                token_type_ids: cut(&batch.token_type_ids),
                attention_mask: cut(&batch.attention_mask),
                shape: [1, seq],
                positions,
                labels,
                next_sentence: vec![batch.next_sentence[row]],
                ..batch.clone()
            });
        }
    }
    PreTrainingBatch::share(&mut rows, loss_epsilon);
    update.micro_batches = rows;
    update
}

#[test]
fn shares_of_several_micro_batches_follow_the_curve_and_are_the_same_in_every_run() {
    let recipe = Recipe::Google;
    let (label, device) = test_devices().swap_remove(0);
    let three = [(); 3].map(|()| device.clone());
    let run = || {
        let data: Vec<_> = updates(0, loss_epsilon(recipe))
            .into_iter()
            .map(|update| row_by_row(update, loss_epsilon(recipe)))
            .collect();
        let parts = data.iter().map(|update| update.micro_batches.len());
        assert!(parts.max() > Some(three.len()), "more than one a device");
        train_on(data, recipe, &three, false)
    };
    let (model, recorder) = run();
    check(&format!("three of {label}"), recipe, &model, &recorder);
    let (again, _) = run();
    assert_eq!(weights(&model), weights(&again));
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
