//! The panels of a run: which numbers are drawn together, and how.

use std::collections::HashMap;

use crate::report::{Chart, Look, Scale, Series, extremes, smoothed};
use crate::training::metric_format;
use crate::training::observe::{Event, Split, number};

/// Stretches of the thinned training curve.
const BUCKETS: usize = 450;

/// Marks of an evaluation curve at most.
const MARKS: usize = 150;

/// Panels for numbers that only the task knows, at most.
const OTHERS: usize = 12;

/// Share of the steps before the first event up to which the axis begins at 0.
const FROM_THE_BEGINNING: f64 = 0.2;

/// Quantities that the loop itself measures, with a panel each at the end, unit and scale.
const OF_THE_LOOP: [(&str, &str, Scale); 5] = [
    ("learning_rate", "", Scale::FromZero),
    ("gradient_norm", "global, before clipping", Scale::Auto),
    ("tokens_per_second", "tokens/s", Scale::FromZero),
    ("padding", "% of the tokens", Scale::FromZero),
    ("data_wait", "% of the time", Scale::FromZero),
];

/// All values of one name.
struct Curve<'a> {
    name: &'a str,
    training: Vec<(f64, f64)>,
    evaluation: Vec<(f64, f64)>,
}

/// The panels of a run, the loss first; none without events.
pub(super) fn panels(events: &[Event]) -> Vec<Chart> {
    let curves = curves(events);
    let is_of_the_loop = |name: &str| OF_THE_LOOP.iter().any(|(known, ..)| *known == name);
    let is_part = |name: &str| name.ends_with("_loss");
    let is_accuracy = |name: &str| name == "accuracy" || name.ends_with("_accuracy");
    let together = |choose: &dyn Fn(&str) -> bool| -> Vec<&Curve<'_>> {
        curves.iter().filter(|curve| choose(curve.name)).collect()
    };

    let mut panels = Vec::new();
    panels.extend(panel(
        "Loss",
        "",
        Scale::Auto,
        &together(&|name| name == "loss"),
    ));
    panels.extend(panel(
        "Parts of the loss",
        "",
        Scale::Auto,
        &together(&is_part),
    ));
    panels.extend(panel(
        "Accuracy",
        "",
        Scale::Linear,
        &together(&is_accuracy),
    ));
    let others = curves.iter().filter(|Curve { name, .. }| {
        !(*name == "loss" || is_part(name) || is_accuracy(name) || is_of_the_loop(name))
    });
    for curve in others.take(OTHERS) {
        panels.extend(panel(
            &metric_format::title(curve.name),
            "",
            Scale::Auto,
            &[curve],
        ));
    }
    for (name, unit, scale) in OF_THE_LOOP {
        let title = metric_format::title(name);
        panels.extend(panel(
            &title,
            unit,
            scale,
            &together(&|other| other == name),
        ));
    }
    panels
}

/// Points by name, in the order in which the names appear.
fn curves(events: &[Event]) -> Vec<Curve<'_>> {
    let mut indices = HashMap::new();
    let mut curves: Vec<Curve<'_>> = Vec::new();
    for event in events {
        for (name, value) in &event.values {
            let Some(value) = number(value) else {
                continue;
            };
            let value = if name == "data_wait" || name == "padding" {
                value * 100.0
            } else {
                value
            };
            let index = *indices.entry(name.as_str()).or_insert_with(|| {
                curves.push(Curve {
                    name,
                    training: Vec::new(),
                    evaluation: Vec::new(),
                });
                curves.len() - 1
            });
            let points = match event.split {
                Split::Train => &mut curves[index].training,
                Split::Evaluation => &mut curves[index].evaluation,
            };
            points.push((event.step as f64, value));
        }
    }
    curves
}

