//! A record as a page of HTML with charts, in one file without scripts and without anything from outside.

use bert_core::report::{Chart, Look, Scale, Section, SectionBody, Series, document};
use maud::{Markup, PreEscaped, html};

use crate::markdown::circumstances_of;
use crate::record::{Record, Row};
use crate::tables::{Table, contestants, cost_models, measurements, ratios, rows_of, short};

/// Size of a chart that fills half the page, and of one that fills it, in pixels.
const HALF: (f64, f64) = (532.0, 280.0);
const WIDE: f64 = 1080.0;

/// Height of a bar with the space around it.
const BAR: f64 = 26.0;

/// Samples of more contestants would be a tangle.
const MOST_LINES: usize = 6;

/// The page.
pub fn page(record: &Record) -> String {
    let mode = record.rows.first().map(|row| row.case.mode.to_string());
    let title = format!("BERT measured: {}", mode.unwrap_or("nothing".to_owned()));
    let lines = std::iter::once(record.command.clone()).chain(circumstances_of(record));
    let lead = html! {
        ul.soft {
            @for line in lines { li { (line) } }
        }
    };
    let mut sections = vec![Section {
        title: "Charts".to_owned(),
        body: SectionBody::Html(charts(record).into_string()),
    }];
    let tables = std::iter::once(measurements(record))
        .chain(ratios(record))
        .chain(cost_models(record));
    sections.extend(tables.map(section));
    if !record.left_out.is_empty() {
        let rows = record.left_out.iter().map(|case| vec![case.clone()]);
        sections.push(section(Table {
            title: "Left out".to_owned(),
            header: vec!["case".to_owned()],
            rows: rows.collect(),
        }));
    }
    document(&title, &lead, &sections)
}

fn section(table: Table) -> Section {
    Section {
        title: table.title,
        body: SectionBody::Table {
            header: table.header,
            rows: table.rows,
        },
    }
}

fn charts(record: &Record) -> Markup {
    let (width, height) = HALF;
    let panels = throughput(record).into_iter();
    let panels = panels.chain(times_by_cost(record)).chain(samples(record));
    html! {
        div.panels {
            figure { (bars(record)) }
            @for chart in panels {
                figure { (PreEscaped(chart.svg(width, height))) }
            }
        }
    }
}

/// Tokens per second of every row, padding included, as bars.
fn bars(record: &Record) -> Markup {
    const NAMES: f64 = 300.0;
    const VALUES: f64 = 90.0;
    let rate = |row: &Row| row.padded_tokens_per_second();
    let rows: Vec<(&Row, f64)> = record
        .rows
        .iter()
        .filter_map(|row| Some((row, rate(row)?)))
        .collect();
    let largest = rows.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let height = 40.0 + BAR * rows.len().max(1) as f64;
    let labels = contestants(record);
    let colour = |row: &Row| labels.iter().position(|label| *label == row.contestant);
    html! {
        svg xmlns="http://www.w3.org/2000/svg" class="picture" viewBox=(format!("0 0 {WIDE} {height}"))
            width=(WIDE) height=(height) role="img" aria-label="Tokens per second, padding included" {
            g.chart {
                text class="title" x="8" y="17" {
                    "Throughput " tspan class="unit" { "tokens/s, padding included" }
                }
                @if rows.is_empty() {
                    text class="small" x="8" y="48" { "nothing was measured" }
                }
                @for (index, (row, rate)) in rows.iter().enumerate() {
                    @let y = 46.0 + BAR * index as f64;
                    @let length = (WIDE - NAMES - VALUES) * rate / largest;
                    @let baseline = format!("{:.1}", y + 4.0);
                    text class="small" x=(format!("{:.1}", NAMES - 8.0)) y=(baseline) text-anchor="end" {
                        (name(row))
                    }
                    path class=(format!("c{}", colour(row).unwrap_or(0) % 6)) stroke-width="15"
                        d=(format!("M{NAMES} {y:.1}h{length:.1}")) {}
                    text class="small" x=(format!("{:.1}", NAMES + length + 6.0)) y=(baseline) { (short(*rate)) }
                }
            }
        }
    }
}

/// Contestant and case of a row.
fn name(row: &Row) -> String {
    let case = &row.case;
    format!(
        "{} · {} {} x {}",
        row.contestant, case.model, case.batch, case.seq
    )
}

