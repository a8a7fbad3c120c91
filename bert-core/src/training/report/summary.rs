//! Summary of a run: a few large numbers and its evaluations.

use maud::{Markup, html};

use crate::report::table;
use crate::training::metric_format;
use crate::training::observe::{Event, RunInfo, Split, number};

/// Evaluations listed one by one; of more, the latest.
const LISTED: usize = 200;

/// Progress of the run, in a few large numbers.
pub(super) fn summary(run: &RunInfo, events: &[Event]) -> Markup {
    let last = |split| {
        let mut from_the_end = events.iter().rev();
        from_the_end.find(|event| event.split == split)
    };
    let Some(latest) = events.iter().max_by_key(|event| event.step) else {
        return html! { p.soft { "Nothing was measured yet." } };
    };
    let mut tiles = vec![(
        "Steps".to_owned(),
        metric_format::count(latest.step),
        format!("of {}", metric_format::count(run.total_steps)),
    )];
    let seconds = events.iter().map(|event| event.elapsed_s);
    let seconds = seconds.fold(0.0, f64::max);
    tiles.push((
        "Time".to_owned(),
        metric_format::duration(seconds),
        String::new(),
    ));
    if let Some(loss) = last(Split::Train).and_then(|event| event.value("loss")) {
        tiles.push((
            "Training loss".to_owned(),
            metric_format::text("loss", loss),
            "last".to_owned(),
        ));
    }
    if let Some((value, step)) = best(events, "loss") {
        tiles.push((
            "Evaluation loss".to_owned(),
            metric_format::text("loss", value),
            format!("best, at step {}", metric_format::count(step)),
        ));
    }
    if let Some(speed) = median(events, "tokens_per_second") {
        tiles.push((
            "Tokens per second".to_owned(),
            metric_format::text("tokens_per_second", speed),
            "median".to_owned(),
        ));
    }
    html! {
        dl.tiles {
            @for (name, value, note) in tiles {
                div {
                    dt { (name) }
                    dd { (value) " " small { (note) } }
                }
            }
        }
    }
}

/// The last value and the best of every number that was evaluated, and all of them to unfold.
pub(super) fn evaluations(events: &[Event]) -> Markup {
    let evaluations: Vec<_> = events
        .iter()
        .filter(|event| event.split == Split::Evaluation)
        .collect();
    let mut names: Vec<&String> = Vec::new();
    for (name, value) in evaluations.iter().flat_map(|event| &event.values) {
        if number(value).is_some() && !names.contains(&name) {
            names.push(name);
        }
    }
    let Some(last) = evaluations.last().filter(|_| !names.is_empty()) else {
        return Markup::default();
    };
    let cell = |event: &Event, name: &str| match event.values.get(name) {
        Some(value) => {
            number(value).map_or_else(String::new, |value| metric_format::text(name, value))
        }
        None => String::new(),
    };
    let rows: Vec<_> = names
        .iter()
        .map(|name| {
            let (best, step) = match best(events, name) {
                Some((value, step)) => {
                    (metric_format::text(name, value), metric_format::count(step))
                }
                None => Default::default(),
            };
            vec![metric_format::title(name), cell(last, name), best, step]
        })
        .collect();
    let header = [
        "Metric".to_owned(),
        format!("Last (step {})", metric_format::count(last.step)),
        "Best".to_owned(),
        "at step".to_owned(),
    ];
    let shown = &evaluations[evaluations.len().saturating_sub(LISTED)..];
    let heading = match shown.len() == evaluations.len() {
        true => format!("All {} evaluations", shown.len()),
        false => format!(
            "The last {} of {} evaluations",
            shown.len(),
            evaluations.len()
        ),
    };
    let all_header: Vec<_> = std::iter::once("Step".to_owned())
        .chain(names.iter().map(|name| metric_format::title(name)))
        .collect();
    let all_rows: Vec<_> = shown
        .iter()
        .map(|event| {
            std::iter::once(metric_format::count(event.step))
                .chain(names.iter().map(|name| cell(event, name)))
                .collect()
        })
        .collect();
    html! {
        h2 { "Evaluation" }
        (table(&header, &rows))
        @if evaluations.len() > 1 {
            details {
                summary { (heading) }
                (table(&all_header, &all_rows))
            }
        }
    }
}

/// The best evaluation of a number and the first step that had it.
fn best(events: &[Event], name: &str) -> Option<(f64, u64)> {
    let sign = if metric_format::smaller_is_better(name) {
        1.0
    } else {
        -1.0
    };
    events
        .iter()
        .filter(|event| event.split == Split::Evaluation)
        .filter_map(|event| Some((event.value(name)?, event.step)))
        .min_by(|a, b| (sign * a.0).total_cmp(&(sign * b.0)))
}

/// The value in the middle, over training.
fn median(events: &[Event], name: &str) -> Option<f64> {
    let mut values: Vec<_> = events
        .iter()
        .filter(|event| event.split == Split::Train)
        .filter_map(|event| event.value(name))
        .collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
