//! `layers`: the order of crates and modules, in which imports point down, and no circle of files.
//!
//! [`FLOORS`] is the order; docs/architecture.md says why. Tests may import what they like.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell;

mod circles;
mod source;
mod tokens;

use source::{Crates, Import, Target};

/// Crates in their order, each with its modules in theirs.
type Floors<'a> = [(&'a str, &'a [&'a [&'a str]])];

/// Crates from the lowest to the highest, each with floors of its modules, again from the lowest: a module imports from its
/// own floor and from those below. A crate without floors has the rule of circles alone.
const FLOORS: &Floors<'_> = &[
    ("bert-kernels", &[]),
    (
        "bert-core",
        &[
            &["error", "files", "notice", "report", "stop", "text_lines"],
            &["device", "hub"],
            &["ops"],
            &["inference"],
            &["activation"],
            // Families as data, which a configuration refers to and a tokenizer follows; the network of them is in `nn`.
            &["models", "config", "tokenizer"],
            &["batch"],
            &["nn"],
            &["checkpoint"],
            &["training"],
            &["agreement"],
        ],
    ),
    (
        "bert-heads",
        &[
            &[
                "error",
                "labels",
                "losses",
                "metrics",
                "datasets",
                "npy",
                "torch_activation",
            ],
            &["runner", "sentence_embedding", "model_kind"],
            &["task", "tasks"],
            &["pipeline", "scoring", "explain", "augment", "agreement"],
            &["finetune"],
        ],
    ),
    (
        "bert-pretrain",
        &[
            &["error", "recipe"],
            &["corpus"],
            &["vocab", "instances"],
            &["model", "settings"],
            &["objective"],
            &["data", "replaced_tokens"],
            &["run"],
        ],
    ),
    ("benchmarks", &[]),
    ("bert", &[&["prelude", "demo"], &["cli"], &["commands"]]),
];

/// Parts of paths of the files that may import each other in a circle: a configuration names its family, and a family reads
/// and writes the keys of a configuration that are its own.
const ONE_DESCRIPTION: [&str; 2] = ["bert-core/src/config", "bert-core/src/models/"];

/// Lists imports against [`FLOORS`] and circles of files in the workspace's crates, on stderr.
///
/// # Errors
/// If there is one, or the sources can't be listed or read.
pub(crate) fn run() -> Result<()> {
    let mut crates = Crates::default();
    for (name, root) in roots()? {
        crates.read(&name, &root)?;
    }
    let faults = faults(&crates, FLOORS);
    for fault in &faults {
        eprintln!("{fault}");
    }
    match faults.len() {
        0 => Ok(()),
        count => bail!(
            "{count} imports against the layers: see the invariants of docs/architecture.md; the order is FLOORS in xtask/src/layers.rs"
        ),
    }
}

/// The libraries and programs of the workspace: package and root file.
fn roots() -> Result<Vec<(String, PathBuf)>> {
    let mut cargo = shell::cargo();
    cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
    let text = shell::output(&mut cargo).context("cargo does not describe the workspace")?;
    let metadata: Value = serde_json::from_str(&text)?;
    let mut roots = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        for target in package["targets"].as_array().into_iter().flatten() {
            let is_code = |kind: &Value| matches!(kind.as_str(), Some("lib" | "bin" | "cdylib"));
            let kinds = target["kind"].as_array();
            let (Some(name), Some(path)) = (package["name"].as_str(), target["src_path"].as_str())
            else {
                continue;
            };
            if kinds.is_some_and(|kinds| kinds.iter().any(is_code)) {
                roots.push((name.to_owned(), PathBuf::from(path)));
            }
        }
    }
    Ok(roots)
}

/// Imports against `floors`, and circles of files, as messages.
fn faults(crates: &Crates, floors: &Floors<'_>) -> Vec<String> {
    let mut faults = BTreeSet::new();
    for name in crates.names() {
        if floor_of_crate(floors, name).is_none() && crates.imports_crates(name) {
            faults.insert(format!(
                "{name}: the crate has no floor: give it one in xtask/src/layers.rs"
            ));
        }
        let modules = modules_of(floors, name);
        for module in crates.top_modules(name) {
            if !modules.is_empty() && floor(modules, module).is_none() {
                faults.insert(format!(
                    "{name}: the module `{module}` has no floor: give it one in xtask/src/layers.rs"
                ));
            }
        }
    }
    let mut faults: Vec<String> = faults.into_iter().collect();
    // A file's first import of each module that it should not import.
    let mut against = BTreeMap::new();
    for import in crates.imports() {
        if let Some((to, fault)) = fault(&import, floors) {
            let first = against
                .entry((import.file, to))
                .or_insert((import.line, fault.clone()));
            if import.line < first.0 {
                *first = (import.line, fault);
            }
        }
    }
    faults.extend(
        against
            .into_iter()
            .map(|((file, _), (line, fault))| format!("{}:{line}: {fault}", shown(&file))),
    );
    let circles = circles::of_files(crates).into_iter().filter(|circle| {
        let is_part = |path: &Path| {
            let path = shown(path);
            ONE_DESCRIPTION.iter().any(|part| path.starts_with(part))
        };
        !circle.iter().all(|step| is_part(&step.from))
    });
    faults.extend(circles.map(|circle| {
        let steps = circle.iter().map(|step| {
            format!(
                "\n  {}:{} imports {}",
                shown(&step.from),
                step.line,
                shown(&step.to)
            )
        });
        format!("files in a circle:{}", steps.collect::<String>())
    }));
    faults
}

/// The module or crate that an import should not import, and what to say of it.
fn fault(import: &Import, floors: &Floors<'_>) -> Option<(String, String)> {
    let path = &import.path;
    match &import.target {
        Target::Crate(to) => {
            let from = &import.package;
            let is_below = floor_of_crate(floors, to) < floor_of_crate(floors, from);
            let fault = || format!("crate `{from}` imports `{path}`, but `{to}` is not below it");
            (!is_below).then(|| (to.clone(), fault()))
        }
        Target::Module(to) => {
            let modules = modules_of(floors, &import.package);
            let (from, to) = (import.top.as_ref()?, to.as_ref()?);
            let is_above = floor(modules, to)? > floor(modules, from)?;
            let fault = || format!("`{from}` imports `{path}`, but `{to}` is above it");
            is_above.then(|| (to.clone(), fault()))
        }
    }
}

fn floor_of_crate(floors: &Floors<'_>, name: &str) -> Option<usize> {
    floors.iter().position(|(known, _)| *known == name)
}

fn modules_of<'a>(floors: &'a Floors<'a>, name: &str) -> &'a [&'a [&'a str]] {
    let found = floors.iter().find(|(known, _)| *known == name);
    found.map_or(&[], |(_, modules)| modules)
}

/// Position of a module in the order of its crate.
fn floor(modules: &[&[&str]], module: &str) -> Option<usize> {
    modules.iter().position(|floor| floor.contains(&module))
}

/// A path relative to the root of the workspace.
fn shown(file: &Path) -> String {
    let file = file.strip_prefix(shell::root()).unwrap_or(file);
    file.display().to_string()
}

#[cfg(test)]
mod tests;
