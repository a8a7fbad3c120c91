//! Training on devices that fail and with numbers that are none: one error, no such number in a checkpoint, and the
//! checkpoint resumes.

mod common;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bert_core::Error as CoreError;
use bert_core::device::{Device, fault, test_devices};
use bert_core::training::{
    CheckpointStore, Event, Observer, Recipe, RunContext, RunInfo, Schedule, Split, TrainerOptions,
    Update,
};
use bert_pretrain::Error;
use bert_pretrain::objective::PreTrainingBatch;
use bert_pretrain::recipe::loss_epsilon;
use burn::tensor::Tensor;
use common::{UPDATES, schedule, updates};
use cubecl_common::device::{DeviceId, DeviceService, ServerUtilitiesHandle};
use cubecl_common::device_handle::{CallResultExt, DeviceHandle};
use safetensors::SafeTensors;

const RECIPE: Recipe = Recipe::HuggingFace;

/// Held by every test: the record of faults is the process's.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    fault::watch().unwrap();
    fault::forget();
    guard
}

/// Calls `at_step` after every step.
struct Steps<'a>(&'a mut dyn FnMut(u64));

impl Observer for Steps<'_> {
    fn start(&mut self, _run: &RunInfo) -> bert_core::Result<()> {
        Ok(())
    }

    fn event(&mut self, event: &Event) -> bert_core::Result<()> {
        if event.split == Split::Train {
            (self.0)(event.step);
        }
        Ok(())
    }

    fn finish(&mut self) -> bert_core::Result<()> {
        Ok(())
    }
}

/// A run of the curves' updates, with a checkpoint every third step.
struct Session<'a> {
    dir: &'a Path,
    device: &'a Device,
    log_every: u64,
    evaluate_every: u64,
    schedule: Schedule,
    spoil: &'a dyn Fn(&mut [Update<PreTrainingBatch>]),
    at_step: &'a mut dyn FnMut(u64),
    evaluate: &'a mut dyn FnMut(&Device),
}

impl Session<'_> {
    /// Goes on with the run, or begins it.
    fn run(self) -> Result<u64, Error> {
        let data = |first| {
            let mut data = updates(first, loss_epsilon(RECIPE));
            (self.spoil)(&mut data);
            data
        };
        let mut observer = Steps(self.at_step);
        let context = RunContext {
            options: TrainerOptions {
                log_every: self.log_every,
                evaluate_every: self.evaluate_every,
                checkpoint_every: 3,
                ..TrainerOptions::default()
            },
            keep: 2,
            resume: true,
            ..RunContext::new(self.device.clone(), self.dir, &mut observer)
        };
        let summary = common::session(RECIPE, self.schedule, context, data, |_, _| {
            (self.evaluate)(self.device);
            Some(1.0)
        })?;
        Ok(summary.step)
    }
}

fn session<'a>(
    dir: &'a Path,
    device: &'a Device,
    at_step: &'a mut dyn FnMut(u64),
    evaluate: &'a mut dyn FnMut(&Device),
) -> Session<'a> {
    Session {
        dir,
        device,
        log_every: 1,
        evaluate_every: 0,
        schedule: schedule(RECIPE),
        spoil: &|_| (),
        at_step,
        evaluate,
    }
}

/// The run in `dir` without anything that goes wrong.
fn sound(dir: &Path, device: &Device) {
    let step = session(dir, device, &mut |_| (), &mut |_| ()).run();
    assert_eq!(step.unwrap(), UPDATES as u64);
}

/// The names of the checkpoints in `dir`, all of whose numbers are finite.
fn checkpoints(dir: &Path) -> Vec<String> {
    let store = CheckpointStore::open(dir, 2).unwrap();
    let paths = store.list().unwrap().into_iter().map(|(_, path)| path);
    paths
        .map(|path| {
            for file in ["model.safetensors", "optimizer.safetensors"] {
                let bytes = std::fs::read(path.join(file)).unwrap();
                for (name, tensor) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
                    let mut values = tensor.data().as_chunks().0.iter();
                    let finite = values.all(|bytes| f32::from_le_bytes(*bytes).is_finite());
                    assert!(finite, "{name} in {}", path.display());
                }
            }
            path.file_name().unwrap().to_str().unwrap().to_owned()
        })
        .collect()
}

fn weights(dir: &Path) -> Vec<u8> {
    let store = CheckpointStore::open(dir, 2).unwrap();
    let path = store.latest().unwrap().unwrap();
    std::fs::read(path.join("model.safetensors")).unwrap()
}

/// The run in `dir`, resumed, ends as one in which nothing failed.
fn assert_resumes(label: &str, dir: &Path, device: &Device) {
    fault::forget();
    sound(dir, device);
    let whole = tempfile::tempdir().unwrap();
    sound(whole.path(), device);
    assert!(weights(dir) == weights(whole.path()), "{label}");
}

/// A service on a device's thread, for the sake of the thread.
struct Guest;

impl DeviceService for Guest {
    fn init(_device: DeviceId) -> Self {
        Self
    }

    fn utilities(&self) -> ServerUtilitiesHandle {
        std::sync::Arc::new(())
    }
}

/// The devices that compute on threads of their own in this process, or one of ours where none does.
fn device_threads() -> Vec<DeviceId> {
    let mut found = Vec::new();
    // Elsewhere than on Linux, ours alone.
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten() {
        let name = std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default();
        let mut parts = name.trim().split('-');
        if parts.next() == Some("DSD")
            && let (Some(Ok(kind)), Some(Ok(index))) =
                (parts.next().map(str::parse), parts.next().map(str::parse))
        {
            found.push(DeviceId::new(kind, index));
        }
    }
    if found.is_empty() {
        found.push(DeviceId::new(999, 0));
    }
    found
}

