//! Burn's terminal renderer, kept from panicking, hanging and swallowing Ctrl-C.

use std::collections::HashMap;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use burn::train::Interrupter;
use burn::train::logger::TrainingProgressLogger;
use burn::train::metric::{
    MetricAttributes, MetricDefinition, MetricEntry, MetricId, NumericAttributes, NumericEntry,
    SerializedEntry,
};
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use burn::train::renderer::{MetricState, MetricsRenderer, MetricsRendererTraining};

use super::keys;
use crate::device::fault::is_device_thread;
use crate::device::tuning;
use crate::training::metric_format;
use crate::training::observe::event::{Event, RunInfo, Split};

/// Set while there is a screen.
pub(super) static OPEN: AtomicBool = AtomicBool::new(false);

/// End of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By us, or because it could not be drawn.
    Closed,
    /// By the user's wish to kill the run.
    Killed,
}

/// The renderer on its thread.
///
/// Its habits need care. Its thread panics when the user asks to kill the run, and from then on so does every
/// call, its drop included: calls go through `catch_unwind`, and nothing is printed since its own panic hook keeps
/// silent then. That hook stays behind, so the one before is put back. And raw mode turns Ctrl-C into a mere key that
/// the renderer ignores: `keys` turns it into a signal again.
pub(super) struct Screen {
    renderer: TuiMetricsRendererWrapper,
    /// Held by the renderer's thread as long as it lives.
    canary: Weak<String>,
    hook: Arc<Hook>,
    metrics: HashMap<String, MetricId>,
    total_steps: usize,
    first_step: u64,
    /// Title of the run, which begins the heading.
    run: String,
}

