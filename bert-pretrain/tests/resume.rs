//! A run that is stopped, saved and taken up again, on the same device and on another.

mod common;

use bert_core::agreement::without_dropout;
use bert_core::checkpoint::{self, Checkpoint};
use bert_core::device::{Device, test_devices};
use bert_core::training::{
    CheckpointStore, Ending, Event, Observer, Optimizer, Recipe, RunInfo, StopFlag, Trainer,
    TrainerOptions, TrainerState, read_optimizer, read_state,
};
use bert_pretrain::Error;
use bert_pretrain::model::BertForPreTraining;
use common::{UPDATES, fixture, model, schedule, updates};
use serde_json::Value;
use std::path::Path;

const RECIPE: Recipe = Recipe::HuggingFace;

/// Notes the losses and stops the run after `stop_after` of them.
struct Course {
    losses: Vec<f64>,
    stop_after: usize,
}

impl Observer for Course {
    fn start(&mut self, _run: &RunInfo) -> bert_core::Result<()> {
        Ok(())
    }

    fn event(&mut self, event: &Event) -> bert_core::Result<()> {
        self.losses.push(event.value("loss").unwrap());
        Ok(())
    }

    fn wants_to_stop(&self) -> bool {
        self.losses.len() >= self.stop_after
    }

    fn finish(&mut self) -> bert_core::Result<()> {
        Ok(())
    }
}

/// Goes on with the run in `dir`, or begins it; stops after `stop_after` steps.
fn session(dir: &Path, device: &Device, stop_after: usize) -> (Vec<f64>, Ending) {
    let device = device.clone().autodiff();
    let config = RECIPE.optimizer();
    let store = CheckpointStore::open(dir, 2).unwrap();
    let (model, optimizer, state) = match store.latest().unwrap() {
        None => (
            model(&device),
            Optimizer::new(config),
            TrainerState::new(0, config, schedule(RECIPE), Value::Null),
        ),
        Some(path) => {
            let state = read_state(&path).unwrap();
            let optimizer = read_optimizer(&path, &state, &device).unwrap();
            let checkpoint = Checkpoint::open(&path).unwrap();
            let (model, _) =
                BertForPreTraining::from_checkpoint(&checkpoint, true, 0, &device).unwrap();
            (without_dropout(model), optimizer, state)
        }
    };
    let first = state.step as usize;
    assert_eq!(state.cursor.as_u64().unwrap_or(0) as usize, first);
    let model_config = Checkpoint::open(fixture("tiny-pretraining"))
        .unwrap()
        .config()
        .clone();
    let mut course = Course {
        losses: Vec::new(),
        stop_after,
    };
    let trainer = Trainer {
        model,
        optimizer,
        schedule: schedule(RECIPE),
        devices: vec![device],
        options: TrainerOptions {
            log_every: 1,
            ..TrainerOptions::default()
        },
        state,
        store: Some(&store),
        write_model: &|model: &BertForPreTraining, dir| {
            Ok(checkpoint::save(
                dir,
                model,
                &model_config,
                model.architecture(),
            )?)
        },
        evaluate: None,
        observer: &mut course,
        stop: StopFlag::new(),
    };
    let data = updates(first, config.loss_epsilon)
        .into_iter()
        .map(Ok::<_, Error>);
    let (_, _, ending) = trainer.run(data).unwrap();
    (course.losses, ending)
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
        let (losses, ending) = session(whole.path(), &device, usize::MAX);
        assert_eq!((losses.len(), ending), (UPDATES, Ending::Finished));

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
fn a_run_begun_on_one_backend_goes_on_on_another() {
    let devices = test_devices();
    let (_, first) = &devices[0];
    let whole = tempfile::tempdir().unwrap();
    let (losses, _) = session(whole.path(), first, usize::MAX);
    for (label, second) in &devices {
        let dir = tempfile::tempdir().unwrap();
        let (mut resumed, ending) = session(dir.path(), first, 10);
        assert_eq!(ending, Ending::Interrupted);
        let (rest, ending) = session(dir.path(), second, usize::MAX);
        assert_eq!(ending, Ending::Finished);
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
