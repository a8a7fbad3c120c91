//! The secret that a worker and its clients share.

use std::fmt::{self, Debug, Formatter};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::RemoteError;

/// Variable with the path of a token file.
const FILE_VARIABLE: &str = "BERT_REMOTE_TOKEN_FILE";
/// Variable with the token itself.
const VARIABLE: &str = "BERT_REMOTE_TOKEN";
/// Far beyond any token: a file that is larger is another file.
const MAX_BYTES: u64 = 4096;

// What `set_remote_token_file` read, for the whole process.
static FROM_FILE: Mutex<Option<RemoteToken>> = Mutex::new(None);

/// A secret that a worker demands of its clients.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteToken(String);

impl RemoteToken {
    /// Reads a token file: its text without the line end. On Unix the file must be its owner's alone to read.
    ///
    /// # Errors
    ///
    /// [`RemoteError::TokenFile`] if the file cannot be read, is empty, is no text, is no token by its size, or if others can
    /// read it.
    pub fn read(path: &Path) -> Result<Self, RemoteError> {
        let refused = |reason: String| RemoteError::TokenFile {
            path: path.to_owned(),
            reason,
        };
        let file = File::open(path).map_err(|error| refused(error.to_string()))?;
        if let Some(mode) = open_to_others(&file) {
            return Err(refused(format!(
                "others can read it (mode {mode:04o}): `chmod 600` it, and take another token if this one has been seen"
            )));
        }
        let mut text = String::new();
        file.take(MAX_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(|error| refused(error.to_string()))?;
        if text.len() as u64 > MAX_BYTES {
            return Err(refused(format!(
                "it is longer than {MAX_BYTES} bytes: name the file with the token"
            )));
        }
        let token = text.trim_end_matches(['\r', '\n']);
        match token {
            "" => Err(refused(
                "it is empty: fill it with `openssl rand -hex 32`, on both machines with one token"
                    .to_owned(),
            )),
            token if token.contains(['\r', '\n']) => Err(refused(
                "it has more than one line: a token is one line".to_owned(),
            )),
            token => Ok(Self(token.to_owned())),
        }
    }

    /// The token of this process: from the file that [`set_remote_token_file`] was given, else from the file that the
    /// environment variable `BERT_REMOTE_TOKEN_FILE` names, else from `BERT_REMOTE_TOKEN`; `None` without any.
    ///
    /// # Errors
    ///
    /// [`RemoteError::TokenFile`] as [`read`](Self::read) has it.
    pub fn of_process() -> Result<Option<Self>, RemoteError> {
        let from_file = FROM_FILE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = &*from_file {
            return Ok(Some(token.clone()));
        }
        if let Some(path) = std::env::var_os(FILE_VARIABLE).filter(|path| !path.is_empty()) {
            return Self::read(Path::new(&path)).map(Some);
        }
        Ok(std::env::var(VARIABLE)
            .ok()
            .filter(|token| !token.is_empty())
            .map(Self))
    }

    /// The secret itself.
    #[cfg(feature = "remote")]
    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

impl Debug for RemoteToken {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteToken(..)")
    }
}

/// Takes the token of this process from the file at `path`, in place of the environment's.
///
/// # Errors
///
/// [`RemoteError::TokenFile`] as [`RemoteToken::read`] has it.
pub fn set_remote_token_file(path: &Path) -> Result<(), RemoteError> {
    let token = RemoteToken::read(path)?;
    *FROM_FILE.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
    Ok(())
}

/// Environment variables that give a child process the token which [`set_remote_token_file`] took; empty where the
/// environment itself has it.
pub fn remote_token_environment() -> Vec<(&'static str, String)> {
    let from_file = FROM_FILE.lock().unwrap_or_else(PoisonError::into_inner);
    match &*from_file {
        Some(token) => vec![(FILE_VARIABLE, String::new()), (VARIABLE, token.0.clone())],
        None => Vec::new(),
    }
}

/// Permissions of a regular file that others than its owner can read.
#[cfg(unix)]
pub(super) fn open_to_others(file: &File) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;

    let metadata = file.metadata().ok()?;
    let mode = metadata.mode() & 0o7777;
    (metadata.is_file() && mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
pub(super) fn open_to_others(_file: &File) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    fn refusal(content: &[u8]) -> String {
        let file = file(content);
        let error = RemoteToken::read(file.path()).unwrap_err().to_string();
        let path = file.path().display().to_string();
        assert!(error.contains(&path), "{error}");
        error
    }

    #[test]
    fn the_line_end_is_no_part_of_a_token() {
        for content in ["secret token", "secret token\n", "secret token\r\n"] {
            let token = RemoteToken::read(file(content.as_bytes()).path()).unwrap();
            assert_eq!(token.0, "secret token");
        }
        let token = RemoteToken::read(file(b" s \n").path()).unwrap();
        assert_eq!(token.0, " s ");
    }

    #[test]
    fn what_is_no_token_is_refused_with_the_reason() {
        assert!(refusal(b"").contains("empty"));
        assert!(refusal(b"\n").contains("empty"));
        assert!(refusal(b"a\nb\n").contains("one line"));
        assert!(refusal(&[0xff, 0xfe]).contains("UTF-8"));
        assert!(refusal(&[b'a'; 5000]).contains("4096"));
        let error = RemoteToken::read(Path::new("no/such/token")).unwrap_err();
        assert!(error.to_string().contains("no/such/token"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused() {
        use std::fs::{Permissions, set_permissions};
        use std::os::unix::fs::PermissionsExt;

        let file = file(b"secret\n");
        for (mode, refused) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
            match RemoteToken::read(file.path()) {
                Ok(_) => assert!(!refused, "{mode:o}"),
                Err(error) => {
                    assert!(refused, "{mode:o}: {error}");
                    assert!(error.to_string().contains("chmod 600"), "{error}");
                }
            }
        }
    }

    #[test]
    fn a_token_stays_out_of_debug_output() {
        let token = RemoteToken("secret".to_owned());
        assert_eq!(format!("{token:?}"), "RemoteToken(..)");
    }
}