type Hook = dyn Fn(&PanicHookInfo<'_>) + Send + Sync;

impl Screen {
    /// Takes the terminal.
    pub(super) fn open(run: &RunInfo, interrupter: Interrupter) -> Self {
        let hook: Arc<Hook> = Arc::from(take_hook());
        let before = Arc::clone(&hook);
        set_hook(Box::new(move |info| before(info)));

        keys::remember();
        OPEN.store(true, Ordering::Release);
        tuning::set_silent(true);
        let name = Arc::new("Steps".to_owned());
        let steps = run.total_steps.saturating_sub(run.first_step);
        let mut screen = Self {
            renderer: TuiMetricsRendererWrapper::new(interrupter, None),
            canary: Arc::downgrade(&name),
            hook,
            metrics: HashMap::new(),
            total_steps: usize::try_from(steps).unwrap_or(usize::MAX).max(1),
            first_step: run.first_step,
            run: run.title.clone(),
        };
        // What fails here shows at the first event.
        screen.attempt(|screen| {
            screen.renderer.register_metric(MetricDefinition {
                metric_id: MetricId::new(Arc::clone(&name)),
                name,
                description: None,
                attributes: MetricAttributes::None,
            });
            screen.title("");
            screen.renderer.start_split("train", screen.total_steps);
        });
        keys::await_raw_mode();
        screen.spare_device_threads();
        screen
    }

    /// Keeps the screen when a device's thread panics: the renderer's hook leaves it at any panic, and the autotuner survives
    /// those of its probes.
    fn spare_device_threads(&self) {
        // The renderer's thread puts its hook in place right after raw mode, which is all that can be seen from here.
        std::thread::sleep(Duration::from_millis(50));
        let leaving = take_hook();
        let before = Arc::clone(&self.hook);
        set_hook(Box::new(move |info| match is_device_thread() {
            true => before(info),
            false => leaving(info),
        }));
    }

    /// Does something on the screen; `false` when the renderer is no more.
    pub(super) fn attempt(&mut self, action: impl FnOnce(&mut Self)) -> bool {
        if self.is_gone() {
            return false;
        }
        keys::allow_interrupt();
        catch_unwind(AssertUnwindSafe(|| action(self))).is_ok()
    }

    /// Shows the run's title and the latest message in the heading of the status box.
    pub(super) fn title(&mut self, message: &str) {
        let text = match message {
            "" => self.run.clone(),
            message => format!("{}: {message}", self.run),
        };
        // One epoch, since the renderer's progress is epochs times items, and a run of steps has no more to say.
        self.renderer.start(1, 1, None, Some(&text));
    }

    /// Shows the numbers of an event and how far the run has come.
    pub(super) fn show(&mut self, event: &Event, position: &str) {
        // First, since the pane shows what comes first and cuts off the rest.
        if event.split == Split::Train {
            let id = MetricId::new(Arc::new("Steps".to_owned()));
            let text = SerializedEntry::new(position.to_owned(), event.step.to_string());
            self.update(
                Split::Train,
                MetricState::Generic(MetricEntry::new(id, text)),
            );
            // Counted from where this session began: the renderer's estimate of the time left takes all steps it
            // sees to have been made since it was opened.
            let done = event.step.saturating_sub(self.first_step);
            let done = usize::try_from(done).unwrap_or(usize::MAX);
            self.renderer.update_split(done.clamp(1, self.total_steps));
        }
        for (name, value) in event.numbers() {
            let entry = MetricEntry::new(
                self.metric(name),
                SerializedEntry::new(metric_format::text(name, value), value.to_string()),
            );
            // Without a number the axis moves on and nothing is drawn.
            let point = value.is_finite().then_some(NumericEntry::Value(value));
            self.update(event.split, MetricState::Numeric(entry, point));
        }
    }

    fn update(&mut self, split: Split, state: MetricState) {
        match split {
            Split::Train => self.renderer.update_train(state),
            Split::Evaluation => self.renderer.update_valid(state),
        }
    }

    /// The metric called `name`, registered when it is seen for the first time.
    fn metric(&mut self, name: &str) -> MetricId {
        if let Some(id) = self.metrics.get(name) {
            return id.clone();
        }
        let title = Arc::new(metric_format::title(name));
        let id = MetricId::new(Arc::clone(&title));
        self.renderer.register_metric(MetricDefinition {
            metric_id: id.clone(),
            name: title,
            description: None,
            attributes: MetricAttributes::Numeric(NumericAttributes {
                unit: None,
                higher_is_better: !metric_format::smaller_is_better(name),
            }),
        });
        self.metrics.insert(name.to_owned(), id.clone());
        id
    }

    /// Gives the terminal back.
    pub(super) fn close(self) -> End {
        if self.is_gone() {
            // The renderer's hook has left the screen when its thread died. Were it called again, for the panic of the
            // drop below, the cursor would jump to where it was before the run.
            set_hook(Box::new(|_| ()));
        }
        let Self {
            renderer,
            hook,
            canary,
            ..
        } = self;
        let end = match catch_unwind(AssertUnwindSafe(|| drop(renderer))) {
            Ok(()) => End::Closed,
            Err(_) => End::Killed,
        };
        if end == End::Killed {
            // The renderer's thread unwinds while this one goes on, and the process may end before it shows the cursor.
            await_end(&canary);
            let _ = io::stdout().write_all(b"\x1b[?25h");
            let _ = io::stdout().flush();
        }
        set_hook(Box::new(move |info| hook(info)));
        keys::forget();
        OPEN.store(false, Ordering::Release);
        tuning::set_silent(false);
        end
    }

    /// Lets the renderer's thread come to its end during a panic, whose hook has left the screen already.
    pub(super) fn abandon(self) {
        let Self {
            renderer, canary, ..
        } = self;
        // The thread leaves the screen a second time, which takes the cursor to where it was saved last: here, below
        // the message of the panic.
        let _ = io::stdout().write_all(b"\x1b7");
        let _ = io::stdout().flush();
        drop(renderer);
        await_end(&canary);
        keys::forget();
        OPEN.store(false, Ordering::Release);
        tuning::set_silent(false);
    }

    fn is_gone(&self) -> bool {
        self.canary.strong_count() == 0
    }
}

/// Waits for the end of the renderer's thread, a second at most.
fn await_end(canary: &Weak<String>) {
    let start = Instant::now();
    while canary.strong_count() > 0 && start.elapsed() < Duration::from_secs(1) {
        std::thread::sleep(Duration::from_millis(2));
    }
}
