//! The tables of a record, as text in rows and columns, for Markdown and HTML alike.

use crate::record::{Record, Row};
use crate::scaling::CostModel;
use crate::stats::Summary;

/// Rows of text under headings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: &str, header: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            header: header.iter().map(|&heading| heading.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Renders the table as Markdown, with numbers to the right.
    pub(crate) fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let mut text = line(&self.header);
        let is_number = |column: usize| {
            let mut cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.any(|cell| cell.starts_with(|c: char| c.is_ascii_digit()))
        };
        let rule = |column| if is_number(column) { "---:" } else { "---" }.to_owned();
        let rules: Vec<String> = (0..self.header.len()).map(rule).collect();
        text += &line(&rules);
        for row in &self.rows {
            text += &line(row);
        }
        text
    }
}

/// Three digits that matter, without an exponent.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 99.5 => format!("{value:.0}"),
        size if size >= 9.95 => format!("{value:.1}"),
        size if size >= 0.995 => format!("{value:.2}"),
        size if size >= 0.01 => format!("{value:.3}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.1e}"),
    }
}

/// A value that may not be known.
pub(crate) fn cell(value: Option<f64>) -> String {
    value.map(short).unwrap_or_default()
}

pub(crate) fn percent(value: Option<f64>) -> String {
    value.map_or_else(String::new, |share| format!("{:.0} %", share * 100.0))
}

pub(crate) fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(String::new, |bytes| (bytes >> 20).to_string())
}

/// "8 x 128".
pub(crate) fn shape(row: &Row) -> String {
    format!("{} x {}", row.case.batch, row.case.seq)
}

/// Everything that was measured.
pub(crate) fn measurements(record: &Record) -> Table {
    let mut table = Table::new(
        "Measurements",
        &[
            "contestant",
            "model",
            "batch x seq",
            "remark",
            "median ms",
            "quartiles ms",
            "spread",
            "sequences/s",
            "tokens/s",
            "with padding",
            "GFLOP/s",
            "of peak",
            "host MiB",
            "device MiB",
            "first ms",
            "samples",
        ],
    );
    for row in &record.rows {
        let measured = row.measured();
        let milliseconds = |value: f64| short(value * 1e3);
        let reply = measured.map(|measured| &measured.reply);
        let mut remark: Vec<String> = row.trouble().into_iter().collect();
        if reply.is_some_and(|reply| !reply.timing.settled) {
            remark.push("did not settle".to_owned());
        }
        table.rows.push(vec![
            row.contestant.clone(),
            row.case.model.clone(),
            shape(row),
            remark.join("; "),
            measured.map_or_else(String::new, |m| milliseconds(m.seconds.median)),
            measured.map_or_else(String::new, |m| {
                let (low, high) = (m.seconds.lower_quartile, m.seconds.upper_quartile);
                format!("{} to {}", milliseconds(low), milliseconds(high))
            }),
            percent(measured.map(|measured| measured.seconds.spread())),
            cell(row.sequences_per_second()),
            cell(row.tokens_per_second()),
            cell(row.padded_tokens_per_second()),
            cell(row.flops_per_second().map(|rate| rate / 1e9)),
            percent(row.share_of_peak()),
            mebibytes(reply.and_then(|reply| reply.host_memory)),
            mebibytes(reply.and_then(|reply| reply.device_memory)),
            reply.map_or_else(String::new, |reply| milliseconds(reply.timing.first)),
            measured.map_or_else(String::new, |m| m.seconds.count.to_string()),
        ]);
    }
    drop_empty_columns(&mut table);
    table
}

/// Speed of each device as a multiple of each peer's, case by case; `None` without peers.
pub(crate) fn ratios(record: &Record) -> Option<Table> {
    let mut peers: Vec<&str> = Vec::new();
    for row in record.rows.iter().filter(|row| row.is_peer) {
        if !peers.contains(&row.contestant.as_str()) {
            peers.push(&row.contestant);
        }
    }
    if peers.is_empty() {
        return None;
    }
    let against: Vec<String> = peers.iter().map(|peer| format!("× {peer}")).collect();
    let header: Vec<&str> = ["device", "model", "batch x seq"]
        .into_iter()
        .chain(against.iter().map(String::as_str))
        .collect();
    let mut table = Table::new("Speed of the devices as a multiple of the peers'", &header);
    for row in record.rows.iter().filter(|row| !row.is_peer) {
        let Some(ours) = row.measured() else {
            continue;
        };
        let ratio = |peer: &&str| {
            let theirs = record
                .rows
                .iter()
                .find(|other| other.contestant == *peer && other.case == row.case)
                .and_then(Row::measured)?;
            // Of each round, as the machine was then.
            let rounds = ours.rounds.iter().zip(&theirs.rounds);
            let ratios: Vec<f64> = rounds.map(|(ours, theirs)| theirs / ours).collect();
            let all = Summary::of(&ratios);
            Some(match all.count {
                1 => format!("{:.2}", all.median),
                _ => format!("{:.2} ({:.2} to {:.2})", all.median, all.min, all.max),
            })
        };
        let cells = [row.contestant.clone(), row.case.model.clone(), shape(row)];
        let ratios = peers.iter().map(|peer| ratio(peer).unwrap_or_default());
        table.rows.push(cells.into_iter().chain(ratios).collect());
    }
    Some(table)
}

