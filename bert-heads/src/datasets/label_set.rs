//! The labels of a data set, in an order that does not depend on the order of its rows.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::example::{TextExample, TokenExample};
use crate::error::Result;
use crate::labels::Labels;

/// Examples with class labels.
pub trait Labelled {
    /// Every label of the example; none if it has no target, or a number.
    fn labels(&self) -> &[String];
}

impl Labelled for TextExample {
    fn labels(&self) -> &[String] {
        self.target.labels()
    }
}

impl Labelled for TokenExample {
    fn labels(&self) -> &[String] {
        self.tags.as_deref().unwrap_or_default()
    }
}

/// The labels that occur, sorted: by value if all are numbers, by characters otherwise.
///
/// Tags of a scheme come after `O`, the others after their letters: `O`, `B-LOC`, `B-PER`, `I-LOC`.
///
/// # Errors
///
/// [`Error::Labels`](crate::Error::Labels) when there is none.
pub fn discover_labels<'a, L: Labelled + 'a>(
    examples: impl IntoIterator<Item = &'a L>,
) -> Result<Labels> {
    let mut found = BTreeSet::new();
    for label in examples.into_iter().flat_map(L::labels) {
        if !found.contains(label.as_str()) {
            found.insert(label.as_str());
        }
    }
    let mut labels: Vec<&str> = found.into_iter().collect();
    let numbers: Option<Vec<f64>> = labels.iter().map(|label| label.parse().ok()).collect();
    match numbers {
        Some(_) => labels.sort_by(|a, b| numeric(a).total_cmp(&numeric(b))),
        None => labels.sort_by(|a, b| match (*a == "O", *b == "O") {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            _ => a.cmp(b),
        }),
    }
    Labels::new(labels)
}

fn numeric(label: &str) -> f64 {
    label.parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasets::Target;

    fn examples(labels: &[&str]) -> Vec<TextExample> {
        let example = |label: &&str| TextExample {
            text: "x".into(),
            pair: None,
            target: Target::Label((*label).into()),
            line: 1,
        };
        labels.iter().map(example).collect()
    }

    #[test]
    fn labels_are_sorted_whatever_the_order_of_rows() {
        for (found, sorted) in [
            (vec!["10", "9", "-1", "9"], vec!["-1", "9", "10"]),
            (vec!["10", "9", "x"], vec!["10", "9", "x"]),
            (vec!["yes", "no", "yes"], vec!["no", "yes"]),
            (vec!["I-A", "B-A", "O"], vec!["O", "B-A", "I-A"]),
        ] {
            assert_eq!(discover_labels(&examples(&found)).unwrap().names(), sorted);
        }
        assert!(discover_labels(&examples(&[])).is_err());
    }

    #[test]
    fn every_kind_of_target_is_looked_through() {
        let mut list = examples(&["a"]);
        list[0].target = Target::Labels(vec!["c".into(), "b".into()]);
        assert_eq!(discover_labels(&list).unwrap().names(), ["b", "c"]);
        list[0].target = Target::Number(3.0);
        assert!(discover_labels(&list).is_err());
        let tokens = TokenExample {
            words: vec!["x".into(), "y".into()],
            tags: Some(vec!["NN".into(), "DT".into()]),
            line: 5,
        };
        assert_eq!(discover_labels([&tokens]).unwrap().names(), ["DT", "NN"]);
    }
}
