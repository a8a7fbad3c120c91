//! Load report: every tensor of a checkpoint and every parameter of a model accounted for.

use std::fmt;

use serde::Serialize;

/// Strictness of loading a checkpoint into a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loading {
    /// Every parameter has its tensor. Tensors that no parameter takes are left out, as in transformers; the report lists
    /// them, and a note on standard error names them.
    #[default]
    Strict,
    /// Parameters without a fitting tensor keep fresh values; the report says which. Show it.
    Partial,
}

/// The result of loading, in Hugging Face names, each list sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LoadReport {
    /// Parameters that took their value from the checkpoint.
    pub loaded: Vec<String>,
    /// Parameters that the checkpoint has no tensor for.
    pub missing: Vec<String>,
    /// Tensors that no parameter takes.
    pub unexpected: Vec<String>,
    /// Tensors left out on purpose.
    pub ignored: Vec<Ignored>,
    /// Tensors whose axes of extent one were added or dropped to fit.
    pub reshaped: Vec<Reshaped>,
    /// Tensors of another shape than the parameter, which kept its fresh value (partial loading
    /// only).
    pub mismatched: Vec<Reshaped>,
}

/// A tensor left out on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ignored {
    /// Name in the file.
    pub name: String,
    /// Reason for leaving it out.
    pub reason: &'static str,
}

/// A tensor whose shape differs from the parameter's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reshaped {
    /// Name in Hugging Face spelling.
    pub name: String,
    /// Shape in the file.
    pub found: Vec<usize>,
    /// Shape of the parameter.
    pub expected: Vec<usize>,
}

impl LoadReport {
    /// True if every parameter was loaded and no tensor was left over unexplained.
    pub fn is_exact(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.mismatched.is_empty()
    }

    pub(super) fn sort(&mut self) {
        self.loaded.sort();
        self.missing.sort();
        self.unexpected.sort();
        self.ignored.sort_by(|a, b| a.name.cmp(&b.name));
        self.reshaped.sort_by(|a, b| a.name.cmp(&b.name));
        self.mismatched.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} loaded", self.loaded.len())?;
        let lists = [
            ("missing, kept fresh values", &self.missing),
            ("unexpected, left out", &self.unexpected),
        ];
        for (title, names) in lists {
            if !names.is_empty() {
                write!(f, "\n{} {title}:", names.len())?;
                names.iter().try_for_each(|name| write!(f, "\n  {name}"))?;
            }
        }
        if !self.ignored.is_empty() {
            write!(f, "\n{} ignored:", self.ignored.len())?;
            for Ignored { name, reason } in &self.ignored {
                write!(f, "\n  {name} ({reason})")?;
            }
        }
        for (title, tensors) in [
            ("reshaped", &self.reshaped),
            ("of another shape, kept fresh values", &self.mismatched),
        ] {
            if !tensors.is_empty() {
                write!(f, "\n{} {title}:", tensors.len())?;
                for tensor in tensors {
                    write!(
                        f,
                        "\n  {} {:?} -> {:?}",
                        tensor.name, tensor.found, tensor.expected
                    )?;
                }
            }
        }
        Ok(())
    }
}
