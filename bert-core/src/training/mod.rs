//! Trainer of pretraining and fine-tuning: optimizer presets, schedules, the loop over batches, its state on disk and
//! the record of its course.

mod batches;
mod dashboard;
mod event;
mod finite;
mod gradients;
mod interval;
mod log;
mod model;
mod optimizer;
mod precision;
mod progress;
mod quantity;
mod recipe;
mod replicas;
mod report;
mod schedule;
mod stop;
mod store;
mod trainer;

pub use batches::{MicroBatch, Prefetch, Update};
pub use dashboard::{Dashboard, DashboardMode, dashboard_is_open, follow, restore_terminal};
pub use event::{Event, Observer, Observers, RunInfo, Split};
pub use gradients::ParameterGradients;
pub use log::MetricsLog;
pub use model::{Sums, TrainableModel};
pub use optimizer::{Optimizer, ParameterRule, ParameterRules, default_rule};
pub use precision::{LossScale, rounded};
pub use progress::PlainProgress;
pub use recipe::{Algorithm, OptimizerConfig, Recipe};
pub use replicas::training_devices;
pub use report::{Section, SectionBody, chart, curves_svg, document, write_report};
pub use schedule::{Decay, Schedule};
pub use stop::StopFlag;
pub use store::{Best, CheckpointStore, TrainerState, read_optimizer, read_state};
pub use trainer::{Asked, Ending, Evaluate, Trainer, TrainerOptions};
