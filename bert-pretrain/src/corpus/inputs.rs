//! Which files a corpus is read from.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// A file of a corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    /// Path of the input; `-` is standard input.
    pub(crate) path: PathBuf,
    /// Name that is independent of the corpus's location: its own, or its path below the directory
    /// that was given.
    pub(crate) name: String,
}

impl Input {
    pub(crate) fn is_stdin(&self) -> bool {
        self.path == Path::new("-")
    }
}

/// The files behind `paths`, in their order; a directory stands for all files below it, sorted.
///
/// Hidden files and linked directories are left out: the first are the system's, the second may
/// lead back to where they start.
pub(crate) fn find(paths: &[PathBuf]) -> Result<Vec<Input>> {
    let mut inputs: Vec<Input> = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = inputs.len();
            walk(path, "", &mut inputs)?;
            if inputs.len() == before {
                return Err(Error::Input {
                    path: path.clone(),
                    reason: "there is no file in this directory: name one that holds texts",
                });
            }
            continue;
        }
        let name = path.file_name().unwrap_or(path.as_os_str());
        let input = Input {
            path: path.clone(),
            name: name.to_string_lossy().into_owned(),
        };
        if !input.is_stdin() {
            // Now rather than after hours of reading the files before it.
            fs::File::open(path).map_err(|source| bert_core::Error::io("read", path, source))?;
        } else if inputs.iter().any(Input::is_stdin) {
            return Err(Error::Input {
                path: path.clone(),
                reason: "standard input can be read only once: name it once",
            });
        }
        inputs.push(input);
    }
    Ok(inputs)
}

fn walk(dir: &Path, prefix: &str, inputs: &mut Vec<Input>) -> Result<()> {
    let cannot_read = |source| bert_core::Error::io("read", dir, source);
    let entries = fs::read_dir(dir).map_err(cannot_read)?;
    let mut entries: Vec<_> = entries.collect::<Result<_, _>>().map_err(cannot_read)?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let name = format!("{prefix}{name}");
        let path = entry.path();
        if entry.file_type().map_err(cannot_read)?.is_dir() {
            walk(&path, &format!("{name}/"), inputs)?;
        } else if path.is_file() {
            inputs.push(Input { path, name });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_its_files_in_sorted_order() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("b/deep")).unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        for name in [
            "c.txt",
            "a.txt",
            "b/2.txt",
            "b/deep/1.txt",
            ".git/x",
            ".DS_Store",
        ] {
            fs::write(dir.path().join(name), "text").unwrap();
        }
        let alone = dir.path().join("c.txt");
        let found = find(&[dir.path().to_owned(), alone.clone()]).unwrap();
        let names: Vec<&str> = found.iter().map(|input| input.name.as_str()).collect();
        assert_eq!(
            names,
            ["a.txt", "b/2.txt", "b/deep/1.txt", "c.txt", "c.txt"]
        );
        assert_eq!(found[4].path, alone);
    }

    #[test]
    fn what_cannot_be_read_is_named_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let error = find(&[dir.path().join("absent.txt")]).unwrap_err();
        assert!(error.to_string().contains("absent.txt"), "{error}");
        let error = find(&[dir.path().to_owned()]).unwrap_err();
        assert!(error.to_string().contains("no file"), "{error}");
        let error = find(&["-".into(), "-".into()]).unwrap_err();
        assert!(error.to_string().contains("only once"), "{error}");
    }
}
