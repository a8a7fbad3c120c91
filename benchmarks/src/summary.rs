//! Several records of one machine as one table: modes and float types below each other.

use std::fmt::Write;

use crate::contract::MemoryPoint;
use crate::markdown::contestants_of;
use crate::record::{Record, Row};
use crate::tables::{Table, cell, drop_empty_columns, mebibytes, percent, shape, short};

/// Iteration from which on memory is expected to be flat: kernels are tuned and buffers pooled by then.
const SETTLED: usize = 100;

/// The table under the machine, the builds and the hardware, and below it the memory over the iterations.
pub fn summary(records: &[Record]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut add = |line: String| {
        if !lines.contains(&line) {
            lines.push(line);
        }
    };
    for record in records {
        add(record.machine.describe());
        add(record.build.describe());
        contestants_of(record).into_iter().for_each(&mut add);
    }
    let mut text = String::new();
    for line in lines {
        let _ = writeln!(text, "- {line}");
    }
    let _ = write!(text, "\n{}", table(records).markdown());
    let memory: Vec<String> = records
        .iter()
        .flat_map(|record| &record.rows)
        .filter_map(over_time)
        .collect();
    if !memory.is_empty() {
        text.push('\n');
    }
    for line in memory {
        let _ = writeln!(text, "- {line}");
    }
    text
}

/// A row per contestant and case, its speed as a multiple of each peer's.
fn table(records: &[Record]) -> Table {
    let mut peers: Vec<&str> = Vec::new();
    for row in records.iter().flat_map(|record| &record.rows) {
        if row.is_peer && row.measured().is_some() && !peers.contains(&row.contestant.as_str()) {
            peers.push(&row.contestant);
        }
    }
    let ratios: Vec<String> = peers.iter().map(|peer| format!("× {peer}")).collect();
    let header: Vec<&str> = ["mode", "type", "contestant", "model", "batch x seq"]
        .into_iter()
        .chain(["median ms", "spread", "sequences/s", "tokens/s", "of peak"])
        .chain(ratios.iter().map(String::as_str))
        .chain(["first ms", "host MiB", "device MiB", "samples", "remark"])
        .collect();
    let mut table = Table::new("Measurements", &header);
    for record in records {
        for row in &record.rows {
            table.rows.push(cells(row, record, &peers));
        }
    }
    drop_empty_columns(&mut table);
    table
}

fn cells(row: &Row, record: &Record, peers: &[&str]) -> Vec<String> {
    let measured = row.measured();
    let reply = measured.map(|measured| &measured.reply);
    let case = &row.case;
    let mut cells = vec![
        case.mode.to_string(),
        case.dtype.clone(),
        row.contestant.clone(),
        case.model.clone(),
        shape(row),
        cell(measured.map(|measured| measured.seconds.median * 1e3)),
        percent(measured.map(|measured| measured.seconds.spread())),
        cell(row.sequences_per_second()),
        cell(row.tokens_per_second()),
        percent(row.share_of_peak()),
    ];
    cells.extend(peers.iter().map(|peer| match row.is_peer {
        true => String::new(),
        false => times_as_fast(row, record, peer).map_or_else(String::new, |x| format!("{x:.2}")),
    }));
    let mut remark: Vec<String> = row.trouble().into_iter().collect();
    if reply.is_some_and(|reply| !reply.timing.settled) {
        remark.push("did not settle".to_owned());
    }
    cells.extend([
        cell(reply.map(|reply| reply.timing.first * 1e3)),
        mebibytes(reply.and_then(|reply| reply.host_memory)),
        mebibytes(reply.and_then(|reply| reply.device_memory)),
        measured.map_or_else(String::new, |measured| measured.seconds.count.to_string()),
        remark.join("; "),
    ]);
    cells
}

/// The median time of `peer` on the case of `row`, as a multiple of that of `row`.
fn times_as_fast(row: &Row, record: &Record, peer: &str) -> Option<f64> {
    let mut others = record.rows.iter();
    let theirs = others.find(|other| other.contestant == peer && other.case == row.case)?;
    Some(theirs.measured()?.seconds.median / row.measured()?.seconds.median)
}

