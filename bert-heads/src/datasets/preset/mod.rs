//! Published data sets as their files are: task, columns, labels, metrics, names of the files.

mod list;

use std::path::{Path, PathBuf};

use super::bad_rows::{BadRows, ReadReport};
use super::choices::{ChoiceFormat, read_choices};
use super::questions::{QuestionFormat, read_questions};
use super::text::{TextFormat, read_texts};
use super::tokens::{TokenFormat, read_tokens};
use crate::error::{Error, Result};
use crate::metrics::GlueTask;

/// Kind of task that a model is trained for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// One class per text or pair of texts.
    Classification,
    /// A number per text or pair of texts.
    Regression,
    /// A tag per word.
    TokenClassification,
    /// A stretch of a context.
    QuestionAnswering,
    /// One of several texts.
    MultipleChoice,
}

/// Which part of a data set a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Training set.
    Train,
    /// Validation set, with targets.
    Validation,
    /// Test set; published without targets in GLUE and SWAG.
    Test,
}

/// Format of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// By [`read_texts`].
    Texts(TextFormat),
    /// By [`read_tokens`].
    Tokens(TokenFormat),
    /// By [`read_questions`].
    Questions(QuestionFormat),
    /// By [`read_choices`].
    Choices(ChoiceFormat),
}

impl Format {
    /// Reads a file to its end and keeps the account only.
    ///
    /// # Errors
    ///
    /// Those of the reader.
    pub fn check(&self, path: impl AsRef<Path>, bad_rows: BadRows) -> Result<ReadReport> {
        fn account<T>(mut examples: super::Examples<T>) -> Result<ReadReport> {
            match examples.find_map(Result::err) {
                Some(error) => Err(error),
                None => Ok(examples.report().clone()),
            }
        }
        match self {
            Self::Texts(format) => account(read_texts(path, format, bad_rows)?),
            Self::Tokens(format) => account(read_tokens(path, format, bad_rows)?),
            Self::Questions(format) => account(read_questions(path, format, bad_rows)?),
            Self::Choices(format) => account(read_choices(path, format, bad_rows)?),
        }
    }
}

/// The files of a data set that a directory holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataFiles {
    /// Training set.
    pub train: Option<PathBuf>,
    /// Validation sets; MNLI has two.
    pub validation: Vec<PathBuf>,
    /// Test sets; MNLI has two.
    pub test: Vec<PathBuf>,
}

/// A published data set.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    name: &'static str,
    task: TaskKind,
    glue: Option<GlueTask>,
    metrics: &'static [&'static str],
    train: &'static [&'static str],
    validation: &'static [&'static [&'static str]],
    test: &'static [&'static [&'static str]],
    format: fn(Part) -> Format,
}

impl Preset {
    /// Every data set that is known, GLUE first.
    pub const fn all() -> &'static [Self] {
        list::PRESETS
    }

    /// The data set of a name, in whatever case and with or without hyphens: `mrpc`, `SST-2`,
    /// `conll2003`, `squad-v2`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownChoice`] naming those there are.
    pub fn from_name(name: &str) -> Result<&'static Self> {
        let wanted = plain(name);
        let found = Self::all()
            .iter()
            .find(|preset| plain(preset.name) == wanted);
        found.ok_or_else(|| {
            let known: Vec<&str> = Self::all().iter().map(Self::name).collect();
            Error::UnknownChoice {
                what: "data set",
                name: name.to_owned(),
                known: known.join(", "),
            }
        })
    }

    /// Its name in lower case.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Kind of task of the data set.
    pub const fn task(&self) -> TaskKind {
        self.task
    }

    /// Its task of GLUE, which knows how to score.
    pub const fn glue(&self) -> Option<GlueTask> {
        self.glue
    }

    /// The metrics it is reported in, as [`Scores`](crate::metrics::Scores) names them; the last one
    /// is the primary number.
    pub fn metrics(&self) -> &'static [&'static str] {
        self.glue.map_or(self.metrics, GlueTask::metrics)
    }

    /// Format of a file of a part. Test files need no targets.
    pub fn format(&self, part: Part) -> Format {
        (self.format)(part)
    }

    /// Finds its files in a directory, compressed (`.gz`, `.zst`) or not.
    ///
    /// # Errors
    ///
    /// [`Error::NoDataFiles`] if there is none of them.
    pub fn files(&self, dir: impl AsRef<Path>) -> Result<DataFiles> {
        let dir = dir.as_ref();
        let find = |names: &&[&str]| names.iter().find_map(|name| existing(dir, name));
        let files = DataFiles {
            train: find(&self.train),
            validation: self.validation.iter().filter_map(find).collect(),
            test: self.test.iter().filter_map(find).collect(),
        };
        if files == DataFiles::default() {
            let groups = [self.train].into_iter();
            let groups = groups.chain(self.validation.iter().chain(self.test).copied());
            let looked_for: Vec<String> = groups.map(|names| names.join(" or ")).collect();
            return Err(Error::NoDataFiles {
                dir: dir.to_owned(),
                preset: self.name,
                looked_for: looked_for.join(", "),
            });
        }
        Ok(files)
    }
}

