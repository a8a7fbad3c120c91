//! The report of a run as a page of HTML.

use std::fmt::Write;

use serde_json::Value;

use super::chart::{STYLE, escape};
use super::curves::panels;
use super::{HALF, WIDE};
use crate::training::quantity;
use crate::training::{Event, RunInfo, Split};

const PAGE_STYLE: &str = include_str!("page.css");

/// Evaluations listed one by one; of more, the latest.
const LISTED: usize = 200;

/// A part of the report that the task adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its heading, as text.
    pub title: String,
    /// What it holds.
    pub body: SectionBody,
}

/// What a [`Section`] holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionBody {
    /// Rows of text under headings; the first column names the row.
    Table {
        /// One heading per column.
        header: Vec<String>,
        /// The cells, row by row.
        rows: Vec<Vec<String>>,
    },
    /// Markup that goes into the page as it is: [`escape`] what is text in it.
    Html(String),
}

/// The page.
pub(super) fn page(run: &RunInfo, events: &[Event], extra: &[Section]) -> String {
    let title = escape(&run.title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{PAGE_STYLE}{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    summary(&mut page, run, events);
    let panels = panels(events);
    if !panels.is_empty() {
        page.push_str("<h2>Curves</h2>\n<div class=\"panels\">\n");
        for (index, chart) in panels.iter().enumerate() {
            let (width, height) = if index == 0 { WIDE } else { HALF };
            let _ = writeln!(page, "<figure>{}</figure>", chart.svg(width, height));
        }
        page.push_str("</div>\n");
    }
    evaluations(&mut page, events);
    for section in extra {
        let _ = writeln!(page, "<h2>{}</h2>", escape(&section.title));
        match &section.body {
            SectionBody::Table { header, rows } => table(&mut page, header, rows),
            SectionBody::Html(html) => {
                page.push_str(html);
                page.push('\n');
            }
        }
    }
    if !run.settings.is_empty() {
        let mut rows = Vec::new();
        for (name, value) in &run.settings {
            flatten(name, value, &mut rows);
        }
        page.push_str("<h2>Settings</h2>\n");
        table(
            &mut page,
            &["Setting".to_owned(), "Value".to_owned()],
            &rows,
        );
    }
    let _ = writeln!(
        page,
        "<footer>Written by bert {}.</footer>\n</body>\n</html>",
        env!("CARGO_PKG_VERSION")
    );
    page
}

/// How far the run came, in a few large numbers.
fn summary(page: &mut String, run: &RunInfo, events: &[Event]) {
    let last = |split| {
        let mut from_the_end = events.iter().rev();
        from_the_end.find(|event| event.split == split)
    };
    let Some(latest) = events.iter().max_by_key(|event| event.step) else {
        page.push_str("<p class=\"soft\">Nothing was measured yet.</p>\n");
        return;
    };
    let mut tiles = vec![(
        "Steps".to_owned(),
        quantity::count(latest.step),
        format!("of {}", quantity::count(run.total_steps)),
    )];
    let seconds = events.iter().map(|event| event.elapsed_s);
    let seconds = seconds.fold(0.0, f64::max);
    tiles.push((
        "Time".to_owned(),
        quantity::duration(seconds),
        String::new(),
    ));
    if let Some(loss) = last(Split::Train).and_then(|event| event.value("loss")) {
        tiles.push((
            "Training loss".to_owned(),
            quantity::text("loss", loss),
            "last".to_owned(),
        ));
    }
    if let Some((value, step)) = best(events, "loss") {
        tiles.push((
            "Evaluation loss".to_owned(),
            quantity::text("loss", value),
            format!("best, at step {}", quantity::count(step)),
        ));
    }
    if let Some(speed) = median(events, "tokens_per_second") {
        tiles.push((
            "Tokens per second".to_owned(),
            quantity::text("tokens_per_second", speed),
            "median".to_owned(),
        ));
    }
    page.push_str("<dl class=\"tiles\">\n");
    for (name, value, note) in tiles {
        let _ = writeln!(
            page,
            "<div><dt>{}</dt><dd>{} <small>{}</small></dd></div>",
            escape(&name),
            escape(&value),
            escape(&note)
        );
    }
    page.push_str("</dl>\n");
}

/// The last value and the best of every number that was evaluated, and all of them to unfold.
fn evaluations(page: &mut String, events: &[Event]) {
    let evaluations: Vec<_> = events
        .iter()
        .filter(|event| event.split == Split::Evaluation)
        .collect();
    let mut names: Vec<&String> = Vec::new();
    for (name, value) in evaluations.iter().flat_map(|event| &event.values) {
        if quantity::number(value).is_some() && !names.contains(&name) {
            names.push(name);
        }
    }
    let Some(last) = evaluations.last().filter(|_| !names.is_empty()) else {
        return;
    };
    page.push_str("<h2>Evaluation</h2>\n");
    let cell = |event: &Event, name: &str| match event.values.get(name) {
        Some(value) => {
            quantity::number(value).map_or_else(String::new, |value| quantity::text(name, value))
        }
        None => String::new(),
    };
    let rows: Vec<_> = names
        .iter()
        .map(|name| {
            let (best, step) = match best(events, name) {
                Some((value, step)) => (quantity::text(name, value), quantity::count(step)),
                None => Default::default(),
            };
            vec![quantity::title(name), cell(last, name), best, step]
        })
        .collect();
    let header = [
        "Metric".to_owned(),
        format!("Last (step {})", quantity::count(last.step)),
        "Best".to_owned(),
        "at step".to_owned(),
    ];
    table(page, &header, &rows);
    if evaluations.len() > 1 {
        let shown = &evaluations[evaluations.len().saturating_sub(LISTED)..];
        let heading = match shown.len() == evaluations.len() {
            true => format!("All {} evaluations", shown.len()),
            false => format!(
                "The last {} of {} evaluations",
                shown.len(),
                evaluations.len()
            ),
        };
        let _ = writeln!(page, "<details><summary>{heading}</summary>");
        let header: Vec<_> = std::iter::once("Step".to_owned())
            .chain(names.iter().map(|name| quantity::title(name)))
            .collect();
        let rows: Vec<_> = shown
            .iter()
            .map(|event| {
                std::iter::once(quantity::count(event.step))
                    .chain(names.iter().map(|name| cell(event, name)))
                    .collect()
            })
            .collect();
        table(page, &header, &rows);
        page.push_str("</details>\n");
    }
}

/// Columns whose cells all begin with a digit are set to the right.
fn table(page: &mut String, header: &[String], rows: &[Vec<String>]) {
    let is_number = |cell: &str| {
        cell.trim_start_matches(['-', '+'])
            .starts_with(|letter: char| letter.is_ascii_digit())
    };
    let class = |column: usize| {
        let mut cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .filter(|cell| !cell.is_empty())
            .peekable();
        let numbers = cells.peek().is_some() && cells.all(|cell| is_number(cell));
        if numbers { " class=\"number\"" } else { "" }
    };
    page.push_str("<div class=\"scroll\"><table><thead><tr>");
    for (column, cell) in header.iter().enumerate() {
        let class = if column == 0 { "" } else { class(column) };
        let _ = write!(page, "<th scope=\"col\"{class}>{}</th>", escape(cell));
    }
    page.push_str("</tr></thead><tbody>\n");
    let classes: Vec<_> = (0..header.len()).map(class).collect();
    for row in rows {
        page.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let class = classes.get(column).unwrap_or(&"");
            let _ = match column {
                0 => write!(page, "<th scope=\"row\">{}</th>", escape(cell)),
                _ => write!(page, "<td{class}>{}</td>", escape(cell)),
            };
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
}

/// Settings inside settings get the path to them as their name.
fn flatten(name: &str, value: &Value, rows: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (field, value) in fields {
                flatten(&format!("{name}.{field}"), value, rows);
            }
        }
        Value::String(text) => rows.push(vec![name.to_owned(), text.clone()]),
        Value::Null => rows.push(vec![name.to_owned(), "none".to_owned()]),
        value => rows.push(vec![name.to_owned(), value.to_string()]),
    }
}

/// The best evaluation of a number and the first step that had it.
fn best(events: &[Event], name: &str) -> Option<(f64, u64)> {
    let sign = if quantity::smaller_is_better(name) {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(split: Split, step: u64, values: Value) -> Event {
        let Value::Object(values) = values else {
            panic!("an object");
        };
        Event {
            split,
            step,
            elapsed_s: step as f64,
            values,
        }
    }

    fn run(settings: Value) -> RunInfo {
        let Value::Object(settings) = settings else {
            panic!("an object");
        };
        RunInfo {
            title: "fine-tuning: <classify>".to_owned(),
            total_steps: 2000,
            first_step: 0,
            settings,
        }
    }

    /// Cells of the rows that begin with `name`, without markup.
    fn row(page: &str, name: &str) -> Vec<String> {
        let begin = format!("<tr><th scope=\"row\">{name}</th>");
        let (_, rest) = page
            .split_once(&begin)
            .unwrap_or_else(|| panic!("{name} in {page}"));
        let (cells, _) = rest.split_once("</tr>").unwrap();
        let cells = cells.split("<td").skip(1);
        cells
            .map(|cell| cell.split(['>', '<']).nth(1).unwrap().to_owned())
            .collect()
    }

    #[test]
    fn the_last_and_the_best_evaluation_are_told_apart() {
        let events = [
            event(
                Split::Train,
                500,
                json!({"loss": 1.0, "tokens_per_second": 900.0}),
            ),
            event(
                Split::Evaluation,
                500,
                json!({"loss": 0.75, "accuracy": 0.5}),
            ),
            event(
                Split::Evaluation,
                1000,
                json!({"loss": 0.5, "accuracy": 0.75}),
            ),
            event(
                Split::Evaluation,
                1500,
                json!({"loss": 0.625, "accuracy": 0.75}),
            ),
        ];
        let page = page(&run(json!({})), &events, &[]);
        assert_eq!(row(&page, "Loss"), ["0.6250", "0.5000", "1,000"]);
        assert_eq!(
            row(&page, "Accuracy"),
            ["0.7500", "0.7500", "1,000"],
            "the first best"
        );
        assert!(
            page.contains("<dd>1,500 <small>of 2,000</small></dd>"),
            "{page}"
        );
        assert!(page.contains("<summary>All 3 evaluations</summary>"));
        assert!(!page.contains("<h2>Settings</h2>"));
    }

    #[test]
    fn settings_and_sections_are_text() {
        let settings = json!({
            "corpus": "<script>alert(1)</script>", "masking": {"whole_word": true, "p": 0.15}, "resume": null
        });
        let extra = [
            Section {
                title: "R&D".to_owned(),
                body: SectionBody::Table {
                    header: vec!["Text".to_owned(), "Guess".to_owned(), "p".to_owned()],
                    rows: vec![vec![
                        "<b>".to_owned(),
                        "sky & sea".to_owned(),
                        "0.5".to_owned(),
                    ]],
                },
            },
            Section {
                title: "Confusion".to_owned(),
                body: SectionBody::Html("<p>as <em>is</em></p>".to_owned()),
            },
        ];
        let page = page(&run(settings), &[], &extra);
        assert!(
            !page.contains("<script") && !page.contains("<classify>"),
            "{page}"
        );
        assert_eq!(row(&page, "masking.whole_word"), ["true"]);
        assert_eq!(row(&page, "resume"), ["none"]);
        assert_eq!(row(&page, "&lt;b&gt;"), ["sky &amp; sea", "0.5"]);
        assert!(
            page.contains("<th scope=\"col\" class=\"number\">p</th>"),
            "{page}"
        );
        assert!(page.contains("<h2>R&amp;D</h2>") && page.contains("<p>as <em>is</em></p>"));
        assert!(page.contains("Nothing was measured yet."));
    }

    #[test]
    fn the_page_needs_nothing_from_outside() {
        let events = [event(Split::Train, 1, json!({"loss": 1.0}))];
        let page = page(&run(json!({"a": 1})), &events, &[]);
        for outside in ["src=", "href=", "@import", "url(", "<script", "<link"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("prefers-color-scheme: dark"));
        assert!(page.contains("aria-label=\"Line chart: Loss by step."));
    }

    #[test]
    fn a_run_gone_wrong_is_reported_too() {
        let events = [
            event(
                Split::Train,
                1,
                json!({"loss": null, "gradient_norm": null}),
            ),
            event(Split::Evaluation, 1, json!({"loss": null})),
        ];
        let page = page(&run(json!({})), &events, &[]);
        assert!(page.contains("nothing to draw"));
        assert_eq!(row(&page, "Loss"), ["not finite", "", ""]);
    }

    #[test]
    fn a_long_run_makes_a_small_page() {
        let mut events: Vec<_> = (1..=30_000)
            .map(|step| {
                let noise = (step * 7919 % 1000) as f64;
                event(
                    Split::Train,
                    step,
                    json!({"loss": noise, "mlm_accuracy": noise, "gradient_norm": noise, "data_wait": noise}),
                )
            })
            .collect();
        events.extend(
            (1..=5000).map(|step| event(Split::Evaluation, step, json!({"loss": 1.0, "f1": 0.5}))),
        );
        let size = page(&run(json!({})), &events, &[]).len();
        assert!(size < 300_000, "{size}");
    }
}
