//! The report of a run as a page of HTML.

use maud::{PreEscaped, html};
use serde_json::Value;

use super::curves::panels;
use super::summary::{evaluations, summary};
use super::{HALF, WIDE};
use crate::report::{Section, SectionBody, document};
use crate::training::observe::{Event, RunInfo};

/// The page.
pub(super) fn page(run: &RunInfo, events: &[Event], extra: &[Section]) -> String {
    let panels = panels(events);
    let lead = html! {
        (summary(run, events))
        @if !panels.is_empty() {
            h2 { "Curves" }
            div.panels {
                @for (index, chart) in panels.iter().enumerate() {
                    @let (width, height) = if index == 0 { WIDE } else { HALF };
                    figure { (PreEscaped(chart.svg(width, height))) }
                }
            }
        }
        (evaluations(events))
    };
    let mut sections = extra.to_vec();
    if !run.settings.is_empty() {
        let mut rows = Vec::new();
        for (name, value) in &run.settings {
            flatten(name, value, &mut rows);
        }
        sections.push(Section {
            title: "Settings".to_owned(),
            body: SectionBody::Table {
                header: vec!["Setting".to_owned(), "Value".to_owned()],
                rows,
            },
        });
    }
    document(&run.title, &lead, &sections)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::training::observe::Split;

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