/// "train in f32 on vulkan:0: device memory 812 MiB after 100 iterations, 812 MiB after 300 (+0.0 %); process …".
///
/// None for a run that is too short to have settled.
fn over_time(row: &Row) -> Option<String> {
    let points = &row.measured()?.reply.memory;
    let last = points.last()?;
    let settled = points.iter().find(|point| point.iteration >= SETTLED)?;
    if last.iteration < 2 * settled.iteration {
        return None;
    }
    let between = |name: &str, bytes: fn(&MemoryPoint) -> Option<u64>| {
        let (before, after) = (bytes(settled)? as f64, bytes(last)? as f64);
        let mebibytes = |bytes: f64| short(bytes / f64::from(1 << 20));
        Some(format!(
            "{name} {} MiB after {} iterations, {} MiB after {} ({:+.1} %)",
            mebibytes(before),
            settled.iteration,
            mebibytes(after),
            last.iteration,
            (after / before.max(1.0) - 1.0) * 100.0
        ))
    };
    let device = between("device memory", |point| point.device);
    let host = between("memory of the process", |point| point.host);
    let parts: Vec<String> = device.into_iter().chain(host).collect();
    let case = &row.case;
    (!parts.is_empty()).then(|| {
        format!(
            "{} in {} on {}, {} {}: {}",
            case.mode,
            case.dtype,
            row.contestant,
            case.model,
            shape(row),
            parts.join("; ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RowOutcome;
    use crate::record::tests::{record, row};

    fn with_memory(contestant: &str, points: &[(usize, u64)]) -> Row {
        let mut row = row(contestant, 8, &[0.5]);
        if let RowOutcome::Ok(measured) = &mut row.outcome {
            let point = |&(iteration, mebibytes): &(usize, u64)| MemoryPoint {
                iteration,
                host: None,
                device: Some(mebibytes << 20),
            };
            measured.reply.memory = points.iter().map(point).collect();
        }
        row
    }

    #[test]
    fn records_stand_below_each_other_beside_their_peers() {
        let mut peer = row("transformers", 8, &[0.25]);
        peer.is_peer = true;
        let mut failed = row("vulkan:0", 8, &[]);
        failed.outcome = RowOutcome::Failed {
            reason: "no bf16".to_owned(),
        };
        failed.case.dtype = "bf16".to_owned();
        let records = [
            record(vec![row("vulkan:0", 8, &[0.5]), peer]),
            record(vec![failed]),
        ];
        let text = summary(&records);
        assert_eq!(text.matches("Burn 0.22.1").count(), 1, "{text}");
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert!(lines[0].contains("| × transformers |"), "{text}");
        let ours = lines[2];
        assert!(
            ours.starts_with("| forward | f32 | vulkan:0 | tiny |") && ours.contains("| 0.50 |")
        );
        assert!(lines[3].contains("transformers") && !lines[3].contains("1.00"));
        assert!(
            lines[4].contains("bf16") && lines[4].ends_with("failed: no bf16 |"),
            "{text}"
        );
        assert_eq!(lines.len(), 5, "{text}");
    }

    #[test]
    fn memory_is_shown_from_a_hundred_iterations_on_when_there_are_twice_as_many() {
        let long = with_memory("cuda:0", &[(90, 800), (100, 812), (200, 820), (300, 1218)]);
        let short = with_memory("cuda:1", &[(100, 812), (190, 1218)]);
        let text = summary(&[record(vec![long, short])]);
        let expected = "device memory 812 MiB after 100 iterations, 1218 MiB after 300 (+50.0 %)";
        assert!(text.contains(expected), "{text}");
        assert!(
            text.contains("forward in f32 on cuda:0, tiny 8 x 13:"),
            "{text}"
        );
        assert!(!text.contains("on cuda:1"), "{text}");
    }
}
