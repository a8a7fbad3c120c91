//! Numbers gathered between two lines of metrics, without waiting for the device.

use std::time::{Duration, Instant};

use burn::tensor::Tensor;
use serde_json::{Map, Value, json};

use super::model::{Sums, TrainableModel};
use super::precision::LossScale;

/// Numbers gathered since the last line of metrics.
pub(super) struct Interval {
    pub(super) start: Instant,
    pub(super) tokens: u64,
    pub(super) padded_tokens: u64,
    pub(super) waited: Duration,
    pub(super) learning_rate: f64,
    updates: u64,
    skipped: u64,
    sums: Option<Tensor<1>>,
    norms: Option<Tensor<1>>,
}

/// An interval's metrics.
pub(super) struct Metrics {
    pub(super) values: Map<String, Value>,
    pub(super) seconds: f64,
    /// The loss or gradient norm that ends the run, with its value.
    pub(super) not_finite: Option<String>,
}

impl Interval {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            tokens: 0,
            padded_tokens: 0,
            waited: Duration::ZERO,
            learning_rate: 0.0,
            updates: 0,
            skipped: 0,
            sums: None,
            norms: None,
        }
    }

    /// Counts an update, with the norm of its gradients, or without if the loss scale skipped it.
    pub(super) fn add(&mut self, Sums(sums): Sums, norm: Option<Tensor<1>>, skipped: bool) {
        self.updates += 1;
        self.skipped += u64::from(skipped);
        self.sums = plus(self.sums.take(), sums);
        if let Some(norm) = norm {
            self.norms = plus(self.norms.take(), norm);
        }
    }

    /// The metrics; `None` without an update. Waits for the device.
    pub(super) fn finish<M: TrainableModel>(self, scale: Option<LossScale>) -> Option<Metrics> {
        let sums: Vec<f64> = self.sums?.to_data().iter::<f64>().collect();
        let count = self.updates;
        let norm = self
            .norms
            .map(|norms| norms.into_scalar::<f64>() / count as f64);
        let seconds = self.start.elapsed().as_secs_f64().max(1e-9);

        let named = M::values(&sums, count);
        let (_, loss) = named[0];
        let mut values: Map<String, Value> = Map::new();
        for (name, value) in named {
            values.insert(name.to_owned(), json!(value));
        }
        values.insert("learning_rate".to_owned(), json!(self.learning_rate));
        if let Some(norm) = norm {
            values.insert("gradient_norm".to_owned(), json!(norm));
        }
        if let Some(scale) = scale {
            values.insert("loss_scale".to_owned(), json!(scale.scale));
        }
        values.insert(
            "tokens_per_second".to_owned(),
            json!(self.tokens as f64 / seconds),
        );
        let padding = 1.0 - self.tokens as f64 / self.padded_tokens.max(1) as f64;
        values.insert("padding".to_owned(), json!(padding));
        values.insert(
            "data_wait".to_owned(),
            json!(self.waited.as_secs_f64() / seconds),
        );
        // In f16 an overflow is an event like another: its step was skipped and the scale lowered.
        let not_finite = if !loss.is_finite() && self.skipped == 0 {
            Some(format!("the loss ({loss})"))
        } else {
            norm.filter(|norm| !norm.is_finite())
                .map(|norm| format!("the gradient norm ({norm})"))
        };
        Some(Metrics {
            values,
            seconds,
            not_finite,
        })
    }
}

fn plus(total: Option<Tensor<1>>, addend: Tensor<1>) -> Option<Tensor<1>> {
    Some(match total {
        Some(total) => total + addend,
        None => addend,
    })
}