/// The labels of a record's contestants, in order.
pub(crate) fn contestants(record: &Record) -> Vec<&str> {
    let mut labels: Vec<&str> = Vec::new();
    for row in &record.rows {
        if !labels.contains(&row.contestant.as_str()) {
            labels.push(&row.contestant);
        }
    }
    labels
}

/// Rows of a contestant.
pub(crate) fn rows_of<'a>(record: &'a Record, label: &'a str) -> impl Iterator<Item = &'a Row> {
    record
        .rows
        .iter()
        .filter(move |row| row.contestant == label)
}

/// For each contestant with enough different cases: counted operations, and time by the cost model beside time measured.
pub(crate) fn cost_models(record: &Record) -> Vec<Table> {
    let model = |label| Some((label, CostModel::fit(rows_of(record, label))?));
    contestants(record)
        .into_iter()
        .filter_map(model)
        .map(|(label, fit)| {
            let mut table = Table::new(
                &format!(
                    "Cost model of {label}: {} ms + counted operations at {} GFLOP/s",
                    short(fit.overhead * 1e3),
                    short(fit.rate / 1e9)
                ),
                &[
                    "model",
                    "batch x seq",
                    "GFLOP",
                    "model ms",
                    "measured ms",
                    "measured / model",
                ],
            );
            for row in rows_of(record, label) {
                let Some(measured) = row.measured() else {
                    continue;
                };
                let (predicted, seconds) = (fit.seconds(row.work.flops), measured.seconds.median);
                table.rows.push(vec![
                    row.case.model.clone(),
                    shape(row),
                    short(row.work.flops / 1e9),
                    short(predicted * 1e3),
                    short(seconds * 1e3),
                    format!("{:.2}", seconds / predicted),
                ]);
            }
            table
        })
        .collect()
}

pub(crate) fn drop_empty_columns(table: &mut Table) {
    for column in (0..table.header.len()).rev() {
        if table.rows.iter().all(|row| row[column].is_empty()) {
            table.header.remove(column);
            for row in &mut table.rows {
                row.remove(column);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RowOutcome;
    use crate::record::tests::{record, row};

    #[test]
    fn rows_have_a_cell_for_every_heading_that_is_used() {
        let mut hung = row("ndarray", 8, &[]);
        hung.outcome = RowOutcome::Hung {
            reason: "not finished after 5 s | killed".to_owned(),
        };
        let table = measurements(&record(vec![row("flex", 8, &[0.5, 0.25, 1.0]), hung]));
        assert!(
            !table.header.contains(&"device MiB".to_owned()),
            "nothing is known"
        );
        assert!(table.rows.iter().all(|row| row.len() == table.header.len()));
        let text = table.markdown();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[2].starts_with("| flex | tiny | 8 x 13 |  | 500 | 375 to 750 | 75 % | 16.0 | 112 | 208 | 16.0 | 16 % | 300 | 2500 | 3 |"), "{text}");
        assert!(
            lines[3].contains("hung: not finished after 5 s \\| killed"),
            "{text}"
        );
    }

    #[test]
    fn ratios_are_of_speed_case_by_case() {
        let peer = |batch, seconds| Row {
            is_peer: true,
            ..row("candle", batch, &[seconds])
        };
        let rows = vec![
            row("flex", 8, &[0.5]),
            peer(8, 1.0),
            row("flex", 32, &[1.0]),
            peer(32, 0.5),
            row("flex", 64, &[1.0]),
        ];
        let mut record = record(rows);
        let table = ratios(&record).unwrap();
        let last: Vec<&str> = table.rows.iter().map(|row| row[3].as_str()).collect();
        assert_eq!(last, ["2.00", "0.50", ""]);
        // The machine was half as fast in the second round, which the ratio does not show.
        record.rows.truncate(2);
        record.rows[0].outcome.add(row("flex", 8, &[0.8]).outcome);
        record.rows[1].outcome.add(peer(8, 2.0).outcome);
        let table = ratios(&record).unwrap();
        assert_eq!(table.rows[0][3], "2.25 (2.00 to 2.50)");
        let alone = Record {
            rows: vec![row("flex", 8, &[0.5])],
            ..record
        };
        assert_eq!(ratios(&alone), None);
    }

    #[test]
    fn the_cost_model_stands_beside_the_measurement() {
        let rows = [1, 2, 4, 8].map(|batch| row("flex", batch, &[0.1 * batch as f64]));
        let tables = cost_models(&record(rows.into()));
        assert!(
            tables[0].title.ends_with("at 10.0 GFLOP/s"),
            "{}",
            tables[0].title
        );
        assert_eq!(tables[0].rows[2][2..], ["4.00", "400", "400", "1.00"]);
    }

    #[test]
    fn numbers_have_three_digits() {
        let texts = [12345.0, 123.4, 12.34, 1.234, 0.1234, 0.00123].map(short);
        assert_eq!(texts, ["12345", "123", "12.3", "1.23", "0.123", "1.2e-3"]);
        assert_eq!(short(0.0), "0");
    }
}
