//! Results of metrics: named numbers that print and serialise alike.

use std::fmt::{self, Display, Formatter};
use std::path::Path;

use bert_core::files::write_atomically;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::averages::PrecisionRecallF1;
use crate::error::Result;

/// One number of a result.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Score {
    /// A finite number: shares are 0 to 1, the scores of SQuAD 0 to 100 as its scripts have them.
    Value(f64),
    /// Count.
    Count(u64),
    /// Name that says how the other numbers came about, such as the language of answers.
    Name(&'static str),
    /// Not defined for these data, `null` in JSON.
    Undefined,
}

/// A result: named numbers in the order to show them, and precision, recall and F1 by label where
/// the metric has labels.
///
/// [`Display`] prints a table. As JSON it is one flat object, with the labels under `per_label`;
/// the names don't change between runs or data:
/// `{"f1":0.5,"entities":2,"per_label":{"LOC":{"precision":0.5,"recall":0.5,"f1":0.5,"support":2}}}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    primary: &'static str,
    values: Vec<(&'static str, Score)>,
    per_label: Vec<(String, PrecisionRecallF1)>,
}

impl Score {
    /// `value` if it is finite, else [`Undefined`](Self::Undefined).
    pub fn new(value: f64) -> Self {
        match value.is_finite() {
            true => Self::Value(value),
            false => Self::Undefined,
        }
    }

    /// Numeric value; `None` for a name or an undefined score.
    pub fn as_f64(self) -> Option<f64> {
        match self {
            Self::Value(value) => Some(value),
            Self::Count(count) => Some(count as f64),
            Self::Name(_) | Self::Undefined => None,
        }
    }
}

impl Scores {
    /// An empty result, whose number called `primary` ranks models.
    pub fn new(primary: &'static str) -> Self {
        Self {
            primary,
            values: Vec::new(),
            per_label: Vec::new(),
        }
    }

    /// Adds a number; one that is not finite counts as undefined.
    #[must_use]
    pub fn with_value(self, name: &'static str, value: impl Into<Option<f64>>) -> Self {
        let value = value.into().map_or(Score::Undefined, Score::new);
        self.with(name, value)
    }

    /// Adds a count.
    #[must_use]
    pub fn with_count(self, name: &'static str, count: u64) -> Self {
        self.with(name, Score::Count(count))
    }

    /// Adds a name for how the numbers came about.
    #[must_use]
    pub fn with_name(self, name: &'static str, value: &'static str) -> Self {
        self.with(name, Score::Name(value))
    }

    /// Adds precision, recall and F1 of a label; labels print in the order they are added.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>, scores: PrecisionRecallF1) -> Self {
        self.per_label.push((label.into(), scores));
        self
    }

    /// Adds precision, recall and F1 of an average under these `names`.
    #[must_use]
    pub(super) fn with_average(self, names: [&'static str; 3], average: PrecisionRecallF1) -> Self {
        let [precision, recall, f1] = names;
        self.with_value(precision, average.precision)
            .with_value(recall, average.recall)
            .with_value(f1, average.f1)
    }

    /// Adds the scores of labels in their order; one without a name goes by its number.
    #[must_use]
    pub(super) fn with_labels(
        mut self,
        names: &[impl AsRef<str>],
        scores: impl Iterator<Item = PrecisionRecallF1>,
    ) -> Self {
        for (number, scores) in scores.enumerate() {
            let name = names.get(number).map(|name| name.as_ref().to_owned());
            self = self.with_label(name.unwrap_or(number.to_string()), scores);
        }
        self
    }

    fn with(mut self, name: &'static str, score: Score) -> Self {
        match self.values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = score,
            None => self.values.push((name, score)),
        }
        self
    }

    /// The number called `name`; `None` if there is none or it is undefined.
    pub fn get(&self, name: &str) -> Option<f64> {
        let (_, score) = self.values.iter().find(|(known, _)| *known == name)?;
        score.as_f64()
    }

    /// Name and value of the number that ranks models; `None` if it is undefined.
    pub fn primary(&self) -> (&'static str, Option<f64>) {
        (self.primary, self.get(self.primary))
    }

    /// The numbers, without those by label.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, Score)> {
        self.values.iter().copied()
    }

    /// Precision, recall and F1 by label; empty for metrics without labels.
    pub fn per_label(&self) -> &[(String, PrecisionRecallF1)] {
        &self.per_label
    }

    /// The numbers as a flat JSON object, without those by label: what a log of a run takes.
    pub fn to_map(&self) -> Map<String, Value> {
        let json = |score: Score| match score {
            Score::Value(value) => value.into(),
            Score::Count(count) => count.into(),
            Score::Name(name) => name.into(),
            Score::Undefined => Value::Null,
        };
        self.values()
            .map(|(name, score)| (name.to_owned(), json(score)))
            .collect()
    }

    /// Writes the result as indented JSON, as a whole or not at all.
    ///
    /// # Errors
    ///
    /// [`Error::Core`](crate::Error::Core) naming the file when it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        // Strings and finite numbers: nothing that could fail to become JSON.
        let mut text = format!("{:#}", serde_json::json!(self));
        text.push('\n');
        Ok(write_atomically(path.as_ref(), text.as_bytes())?)
    }
}

