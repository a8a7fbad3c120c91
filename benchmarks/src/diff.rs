//! Two records side by side: what changed, and what is only noise.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::record::{Case, Record, Row};

/// Changes of the median below this share are never called one: layout of memory and of code alone makes that much.
const LEAST: f64 = 0.02;

/// Change of a contestant's case from one record to the next.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Device label or peer.
    pub contestant: String,
    /// Measured case.
    pub case: Case,
    /// Median before, in seconds, where it was measured.
    pub before: Option<f64>,
    /// Median after.
    pub after: Option<f64>,
    /// Verdict on the change.
    pub verdict: Verdict,
}

/// Verdict on two measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Less time, beyond the noise of both.
    Faster,
    /// More time, beyond the noise of both.
    Slower,
    /// No difference that the noise would not explain.
    Same,
    /// Measured before, and not any more.
    Broken,
    /// Not measured before.
    Mended,
    /// In neither was there a measurement.
    Failing,
    /// Only the second record has it.
    Added,
    /// Only the first record has it.
    Gone,
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Faster => "faster",
            Self::Slower => "SLOWER",
            Self::Same => "same",
            Self::Broken => "BROKEN",
            Self::Mended => "mended",
            Self::Failing => "failing",
            Self::Added => "added",
            Self::Gone => "gone",
        })
    }
}

/// Compares every case of both records, in the order of the first; then what only the second has.
pub fn changes(before: &Record, after: &Record) -> Vec<Change> {
    let is_same = |a: &Row, b: &Row| a.contestant == b.contestant && a.case == b.case;
    let kept = before.rows.iter().map(|row| {
        let partner = after.rows.iter().find(|other| is_same(row, other));
        change(Some(row), partner)
    });
    let added = after
        .rows
        .iter()
        .filter(|row| !before.rows.iter().any(|other| is_same(row, other)))
        .map(|row| change(None, Some(row)));
    kept.chain(added).flatten().collect()
}

fn change(before: Option<&Row>, after: Option<&Row>) -> Option<Change> {
    let any = before.or(after)?;
    let measured = |row: Option<&Row>| {
        let measured = row?.measured()?;
        Some((measured.seconds.median, measured.noise()))
    };
    let (a, b) = (measured(before), measured(after));
    let verdict = match (before, after, a, b) {
        (None, ..) => Verdict::Added,
        (_, None, ..) => Verdict::Gone,
        (_, _, Some((a, noise_a)), Some((b, noise_b))) => {
            let difference = b - a;
            let noise = (noise_a + noise_b).max(LEAST * a);
            match difference.abs() > noise {
                false => Verdict::Same,
                true if difference < 0.0 => Verdict::Faster,
                true => Verdict::Slower,
            }
        }
        (_, _, Some(_), None) => Verdict::Broken,
        (_, _, None, Some(_)) => Verdict::Mended,
        (_, _, None, None) => Verdict::Failing,
    };
    Some(Change {
        contestant: any.contestant.clone(),
        case: any.case.clone(),
        before: a.map(|(median, _)| median),
        after: b.map(|(median, _)| median),
        verdict,
    })
}

/// Differences that make the records hard to compare: another machine, other versions, a busy machine.
pub fn circumstances(before: &Record, after: &Record) -> Vec<String> {
    let mut notes = Vec::new();
    let (a, b) = (before.machine.describe(), after.machine.describe());
    if a != b {
        notes.push(format!("another machine: {a}; then {b}"));
    }
    let (a, b) = (before.build.describe(), after.build.describe());
    if a != b {
        notes.push(format!("another build: {a}; then {b}"));
    }
    for (which, record) in [("first", before), ("second", after)] {
        if record.machine.is_busy() {
            let busy = record.machine.busy * 100.0;
            notes.push(format!(
                "others kept {busy:.0} % of the machine busy when the {which} run began"
            ));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RowOutcome;
    use crate::record::tests::{record, row};

    fn verdict(before: &[f64], after: &[f64]) -> Verdict {
        let before = record(vec![row("flex", 8, before)]);
        let after = record(vec![row("flex", 8, after)]);
        changes(&before, &after)[0].verdict
    }

    #[test]
    fn a_change_must_exceed_the_noise() {
        let calm = [1.00, 1.01, 0.99, 1.00, 1.01];
        let faster = calm.map(|seconds| seconds * 0.9);
        assert_eq!(verdict(&calm, &faster), Verdict::Faster);
        assert_eq!(verdict(&faster, &calm), Verdict::Slower);
        assert_eq!(verdict(&calm, &calm.map(|s| s * 1.01)), Verdict::Same);
        let wild = [0.6, 1.4, 0.8, 1.0, 1.2];
        assert_eq!(verdict(&wild, &wild.map(|s| s * 0.9)), Verdict::Same);
    }

    #[test]
    fn what_only_one_has_is_told() {
        let failed = |label| Row {
            outcome: RowOutcome::Crashed {
                reason: "signal: 11".to_owned(),
            },
            ..row(label, 8, &[1.0])
        };
        let before = record(vec![
            row("flex", 8, &[1.0]),
            row("flex", 32, &[1.0]),
            failed("ndarray"),
            failed("cpu"),
        ]);
        let after = record(vec![
            failed("flex"),
            row("ndarray", 8, &[1.0]),
            failed("cpu"),
            row("flex", 1, &[1.0]),
        ]);
        let verdicts: Vec<_> = changes(&before, &after)
            .into_iter()
            .map(|change| change.verdict)
            .collect();
        use Verdict::{Added, Broken, Failing, Gone, Mended};
        assert_eq!(verdicts, [Broken, Gone, Mended, Failing, Added]);
    }

    #[test]
    fn other_circumstances_are_told() {
        let before = record(vec![]);
        assert!(circumstances(&before, &before).is_empty());
        let mut after = before.clone();
        after.build.commit = Some("0123456789ab".to_owned());
        after.machine.threads = 64;
        assert_eq!(circumstances(&before, &after).len(), 2);
    }
}
