//! Trainer of pretraining and fine-tuning: optimizer presets, schedules, the loop over batches, its state on disk and
//! the record of its course.

mod batches;
mod finite;
mod gradients;
mod interval;
mod metric_format;
mod model;
mod observe;
mod optimizer;
mod precision;
mod recipe;
mod replicas;
mod report;
mod run;
mod schedule;
mod store;
mod trainer;

pub use batches::{Prefetch, Update};
pub use gradients::ParameterGradients;
pub use model::{MicroBatch, Sums, TrainableModel};
pub use observe::{
    DashboardMode, Event, MetricsLog, Observer, Observers, PlainProgress, RunInfo, Split,
    dashboard_is_open, follow, restore_terminal,
};
pub use optimizer::{Optimizer, ParameterRule, ParameterRules, default_rule};
pub use precision::{LossScale, PassPrecision};
pub use recipe::{Algorithm, OptimizerConfig, Recipe};
pub use replicas::training_devices;
pub use report::{curves_svg, write_report};
pub use run::{Evaluation, RunContext, Session, Summary};
pub use schedule::{Decay, Schedule};
pub use store::{Best, CheckpointStore, TrainerState, read_optimizer, read_state};
pub use trainer::{Ending, Evaluate, Trainer, TrainerOptions};