impl Serialize for Scores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// The labels as an object instead of a list of pairs.
        struct Labels<'a>(&'a [(String, PrecisionRecallF1)]);
        impl Serialize for Labels<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.iter().map(|(label, scores)| (label, scores)))
            }
        }
        let mut map = serializer.serialize_map(None)?;
        for (name, score) in &self.values {
            map.serialize_entry(name, score)?;
        }
        if !self.per_label.is_empty() {
            map.serialize_entry("per_label", &Labels(&self.per_label))?;
        }
        map.end()
    }
}

impl Display for Score {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => f.pad(&format!("{value:.4}")),
            Self::Count(count) => f.pad(&count.to_string()),
            Self::Name(name) => f.pad(name),
            Self::Undefined => f.pad("undefined"),
        }
    }
}

impl Display for Scores {
    /// Lines without a last line break.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
        let name_width = longest(&mut self.values.iter().map(|(name, _)| name.len()));
        let width = longest(&mut self.values().map(|(_, score)| score.to_string().len()));
        for (line, (name, score)) in self.values.iter().enumerate() {
            let end = if line == 0 { "" } else { "\n" };
            write!(f, "{end}{name:<name_width$}  {score:>width$}")?;
        }
        if self.per_label.is_empty() {
            return Ok(());
        }
        let labels = &mut self
            .per_label
            .iter()
            .map(|(label, _)| label.chars().count());
        let label_width = longest(labels).max("label".len());
        write!(
            f,
            "\n\n{:<label_width$}  precision  recall      f1  support",
            "label"
        )?;
        for (label, scores) in &self.per_label {
            let PrecisionRecallF1 {
                precision,
                recall,
                f1,
                support,
            } = scores;
            write!(
                f,
                "\n{label:<label_width$}  {precision:>9.4}  {recall:.4}  {f1:.4}  {support:>7}"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Scores {
        let label = PrecisionRecallF1 {
            precision: 0.5,
            recall: 1.0,
            f1: 2.0 / 3.0,
            support: 13,
        };
        Scores::new("f1")
            .with_value("f1", 2.0 / 3.0)
            .with_value("pearson", None)
            .with_count("entities", 13)
            .with_label("LOC", label)
            .with_label("ORGANISATION", label)
    }

    #[test]
    fn it_prints_as_a_table() {
        let expected = "\
f1           0.6667
pearson   undefined
entities         13

label         precision  recall      f1  support
LOC              0.5000  1.0000  0.6667       13
ORGANISATION     0.5000  1.0000  0.6667       13";
        assert_eq!(example().to_string(), expected);
        assert_eq!(Scores::new("f1").to_string(), "");
    }

    #[test]
    fn json_keeps_the_order_and_has_null_for_undefined() {
        let json = serde_json::to_string(&example().with_value("inf", f64::INFINITY)).unwrap();
        let label = r#"{"precision":0.5,"recall":1.0,"f1":0.6666666666666666,"support":13}"#;
        let expected = format!(
            r#"{{"f1":0.6666666666666666,"pearson":null,"entities":13,"inf":null,"per_label":{{"LOC":{label},"ORGANISATION":{label}}}}}"#
        );
        assert_eq!(json, expected);
        let map = example().to_map();
        assert_eq!(map.len(), 3);
        assert!(map["pearson"].is_null());
    }

    #[test]
    fn it_saves_what_it_serialises() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scores.json");
        example().save(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("}\n"));
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, serde_json::to_value(example()).unwrap());
        let error = example().save(dir.path().join("no/where")).unwrap_err();
        assert!(error.to_string().contains("where"), "{error}");
    }

    #[test]
    fn a_name_given_again_replaces_the_number() {
        let f1 = Scores::new("f1").with_value("f1", 0.1);
        assert_eq!(f1.get("accuracy"), None);
        assert_eq!(f1.with_value("f1", 0.2).get("f1"), Some(0.2));
    }
}
