//! The shared libraries of a program, found without running it: it may want a newer C library than this machine has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell;

/// Parts of the C library that drivers opened later are linked with, although glibc itself has moved their contents.
const FOR_DRIVERS: [&str; 6] = [
    "libdl.so.2",
    "libm.so.6",
    "libpthread.so.0",
    "libresolv.so.2",
    "librt.so.1",
    "libutil.so.1",
];

/// A program's loader, and its libraries by name.
#[derive(Debug)]
pub(super) struct Libraries {
    pub(super) loader: PathBuf,
    pub(super) needed: BTreeMap<String, PathBuf>,
    /// The newest version of glibc that the program has symbols from, "2.34".
    pub(super) glibc: Option<String>,
}

impl Libraries {
    /// Those of `program`, in the system under `root`, with what these need in turn.
    ///
    /// # Errors
    /// If `readelf` isn't there, or a library is in none of the directories of the system.
    pub(super) fn of(program: &Path, root: &Path) -> Result<Self> {
        let headers = readelf("-lW", program)?;
        let loader = interpreter(&headers)
            .with_context(|| format!("`{}` is linked statically", program.display()))?;
        let loader_name = loader.rsplit('/').next().unwrap_or(loader).to_owned();
        let loader = in_root(root, loader);
        let mut needed = BTreeMap::new();
        let mut next = names_needed(&readelf("-dW", program)?);
        next.extend(FOR_DRIVERS.map(str::to_owned));
        while let Some(name) = next.pop() {
            if name == loader_name || needed.contains_key(&name) {
                continue;
            }
            let path = find(root, &name).with_context(|| {
                format!(
                    "`{name}`, which `{}` is linked with, is in no system directory of {}: build without the feature that \
                     brings it, or name the system that has it with --root",
                    program.display(),
                    root.display()
                )
            })?;
            next.extend(names_needed(&readelf("-dW", &path)?));
            needed.insert(name, path);
        }
        let glibc = newest_glibc(&readelf("-VW", program)?);
        Ok(Self {
            loader,
            needed,
            glibc,
        })
    }
}

/// A library in the directories of the system under `root`.
pub(super) fn find(root: &Path, name: &str) -> Option<PathBuf> {
    let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
    let directories = ["lib", "usr/lib"].into_iter().flat_map(|lib| {
        [
            format!("{lib}/{triple}"),
            format!("{lib}64"),
            lib.to_owned(),
        ]
    });
    directories
        .map(|directory| root.join(directory).join(name))
        .find(|path| path.is_file())
}

/// An absolute path of the system under `root`.
fn in_root(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn readelf(what: &str, file: &Path) -> Result<String> {
    let mut readelf = Command::new("readelf");
    readelf.arg(what).arg(file).env("LC_ALL", "C");
    shell::output(&mut readelf).with_context(|| {
        format!(
            "`readelf {what} {}` failed: it takes binutils, and an ELF file",
            file.display()
        )
    })
}

fn interpreter(headers: &str) -> Option<&str> {
    let (_, rest) = headers.split_once("[Requesting program interpreter: ")?;
    Some(rest.split_once(']')?.0)
}

fn names_needed(dynamic: &str) -> Vec<String> {
    dynamic
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned()))
        .collect()
}

fn newest_glibc(versions: &str) -> Option<String> {
    let numbers = |text: &str| -> Option<Vec<u32>> {
        text.split('.').map(|part| part.parse().ok()).collect()
    };
    let names = versions.split("GLIBC_").skip(1).filter_map(|rest| {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        numbers(&rest[..end])
    });
    let parts: Vec<String> = names.max()?.iter().map(u32::to_string).collect();
    Some(parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_readelf_writes_is_understood() {
        let headers =
            "  INTERP 0x318\n      [Requesting program interpreter: /lib64/ld-linux-x86-64.so.2]\n";
        assert_eq!(interpreter(headers), Some("/lib64/ld-linux-x86-64.so.2"));
        assert_eq!(interpreter("no such header"), None);
        let dynamic = " 0x01 (NEEDED)  Shared library: [libc.so.6]\n 0x0c (INIT) 0x4000\n 0x01 (NEEDED) Shared library: [libm.so.6]\n";
        assert_eq!(names_needed(dynamic), ["libc.so.6", "libm.so.6"]);
        let versions = "Name: GLIBC_2.4  Flags\n Name: GLIBC_2.34  Flags Name: GLIBC_2.2.5 Name: GLIBC_PRIVATE";
        assert_eq!(newest_glibc(versions).as_deref(), Some("2.34"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn libraries_of_this_test_are_found_with_those_they_need() {
        let this = std::env::current_exe().unwrap();
        let libraries = Libraries::of(&this, Path::new("/")).unwrap();
        assert!(libraries.loader.is_file(), "{libraries:?}");
        assert!(libraries.needed.contains_key("libc.so.6"), "{libraries:?}");
        assert!(libraries.needed.values().all(|path| path.is_file()));
        assert!(
            libraries
                .glibc
                .is_some_and(|version| version.starts_with("2."))
        );
        let nowhere = Libraries::of(&this, Path::new("/no/such/root"));
        assert!(nowhere.unwrap_err().to_string().contains("--root"));
    }
}