/// For each model: tokens per second by batch size and by sequence length, where there are several.
fn throughput(record: &Record) -> Vec<Chart> {
    let mut models: Vec<&str> = record
        .rows
        .iter()
        .map(|row| row.case.model.as_str())
        .collect();
    models.dedup();
    let mut charts = Vec::new();
    for model in models {
        let rows: Vec<&Row> = record
            .rows
            .iter()
            .filter(|row| row.case.model == model)
            .collect();
        let batch: fn(&Row) -> usize = |row| row.case.batch;
        let seq: fn(&Row) -> usize = |row| row.case.seq;
        for (x, fixed, x_label, fixed_label) in [
            (batch, seq, "batch size", "tokens a row"),
            (seq, batch, "tokens a row", "rows"),
        ] {
            // Along the value of the other axis at which most was measured.
            let measured = |value: usize| {
                let here = |row: &&&Row| fixed(row) == value && row.measured().is_some();
                rows.iter().filter(here).count()
            };
            let Some(at) = rows
                .iter()
                .map(|row| fixed(row))
                .max_by_key(|&at| (measured(at), at))
            else {
                continue;
            };
            let along: Vec<&&Row> = rows.iter().filter(|row| fixed(row) == at).collect();
            if along.iter().all(|row| x(row) == x(along[0])) {
                continue;
            }
            let points = |label: &str| {
                let of_one = along.iter().filter(|row| row.contestant == label);
                of_one
                    .filter_map(|row| Some((x(row) as f64, row.padded_tokens_per_second()?)))
                    .collect()
            };
            charts.push(Chart {
                title: format!("{model}, {at} {fixed_label}"),
                x_label: x_label.to_owned(),
                unit: "tokens/s".to_owned(),
                x_scale: Scale::Log,
                y_scale: Scale::FromZero,
                series: series(record, Look::Marks, points),
            });
        }
    }
    charts
}

/// Time over counted operations, with the line of each cost model, where there are enough cases.
fn times_by_cost(record: &Record) -> Option<Chart> {
    if cost_models(record).is_empty() {
        return None;
    }
    let points = |label: &str| {
        let mut points: Vec<(f64, f64)> = rows_of(record, label)
            .filter_map(|row| Some((row.work.flops / 1e9, row.measured()?.seconds.median * 1e3)))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    Some(Chart {
        title: "Time by counted operations".to_owned(),
        x_label: "GFLOP of an iteration".to_owned(),
        unit: "ms".to_owned(),
        x_scale: Scale::Log,
        y_scale: Scale::Log,
        series: series(record, Look::Marks, points),
    })
}

/// The samples in the order in which they were taken, where there is one case.
fn samples(record: &Record) -> Option<Chart> {
    let first = record.rows.first()?;
    let one_case = record.rows.iter().all(|row| row.case == first.case);
    if !one_case || contestants(record).len() > MOST_LINES {
        return None;
    }
    let points = |label: &str| {
        let measured = rows_of(record, label).filter_map(Row::measured);
        let samples = measured.flat_map(|measured| &measured.reply.timing.samples);
        let number = |(index, seconds): (usize, &f64)| ((index + 1) as f64, seconds * 1e3);
        samples.enumerate().map(number).collect()
    };
    Some(Chart {
        title: "Samples".to_owned(),
        x_label: "iteration".to_owned(),
        unit: "ms".to_owned(),
        y_scale: Scale::FromZero,
        series: series(record, Look::Line, points),
        ..Chart::default()
    })
}

fn series(record: &Record, look: Look, points: impl Fn(&str) -> Vec<(f64, f64)>) -> Vec<Series> {
    let labels = contestants(record).into_iter().enumerate();
    labels
        .map(|(colour, label)| Series {
            name: label.to_owned(),
            points: points(label),
            look,
            colour,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RowOutcome;
    use crate::record::tests::{record, row};

    #[test]
    fn the_page_needs_nothing_from_outside_and_escapes_text() {
        let mut failed = row("wgpu", 1, &[]);
        failed.outcome = RowOutcome::Failed {
            reason: "<no> adapter & no driver".to_owned(),
        };
        let mut record = record(vec![row("flex", 1, &[0.5]), failed]);
        record.command = "bert bench --model '<x>'".to_owned();
        let page = page(&record);
        assert!(page.contains("&lt;no&gt; adapter &amp; no driver"));
        assert!(!page.contains("<x>") && !page.contains("<script") && !page.contains("NaN"));
        for (at, _) in page.match_indices("http") {
            assert!(page[at..].starts_with("http://www.w3.org/2000/svg"), "{at}");
        }
        assert!(page.contains("Samples"), "one case");
    }

    #[test]
    fn several_batch_sizes_are_a_chart_and_many_cases_a_cost_model() {
        let rows = [1, 2, 4, 8].map(|batch| row("flex", batch, &[0.1 * batch as f64]));
        let page = page(&record(rows.into()));
        assert!(page.contains("tiny, 13 tokens a row"));
        assert!(!page.contains("tiny, 8 rows"), "one length only");
        assert!(page.contains("Time by counted operations"));
        assert!(!page.contains(">Samples"));
    }

    #[test]
    fn nothing_measured_is_a_page_too() {
        assert!(page(&record(vec![])).contains("nothing was measured"));
    }
}
