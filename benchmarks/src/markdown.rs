//! A record, or a comparison of two, as Markdown.

use std::fmt::Write;

use crate::diff::{Change, Verdict, changes, circumstances};
use crate::machine::threads;
use crate::record::Record;
use crate::tables::{Table, cost_models, measurements, ratios, short};

/// The tables of a record under what was measured, on what and with what.
pub fn report(record: &Record) -> String {
    let mut text = format!("`{}`\n\n", record.command);
    for line in circumstances_of(record) {
        let _ = writeln!(text, "- {line}");
    }
    let mut section = |heading: bool, table: &Table| {
        if heading {
            let _ = write!(text, "\n{}:\n", table.title);
        }
        let _ = write!(text, "\n{}", table.markdown());
    };
    section(false, &measurements(record));
    if let Some(table) = ratios(record) {
        section(true, &table);
    }
    for table in cost_models(record) {
        section(true, &table);
    }
    if !record.left_out.is_empty() {
        let _ = write!(text, "\nLeft out: {}.\n", record.left_out.join("; "));
    }
    text
}

/// Machine, build, hardware and versions, a line each.
pub(crate) fn circumstances_of(record: &Record) -> Vec<String> {
    let machine = &record.machine;
    let mut lines = vec![machine.describe(), record.build.describe()];
    if let Some(row) = record.rows.first() {
        lines.push(format!(
            "{} in {} on {}",
            row.case.mode,
            row.case.dtype,
            threads(row.case.threads)
        ));
    }
    if machine.is_busy() {
        lines.push(format!(
            "others kept {:.0} % of the machine busy: these times say little",
            machine.busy * 100.0
        ));
    }
    lines.extend(contestants_of(record));
    lines
}

/// Hardware, driver and versions of each contestant that measured, a line each.
pub(crate) fn contestants_of(record: &Record) -> Vec<String> {
    let mut lines = Vec::new();
    for row in &record.rows {
        let Some(measured) = row.measured() else {
            continue;
        };
        let mut parts = Vec::new();
        if let Some(adapter) = &measured.reply.adapter {
            let about = [&adapter.kind, &adapter.api, &adapter.driver];
            let about: Vec<&str> = about.into_iter().map(String::as_str).collect();
            let about: Vec<_> = about.into_iter().filter(|part| !part.is_empty()).collect();
            parts.push(format!("{} ({})", adapter.name, about.join(", ")));
        }
        let software = measured.reply.software.iter();
        parts.extend(software.map(|(name, version)| format!("{name} {version}")));
        let line = format!("{}: {}", row.contestant, parts.join(", "));
        if !parts.is_empty() && !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// Changes from one record to the next, as Markdown.
pub fn difference(before: &Record, after: &Record) -> String {
    let changes = changes(before, after);
    let mut text = String::new();
    for note in circumstances(before, after) {
        let _ = writeln!(text, "- {note}");
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let header = [
        "contestant",
        "case",
        "before ms",
        "after ms",
        "time",
        "verdict",
    ];
    let table = Table {
        title: String::new(),
        header: header.map(str::to_owned).into(),
        rows: changes.iter().map(cells).collect(),
    };
    text += &table.markdown();
    let count = |verdict| changes.iter().filter(|c| c.verdict == verdict).count();
    let _ = write!(
        text,
        "\n{} faster, {} slower, {} the same within the noise, of {}.\n",
        count(Verdict::Faster),
        count(Verdict::Slower),
        count(Verdict::Same),
        changes.len()
    );
    text
}

fn cells(change: &Change) -> Vec<String> {
    let milliseconds = |seconds: Option<f64>| seconds.map_or_else(String::new, |s| short(s * 1e3));
    let case = &change.case;
    let ratio = match (change.before, change.after) {
        (Some(before), Some(after)) if before > 0.0 => {
            format!("{:+.1} %", (after / before - 1.0) * 100.0)
        }
        _ => String::new(),
    };
    vec![
        change.contestant.clone(),
        format!(
            "{} {} {} {} x {}, {}",
            case.model,
            case.mode,
            case.dtype,
            case.batch,
            case.seq,
            threads(case.threads)
        ),
        milliseconds(change.before),
        milliseconds(change.after),
        ratio,
        change.verdict.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{record, row};

    #[test]
    fn a_report_names_command_machine_and_build() {
        let mut record = record(vec![row("flex", 8, &[0.5])]);
        record.left_out = vec!["base 64 x 512: counts 6200 GFLOP".to_owned()];
        let text = report(&record);
        assert!(text.starts_with("`bert bench`\n\n- "), "{text}");
        assert!(text.contains("Burn 0.22.1") && text.contains("forward in f32 on 2 threads"));
        assert!(text.contains("Left out: base 64 x 512"), "{text}");
        assert!(!text.contains("as a multiple of"), "there are no peers");
    }

    #[test]
    fn a_difference_is_a_percentage_of_time() {
        let before = record(vec![row("flex", 8, &[0.5])]);
        let after = record(vec![row("flex", 8, &[0.4])]);
        let text = difference(&before, &after);
        assert!(text.contains("| 500 | 400 | -20.0 % | faster |"), "{text}");
        assert!(text.ends_with("1 faster, 0 slower, 0 the same within the noise, of 1.\n"));
    }
}
