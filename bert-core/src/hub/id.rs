//! Hub ids, and how to tell one from a path.

use std::fmt::{self, Display, Formatter};

use crate::error::{Error, Result};

/// The revision that an id without one means.
pub(super) const DEFAULT_REVISION: &str = "main";

/// The longest `owner/name` the hub accepts.
const MAX_LENGTH: usize = 96;

/// `owner/name@revision`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModelId {
    /// `owner/name`, or the bare name of a model from the hub's early days.
    pub(super) name: String,
    /// A branch, a tag or a commit.
    pub(super) revision: String,
}

/// Meaning of a string that is not an existing directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// A path, which therefore isn't there.
    Path,
    /// A model of the hub.
    Id(ModelId),
}

impl Display for ModelId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.revision != DEFAULT_REVISION {
            write!(f, "@{}", self.revision)?;
        }
        Ok(())
    }
}

/// Tells a path from an id: an id has at most one slash, inside it, and no backslash or drive.
pub(super) fn parse(text: &str) -> Result<Named> {
    let (name, revision) = text.split_once('@').unwrap_or((text, DEFAULT_REVISION));
    let looks_like_path = name.starts_with(['.', '/', '~'])
        || name.ends_with('/')
        || name.contains(['\\', ':'])
        || name.matches('/').count() > 1;
    if looks_like_path {
        return Ok(Named::Path);
    }
    let part_is_valid = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            && !part.starts_with(['-', '.'])
            && !part.ends_with(['-', '.'])
            && !part.contains("--")
            && !part.contains("..")
    };
    let reason = if !name.split('/').all(part_is_valid) || name.len() > MAX_LENGTH {
        "neither an existing directory nor a hub id, which is `owner/name` or a bare name of letters, digits and -_."
    } else if !revision.split('/').all(part_is_valid) {
        "the revision after @ is not a branch, tag or commit"
    } else {
        return Ok(Named::Id(ModelId {
            name: name.to_owned(),
            revision: revision.to_owned(),
        }));
    };
    Err(Error::Hub {
        id: text.to_owned(),
        reason: reason.to_owned(),
        source: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> (String, String) {
        match parse(text).unwrap() {
            Named::Id(id) => (id.name, id.revision),
            Named::Path => panic!("`{text}` was taken for a path"),
        }
    }

    #[test]
    fn ids_with_and_without_owner_and_revision() {
        for (text, name, revision) in [
            ("bert-base-uncased", "bert-base-uncased", "main"),
            (
                "google/bert_uncased_L-2_H-128_A-2",
                "google/bert_uncased_L-2_H-128_A-2",
                "main",
            ),
            ("owner/name@v1.0", "owner/name", "v1.0"),
            ("name@refs/pr/1", "name", "refs/pr/1"),
        ] {
            assert_eq!(id(text), (name.to_owned(), revision.to_owned()));
        }
    }

    #[test]
    fn ids_print_as_they_are_typed() {
        for text in ["bert-base-uncased", "owner/name", "owner/name@v1.0"] {
            let Ok(Named::Id(id)) = parse(text) else {
                panic!("{text}")
            };
            assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn paths_are_told_from_ids() {
        for text in [
            "./model",
            "../model",
            "/models/bert",
            "~/bert",
            "models/bert/base",
            "model/",
            "C:\\models",
            "models\\bert",
            "./model@2",
            ".",
        ] {
            assert_eq!(parse(text).unwrap(), Named::Path, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "a b",
            "owner/",
            "owner/na me",
            "owner/../name",
            "a--b",
            "-a",
            "name@",
            "name@../x",
            "owner/é",
            "name@a b",
            &"x".repeat(97),
        ] {
            match parse(text) {
                Ok(Named::Path) if text == "owner/" => {}
                Err(Error::Hub { .. }) => {}
                Ok(Named::Path) if text.contains("/../") => {}
                other => panic!("`{text}` gave {other:?}"),
            }
        }
    }
}