/// The curves on one pair of axes; `None` without any.
fn panel(title: &str, unit: &str, scale: Scale, curves: &[&Curve<'_>]) -> Option<Chart> {
    if curves.is_empty() {
        return None;
    }
    let mut series = Vec::new();
    for (index, curve) in curves.iter().enumerate() {
        // The heading says the rest.
        let (prefix, _) = curve.name.rsplit_once('_').unwrap_or_default();
        let name = |split: &str| match prefix {
            prefix if curves.len() > 1 && !prefix.is_empty() => {
                format!("{} {split}", metric_format::short(prefix))
            }
            _ => split.to_owned(),
        };
        let noisy = curve.name != "learning_rate";
        let line = smoothed(&curve.training).filter(|_| noisy);
        let mut add = |name, points: Vec<_>, look, colour| {
            if !points.is_empty() {
                series.push(Series {
                    name,
                    points,
                    look,
                    colour,
                });
            }
        };
        let colour = 2 * index;
        let raw = extremes(&curve.training, BUCKETS);
        match line {
            Some(line) => {
                add(String::new(), raw, Look::Faint, colour);
                add(name("training"), line, Look::Line, colour);
            }
            None => add(name("training"), raw, Look::Line, colour),
        }
        add(
            name("evaluation"),
            extremes(&curve.evaluation, MARKS),
            Look::Marks,
            colour + 1,
        );
    }
    let steps = series.iter().flat_map(|series| &series.points);
    let steps = steps.map(|(step, _)| *step);
    let (first, last) = steps.fold((f64::INFINITY, 0.0), |(first, last), step| {
        (step.min(first), step.max(last))
    });
    // A run that was followed from its beginning begins at 0, though the first line is written later.
    let from_zero = first < FROM_THE_BEGINNING * last;
    Some(Chart {
        title: title.to_owned(),
        x_label: "step".to_owned(),
        unit: unit.to_owned(),
        x_scale: if from_zero {
            Scale::FromZero
        } else {
            Scale::Linear
        },
        y_scale: scale,
        series,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(split: Split, step: u64, values: Value) -> Event {
        let Value::Object(values) = values else {
            panic!("an object");
        };
        Event {
            split,
            step,
            elapsed_s: 1.0,
            values,
        }
    }

    #[test]
    fn what_belongs_together_shares_a_panel() {
        let events = [
            event(
                Split::Train,
                10,
                json!({
                    "loss": 8.0, "learning_rate": 1e-4, "gradient_norm": 1.0, "tokens_per_second": 10.0,
                    "data_wait": 0.25, "mlm_loss": 7.0, "mlm_accuracy": 0.1, "nsp_loss": 1.0, "nsp_accuracy": 0.5,
                    "note": "not a number"
                }),
            ),
            event(Split::Evaluation, 10, json!({"loss": 7.5, "f1": 0.5})),
        ];
        let panels = panels(&events);
        let titles: Vec<_> = panels.iter().map(|panel| panel.title.as_str()).collect();
        assert_eq!(
            titles,
            [
                "Loss",
                "Parts of the loss",
                "Accuracy",
                "F1",
                "Learning rate",
                "Gradient norm",
                "Tokens per second",
                "Waiting for data"
            ]
        );
        let names = |panel: &Chart| -> Vec<String> {
            panel
                .series
                .iter()
                .map(|series| series.name.clone())
                .collect()
        };
        assert_eq!(names(&panels[0]), ["training", "evaluation"]);
        assert_eq!(names(&panels[2]), ["MLM training", "NSP training"]);
        assert_eq!(panels[7].series[0].points, [(10.0, 25.0)], "in percent");
    }

    #[test]
    fn many_points_are_thinned_and_smoothed() {
        let events: Vec<_> = (1..=5000)
            .map(|step| event(Split::Train, step, json!({"loss": 10.0 / step as f64})))
            .collect();
        let panels = panels(&events);
        let [raw, smooth] = panels[0].series.as_slice() else {
            panic!("{:?}", panels[0].series.len());
        };
        assert_eq!((raw.look, smooth.look), (Look::Faint, Look::Line));
        assert!(raw.points.len() <= 2 * BUCKETS && smooth.points.len() <= 240);
    }

    #[test]
    fn no_events_no_panels() {
        assert!(panels(&[]).is_empty());
    }
}