/// A file by its name, or by its name with the suffix of a compression.
fn existing(dir: &Path, name: &str) -> Option<PathBuf> {
    let names = ["", ".gz", ".zst"].map(|suffix| dir.join(format!("{name}{suffix}")));
    names.into_iter().find(|path| path.is_file())
}

fn plain(name: &str) -> String {
    let letters = name.chars().filter(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_however_they_are_spelled() {
        for (spelled, name) in [
            ("mrpc", "mrpc"),
            ("SST-2", "sst2"),
            ("STS-B", "stsb"),
            ("CoNLL-2003", "conll2003"),
            ("squad_v2", "squad-v2"),
        ] {
            assert_eq!(Preset::from_name(spelled).unwrap().name(), name);
        }
        let error = Preset::from_name("imdb").unwrap_err().to_string();
        assert!(
            error.contains("`imdb`") && error.contains("ocnli"),
            "{error}"
        );
    }

    #[test]
    fn names_are_distinct_and_every_part_has_its_format() {
        let mut names: Vec<String> = Preset::all().iter().map(|p| plain(p.name)).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), Preset::all().len());
        for preset in Preset::all() {
            assert!(!preset.metrics().is_empty(), "{}", preset.name);
            for part in [Part::Train, Part::Validation, Part::Test] {
                let fits = matches!(
                    (preset.format(part), preset.task),
                    (
                        Format::Texts(_),
                        TaskKind::Classification | TaskKind::Regression
                    ) | (Format::Tokens(_), TaskKind::TokenClassification)
                        | (Format::Questions(_), TaskKind::QuestionAnswering)
                        | (Format::Choices(_), TaskKind::MultipleChoice)
                );
                assert!(fits, "{}", preset.name);
            }
        }
        for &task in GlueTask::ALL {
            let preset = Preset::from_name(task.name()).unwrap();
            assert_eq!(preset.glue(), Some(task));
            let Format::Texts(format) = preset.format(Part::Train) else {
                panic!("{} is about texts", task.name());
            };
            let classes = format.labels.map(|labels| labels.count());
            assert_eq!(classes, task.classes(), "{}", task.name());
        }
    }

    #[test]
    fn files_are_found_compressed_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let preset = Preset::from_name("mnli").unwrap();
        let error = preset.files(dir.path()).unwrap_err().to_string();
        assert!(error.contains("dev_matched.tsv"), "{error}");
        for name in ["train.tsv.gz", "dev_matched.tsv", "dev_mismatched.tsv.zst"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let files = preset.files(dir.path()).unwrap();
        assert_eq!(files.train, Some(dir.path().join("train.tsv.gz")));
        assert_eq!(files.validation.len(), 2);
        assert!(files.test.is_empty());
    }
}