#[test]
fn a_panic_on_a_devices_thread_ends_training() {
    let _alone = alone();
    for (label, device) in test_devices() {
        let dir = tempfile::tempdir().unwrap();
        let mut kill = |step| {
            if step == 7 {
                for id in device_threads() {
                    let handle = DeviceHandle::<Guest>::new(id);
                    // Nobody waits for it, as nobody waits for a kernel.
                    handle.submit(|_| {
                        panic!("injected on {}", std::thread::current().name().unwrap())
                    });
                    handle.submit_blocking(|_| ()).unwrap();
                }
            }
        };
        let error = session(dir.path(), &device, &mut kill, &mut |_| ())
            .run()
            .unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, Error::Core(CoreError::DeviceFailed { .. })),
            "{label}: {text}"
        );
        for part in [
            "training step 7",
            "injected on DSD-",
            "step-00000006",
            "--resume",
        ] {
            assert!(text.contains(part), "{label}: {part} in {text}");
        }
        assert_eq!(
            checkpoints(dir.path()),
            ["step-00000003", "step-00000006"],
            "{label}"
        );
        assert_resumes(&label, dir.path(), &device);
    }
}

#[test]
fn a_panic_that_its_caller_survives_is_no_fault() {
    let _alone = alone();
    let handle = DeviceHandle::<Guest>::new(DeviceId::new(998, 0));
    // As the autotuner runs its candidates.
    assert!(
        handle
            .exclusive(|| -> () { panic!("a candidate failed") })
            .is_err()
    );
    assert!(
        handle
            .submit_blocking(|_| -> () { panic!("a probe failed") })
            .is_err()
    );
    assert_eq!(fault::first(), None);
    // And as one who does not survive it does.
    let fault = fault::catching(|| {
        let _operation = fault::during("a read");
        handle
            .submit_blocking(|_| -> () { panic!("the queue is gone") })
            .unwrap_or_resume()
    });
    let fault = fault.unwrap_err();
    assert_eq!(
        (fault.operation.as_str(), fault.cause.as_str()),
        ("a read", "the queue is gone")
    );
    fault::forget();
}

#[test]
fn memory_that_runs_out_ends_training() {
    let _alone = alone();
    for (label, device) in test_devices() {
        let is_gpu = label.starts_with("wgpu") || label.starts_with("vulkan");
        let dir = tempfile::tempdir().unwrap();
        let mut evaluate = |device: &Device| {
            if is_gpu {
                // 4 GiB in one buffer, which no driver grants.
                let much = Tensor::<1>::zeros([1 << 30], device) + 1.0;
                assert!(much.into_data().iter::<f32>().all(|value| value == 1.0));
            } else {
                // As LibTorch has it; Rust ends a process that asks for too much.
                panic!(
                    "called `Result::unwrap()` on an `Err` value: Torch(\"DefaultCPUAllocator: can't allocate memory: you \
                     tried to allocate 1 TB\")"
                );
            }
        };
        let mut ignore = |_| ();
        let mut session = session(dir.path(), &device, &mut ignore, &mut evaluate);
        session.evaluate_every = 8;
        let error = session.run().unwrap_err();
        let text = error.to_string();
        for part in [
            "the evaluation after step 8",
            "step-00000006",
            "--accumulate",
            "--resume",
        ] {
            assert!(text.contains(part), "{label}: {part} in {text}");
        }
        assert_eq!(
            checkpoints(dir.path()),
            ["step-00000003", "step-00000006"],
            "{label}"
        );
        assert_resumes(&label, dir.path(), &device);
    }
}

#[test]
fn a_loss_that_is_not_finite_ends_training_before_a_checkpoint() {
    let _alone = alone();
    for (label, device) in test_devices() {
        let dir = tempfile::tempdir().unwrap();
        let spoil = |updates: &mut [Update<PreTrainingBatch>]| {
            updates[6].micro_batches[0].predictions = f64::NAN;
        };
        let mut ignore = |_| ();
        let mut evaluate = |_: &Device| ();
        let mut session = session(dir.path(), &device, &mut ignore, &mut evaluate);
        // Step 7 has the NaN, and nobody looks before the checkpoint of step 9.
        session.log_every = 100;
        session.spoil = &spoil;
        let error = session.run().unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, Error::Core(CoreError::Diverged { step: 9, .. })),
            "{label}: {text}"
        );
        for part in [
            "the loss (NaN)",
            "learning rate",
            "step-00000006",
            "--resume",
        ] {
            assert!(text.contains(part), "{label}: {part} in {text}");
        }
        assert_eq!(
            checkpoints(dir.path()),
            ["step-00000003", "step-00000006"],
            "{label}"
        );
        assert_resumes(&label, dir.path(), &device);
    }
}

#[test]
fn weights_that_overflow_are_not_saved() {
    let _alone = alone();
    for (label, device) in test_devices() {
        let dir = tempfile::tempdir().unwrap();
        let mut ignore = |_| ();
        let mut evaluate = |_: &Device| {
            panic!("evaluated what is not finite");
        };
        let mut session = session(dir.path(), &device, &mut ignore, &mut evaluate);
        // The first loss is as it should be, and after the first update nothing is.
        session.schedule = RECIPE.schedule(1e39, 0, UPDATES as u64);
        session.evaluate_every = 1;
        let error = session.run().unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, Error::Core(CoreError::Diverged { step: 1, .. })),
            "{label}: {text}"
        );
        assert!(text.contains("the weight `"), "{label}: {text}");
        assert!(text.contains("no checkpoint yet"), "{label}: {text}");
        assert!(checkpoints(dir.path()).is_empty(), "{label}");
    }
}
