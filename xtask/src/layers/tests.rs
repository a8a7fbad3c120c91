//! Invented crates, with and without faults.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{Crates, Floors, faults};

/// Floors of the crates `low` and `high`.
const FLOORS: &Floors<'_> = &[
    ("low", &[&["error"], &["device"], &["ops"], &["policy"]]),
    ("high", &[]),
];

/// Messages about crates with these files, by package and path below `src`; paths of messages begin below the packages.
fn found(files: &[(&str, &str, &str)]) -> Vec<String> {
    let dir = TempDir::new().unwrap();
    let root = |package: &str| dir.path().join(package).join("src");
    for (package, path, text) in files {
        let path = root(package).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let mut crates = Crates::default();
    for package in ["low", "high"] {
        let lib = root(package).join("lib.rs");
        if lib.exists() {
            crates.read(package, &lib).unwrap();
        }
    }
    let prefix = format!("{}/", dir.path().display());
    let messages = faults(&crates, FLOORS).into_iter();
    messages
        .map(|message| message.replace(&prefix, ""))
        .collect()
}

const LIB: &str = "mod error; mod ops; mod device; mod policy;\npub use error::Error;\n";

/// Messages about the crate `low` with the three files.
fn low(ops: &str, device: &str, policy: &str) -> Vec<String> {
    found(&[
        ("low", "lib.rs", LIB),
        ("low", "error.rs", "pub enum Error {}\n"),
        ("low", "ops.rs", ops),
        ("low", "device.rs", device),
        ("low", "policy.rs", policy),
    ])
}

#[test]
fn imports_that_point_down_pass() {
    let policy = "use crate::device::open;\nuse crate::{Error, ops};\n\
                  pub fn decide() -> Result<(), Error> { ops::run(); open() }\n";
    let faults = low(
        "pub fn run() {}\n",
        "pub fn open() -> Result<(), crate::Error> { Ok(()) }\n",
        policy,
    );
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn the_first_import_that_points_up_is_named_with_its_line() {
    let ops = "use std::fmt;\n\nuse crate::policy::{self, decide};\nfn f() { policy::decide() }\n";
    let faults = low(ops, "", "pub fn decide() {}\n");
    assert_eq!(
        faults,
        ["low/src/ops.rs:3: `ops` imports `crate::policy`, but `policy` is above it"]
    );
}

#[test]
fn paths_in_code_count() {
    let faults = low("pub fn run() {}\n", "fn f() { crate::ops::run() }\n", "");
    assert_eq!(
        faults,
        ["low/src/device.rs:1: `device` imports `crate::ops::run`, but `ops` is above it"]
    );
}

#[test]
fn tests_comments_visibilities_and_strings_do_not_count() {
    let ops = "//! See crate::policy::decide.\n\
               pub(in crate::ops) fn f() -> &'static str { \"crate::policy::decide\" }\n\
               #[cfg(test)]\nuse crate::policy::{self, decide};\n\
               #[cfg(all(test, unix))]\nfn g() { crate::policy::decide() }\n\
               #[test]\n#[should_panic]\nfn h() { crate::policy::decide() }\n\
               #[cfg(test)]\nmod tests { use crate::policy::decide; }\n";
    assert_eq!(low(ops, "", "pub fn decide() {}\n"), Vec::<String>::new());
    let ops = "#[cfg(not(test))]\nuse crate::policy::decide;\n";
    assert_eq!(low(ops, "", "pub fn decide() {}\n").len(), 1);
}

#[test]
fn a_module_without_a_floor_is_named() {
    let faults = found(&[
        ("low", "lib.rs", "mod error; mod zoo;\n"),
        ("low", "error.rs", ""),
        ("low", "zoo/mod.rs", ""),
    ]);
    let [fault] = faults.as_slice() else {
        panic!("{faults:?}");
    };
    assert!(
        fault.starts_with("low: the module `zoo` has no floor"),
        "{fault}"
    );
}

#[test]
fn crates_have_floors_too() {
    let faults = found(&[
        ("low", "lib.rs", "mod error;\n"),
        ("low", "error.rs", "use high::run;\n"),
        ("high", "lib.rs", "use low::Error;\npub fn run() {}\n"),
    ]);
    assert_eq!(
        faults,
        ["low/src/error.rs:1: crate `low` imports `high::run`, but `high` is not below it"]
    );
}

/// Messages about the crate `high`, which has the rule of circles alone.
fn high(files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| ("high", *path, *text))
        .collect();
    found(&files)
}

#[test]
fn files_in_a_circle_are_shown_with_their_lines() {
    let faults = high(&[
        ("lib.rs", "mod a;\nmod b;\nmod c;\n"),
        ("a.rs", "use crate::b;\nfn f() { b::g() }\n"),
        ("b/mod.rs", "mod inner;\npub use inner::g;\n"),
        ("b/inner.rs", "use crate::c::h;\npub fn g() { h() }\n"),
        ("c.rs", "\nuse super::a::*;\npub fn h() {}\n"),
    ]);
    let circle = Path::new("high").join("src");
    let circle = circle.display();
    assert_eq!(
        faults,
        [format!(
            "files in a circle:\n  {circle}/a.rs:2 imports {circle}/b/inner.rs\n  \
             {circle}/b/inner.rs:1 imports {circle}/c.rs\n  {circle}/c.rs:2 imports {circle}/a.rs"
        )]
    );
}

#[test]
fn a_module_and_those_within_it_may_know_each_other() {
    let faults = high(&[
        ("lib.rs", "mod a;\npub enum Error {}\n"),
        (
            "a.rs",
            "mod part;\nmod part_two;\nuse part::f;\npub trait A { fn g() { f() } }\n",
        ),
        (
            "a/part.rs",
            "use super::A;\nuse crate::Error;\npub fn f() {}\n",
        ),
        (
            "a/part_two.rs",
            "mod inline { use super::super::part::f; }\n",
        ),
    ]);
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn names_lead_through_reexports_globs_and_aliases() {
    let faults = high(&[
        ("lib.rs", "mod a;\nmod b;\n"),
        (
            "a/mod.rs",
            "mod one;\nmod two;\npub use one::*;\npub use two::B as C;\n",
        ),
        ("a/one.rs", "use crate::b::f;\npub struct A;\n"),
        ("a/two.rs", "pub struct B;\n"),
        ("b.rs", "use crate::a::{A, C as D};\npub fn f() {}\n"),
    ]);
    let [fault] = faults.as_slice() else {
        panic!("{faults:?}");
    };
    assert!(
        fault.contains("a/one.rs:1") && !fault.contains("two.rs"),
        "{fault}"
    );
}
