//! A run that is stopped, saved and taken up again, on the same device and on another.

use crate::common::{self, UPDATES, schedule, updates};
use bert_core::device::{Device, test_devices};
use bert_core::training::{
    CheckpointStore, Event, Observer, Recipe, RunContext, RunInfo, Split, TrainerOptions,
    read_state,
};
use bert_pretrain::recipe::loss_epsilon;
use std::path::Path;

const RECIPE: Recipe = Recipe::HuggingFace;

/// Notes the losses, and those of evaluations with their steps; asks the run to stop after `stop_after` of the former.
struct Course {
    losses: Vec<f64>,
    evaluations: Vec<(u64, f64)>,
    stop_after: usize,
}

impl Observer for Course {
    fn start(&mut self, _run: &RunInfo) -> bert_core::Result<()> {
        Ok(())
    }

    fn event(&mut self, event: &Event) -> bert_core::Result<()> {
        let loss = event.value("loss").unwrap();
        match event.split {
            Split::Train => self.losses.push(loss),
            Split::Evaluation => self.evaluations.push((event.step, loss)),
        }
        Ok(())
    }

    fn wants_to_stop(&self) -> bool {
        self.losses.len() >= self.stop_after
    }

    fn finish(&mut self) -> bert_core::Result<()> {
        Ok(())
    }
}

/// Resumes the run in `dir`, or begins it; stops after `stop_after` steps. Losses, and true if it is finished.
fn session(dir: &Path, device: &Device, stop_after: usize) -> (Vec<f64>, bool) {
    let (course, finished) = evaluated_session(dir, device, stop_after, None);
    (course.losses, finished)
}

/// [`session`] with an evaluation every so many steps: of one weight, which is the best when it is smallest.
fn evaluated_session(
    dir: &Path,
    device: &Device,
    stop_after: usize,
    evaluate_every: Option<u64>,
) -> (Course, bool) {
    let mut course = Course {
        losses: Vec::new(),
        evaluations: Vec::new(),
        stop_after,
    };
    let context = RunContext {
        options: TrainerOptions {
            log_every: 1,
            evaluate_every: evaluate_every.unwrap_or(0),
            ..TrainerOptions::default()
        },
        keep: 2,
        resume: true,
        ..RunContext::new(device.clone(), dir, &mut course)
    };
    let (schedule, data) = (schedule(RECIPE), |first| {
        updates(first, loss_epsilon(RECIPE))
    });
    let summary = common::session(RECIPE, schedule, context, data, |model, should_stop| {
        let pooler = model.bert.pooler.as_ref().unwrap();
        let value = pooler.dense.weight.val().mean().into_scalar::<f64>();
        (!should_stop()).then_some(value)
    });
    (course, summary.unwrap().finished)
}

fn weights(dir: &Path) -> Vec<u8> {
    let path = CheckpointStore::open(dir, 2)
        .unwrap()
        .latest()
        .unwrap()
        .unwrap();
    std::fs::read(path.join("model.safetensors")).unwrap()
}

#[test]
fn resumed_equals_uninterrupted_bit_for_bit() {
    for (label, device) in test_devices() {
        let whole = tempfile::tempdir().unwrap();
        let (losses, finished) = session(whole.path(), &device, usize::MAX);
        assert_eq!((losses.len(), finished), (UPDATES, true));

        let parts = tempfile::tempdir().unwrap();
        let mut resumed = Vec::new();
        for steps in [7, 1, 100] {
            let (losses, _) = session(parts.path(), &device, steps);
            resumed.extend(losses);
        }
        assert_eq!(resumed, losses, "{label}");
        assert!(
            weights(parts.path()) == weights(whole.path()),
            "{label}: weights differ"
        );
    }
}

#[test]
fn an_evaluation_that_was_broken_off_is_repeated() {
    let (_, device) = test_devices().swap_remove(0);
    let (every, last) = (5, UPDATES);
    let whole = tempfile::tempdir().unwrap();
    let (expected, finished) = evaluated_session(whole.path(), &device, usize::MAX, Some(every));
    assert!(finished);
    assert_eq!(expected.evaluations.len(), UPDATES.div_ceil(every as usize));

    // In the first evaluation, between two, and in the last, after which no step is left.
    let parts = tempfile::tempdir().unwrap();
    let mut evaluations = Vec::new();
    for steps in [5, 2, last - 7] {
        let (course, finished) = evaluated_session(parts.path(), &device, steps, Some(every));
        assert!(!finished);
        evaluations.extend(course.evaluations);
    }
    let (course, finished) = evaluated_session(parts.path(), &device, usize::MAX, Some(every));
    assert_eq!((course.losses.len(), finished), (0, true));
    evaluations.extend(course.evaluations);
    assert_eq!(evaluations, expected.evaluations);
    let state = |dir: &Path| {
        let store = CheckpointStore::open(dir, 2).unwrap();
        read_state(&store.latest().unwrap().unwrap()).unwrap()
    };
    let [found, expected] = [&parts, &whole].map(|dir| state(dir.path()));
    assert_eq!(
        (found.best, found.evaluation_pending),
        (expected.best, false)
    );
}

#[test]
fn a_run_begun_on_one_backend_goes_on_on_another() {
    let devices = test_devices();
    let (_, first) = &devices[0];
    let whole = tempfile::tempdir().unwrap();
    let (losses, _) = session(whole.path(), first, usize::MAX);
    for (label, second) in &devices {
        let dir = tempfile::tempdir().unwrap();
        let (mut resumed, finished) = session(dir.path(), first, 10);
        assert!(!finished);
        let (rest, finished) = session(dir.path(), second, usize::MAX);
        assert!(finished);
        resumed.extend(rest);
        assert_eq!(resumed.len(), losses.len());
        for (step, (resumed, loss)) in resumed.iter().zip(&losses).enumerate() {
            assert!(
                (resumed - loss).abs() <= 1e-4,
                "{label}, step {step}: {resumed} against {loss}"
            );
        }
    }
}

#[test]
fn half_written_and_half_deleted_checkpoints_are_not_taken_for_whole_ones() {
    let (_, device) = test_devices().swap_remove(0);
    let dir = tempfile::tempdir().unwrap();
    session(dir.path(), &device, 5);
    let checkpoints = dir.path().join("checkpoints");
    // What a kill leaves behind while a later checkpoint is written and an older one is deleted.
    for name in [".writing-step-00000009", ".deleting-step-00000002"] {
        std::fs::create_dir(checkpoints.join(name)).unwrap();
        std::fs::write(checkpoints.join(name).join("model.safetensors"), b"half").unwrap();
    }
    let store = CheckpointStore::open(dir.path(), 2).unwrap();
    assert_eq!(store.list().unwrap().len(), 1);
    assert!(store.latest().unwrap().unwrap().ends_with("step-00000005"));
    assert_eq!(
        std::fs::read_dir(&checkpoints).unwrap().count(),
        1,
        "leftovers are removed"
    );
    let (losses, _) = session(dir.path(), &device, 100);
    assert_eq!(losses.len(), UPDATES - 5);
}
