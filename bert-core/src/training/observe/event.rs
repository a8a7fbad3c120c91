//! Events of a run and their observers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Result;

/// Description of a run before its first step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunInfo {
    /// Title, for headings: "pretraining", "fine-tuning: classify".
    pub title: String,
    /// Optimizer steps that the whole run takes.
    pub total_steps: u64,
    /// Steps taken already when the run was taken up again; 0 for a fresh one.
    pub first_step: u64,
    /// The settings, for the report: preset, recipe, batch size and so on.
    pub settings: Map<String, Value>,
}

/// Which data a measurement comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Batches that were trained on.
    Train,
    /// Held-out data.
    Evaluation,
}

/// One line of a run's metrics: named numbers at a step.
///
/// As JSON: `{"split":"train","step":10,"elapsed_s":3.2,"loss":7.1,"learning_rate":1e-4,…}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Data that the numbers are of.
    pub split: Split,
    /// Optimizer steps taken when they were measured.
    pub step: u64,
    /// Seconds of training up to now, all sessions of a resumed run together.
    pub elapsed_s: f64,
    /// The numbers by name, in the order to show them. Training: `loss`, `learning_rate`, `gradient_norm`,
    /// `tokens_per_second`, `padding` (share of the tokens, 0 to 1), `data_wait` (share of the time, 0 to 1), and what the
    /// task adds (`mlm_loss`, `mlm_accuracy`, `nsp_loss`, …).
    #[serde(flatten)]
    pub values: Map<String, Value>,
}

impl Event {
    /// The number called `name`, if the event has it.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.values.get(name)?.as_f64()
    }

    /// The numbers with their names, in the order of the event; see [`number`].
    pub(in crate::training) fn numbers(&self) -> impl Iterator<Item = (&str, f64)> {
        let values = self.values.iter();
        values.filter_map(|(name, value)| Some((name.as_str(), number(value)?)))
    }
}

/// The number in a field of an [`Event`]: NaN for `null`, which is how JSON writes what is not finite.
pub(in crate::training) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Null => Some(f64::NAN),
        other => other.as_f64(),
    }
}

/// Receives the events of a run: a log file, a progress line, a dashboard.
pub trait Observer {
    /// The run begins, or is resumed.
    ///
    /// # Errors
    /// Errors of the observer.
    fn start(&mut self, run: &RunInfo) -> Result<()>;

    /// Something was measured.
    ///
    /// # Errors
    /// Errors of the observer.
    fn event(&mut self, event: &Event) -> Result<()>;

    /// A sentence for people: where a checkpoint was written, why the run stops.
    fn message(&mut self, _text: &str) {}

    /// The user asked through this observer that the run stop.
    fn wants_to_stop(&self) -> bool {
        false
    }

    /// The run is over, or interrupted.
    ///
    /// # Errors
    /// Errors of the observer.
    fn finish(&mut self) -> Result<()>;
}

impl Observer for Box<dyn Observer> {
    fn start(&mut self, run: &RunInfo) -> Result<()> {
        (**self).start(run)
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        (**self).event(event)
    }

    fn message(&mut self, text: &str) {
        (**self).message(text);
    }

    fn wants_to_stop(&self) -> bool {
        (**self).wants_to_stop()
    }

    fn finish(&mut self) -> Result<()> {
        (**self).finish()
    }
}

/// Several observers as one, in order.
#[derive(Default)]
pub struct Observers(Vec<Box<dyn Observer>>);

impl Observers {
    /// Adds one.
    pub fn push(&mut self, observer: impl Observer + 'static) {
        self.0.push(Box::new(observer));
    }
}

impl Observer for Observers {
    fn start(&mut self, run: &RunInfo) -> Result<()> {
        self.0
            .iter_mut()
            .try_for_each(|observer| observer.start(run))
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        self.0
            .iter_mut()
            .try_for_each(|observer| observer.event(event))
    }

    fn message(&mut self, text: &str) {
        self.0
            .iter_mut()
            .for_each(|observer| observer.message(text));
    }

    fn wants_to_stop(&self) -> bool {
        self.0.iter().any(|observer| observer.wants_to_stop())
    }

    fn finish(&mut self) -> Result<()> {
        // One that fails must not keep another from giving the terminal back.
        let results: Vec<_> = self
            .0
            .iter_mut()
            .map(|observer| observer.finish())
            .collect();
        results.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_is_a_number_that_is_not_finite() {
        assert!(number(&json!(f64::INFINITY)).unwrap().is_nan());
        assert_eq!(number(&json!(3)), Some(3.0));
        assert_eq!(number(&json!("text")), None);
    }
}
