//! Tests that Cargo files, README and docs name the backends of the table, and no others.

use std::path::Path;

use crate::device::{BACKENDS, BackendId, DeviceSpec};

/// Features of `bert-core` that are no backends.
const OTHER_FEATURES: [&str; 5] = ["default", "autotune", "cubecl", "kernels", "dashboard"];

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Lines of the section `[features]`, each a feature and what it turns on.
fn features(manifest: &str) -> Vec<(&str, &str)> {
    manifest
        .lines()
        .skip_while(|line| *line != "[features]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
        .filter(|(feature, _)| !OTHER_FEATURES.contains(feature))
        .collect()
}

/// Cells of the rows below the header `| feature | …`.
fn table(markdown: &str) -> Vec<Vec<String>> {
    markdown
        .lines()
        .skip_while(|line| !line.starts_with("| feature |"))
        .skip(2)
        .map_while(|line| line.strip_prefix('|')?.strip_suffix('|'))
        .map(|row| {
            let row = row.replace(r"\|", "\0");
            let cells = row.split('|');
            cells
                .map(|cell| cell.trim().replace('\0', "|"))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Pieces of code in a line of Markdown.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Device that a label stands for whose variable parts are named.
fn example(label: &str) -> DeviceSpec {
    let label = label
        .replace("KEY@HOST:PORT", &format!("{}@host:3000", "0".repeat(64)))
        .replace(":N", ":0");
    let parsed = label.parse();
    parsed.unwrap_or_else(|error| panic!("{error}"))
}

/// Labels that a grammar such as `a[:b|:c]` produces.
fn expand(grammar: &str) -> Vec<String> {
    match grammar.strip_suffix(']').and_then(|g| g.split_once('[')) {
        Some((name, endings)) => std::iter::once(String::new())
            .chain(endings.split('|').map(str::to_owned))
            .map(|ending| format!("{name}{ending}"))
            .collect(),
        None => vec![grammar.to_owned()],
    }
}

#[test]
fn features_of_all_crates_are_those_of_the_table() {
    let expected: Vec<&str> = BACKENDS.iter().map(|backend| backend.feature).collect();
    let core = read("bert-core/Cargo.toml");
    let names: Vec<&str> = features(&core).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, expected);
    for file in [
        "Cargo.toml",
        "bert-heads/Cargo.toml",
        "bert-pretrain/Cargo.toml",
    ] {
        let manifest = read(file);
        let forwarded = features(&manifest);
        let names: Vec<&str> = forwarded.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, expected, "{file}");
        for (name, enabled) in forwarded {
            assert_eq!(enabled, format!(r#"["bert-core/{name}"]"#), "{file}");
        }
    }
}

#[test]
fn every_label_of_a_grammar_belongs_to_its_backend() {
    for backend in BACKENDS {
        // Where a name and an ellipsis stand for the labels of wgpu.
        let like_wgpu = backend.labels.split_once('…').map(|(name, _)| name);
        let labels = match like_wgpu {
            Some(name) => expand(BackendId::Wgpu.info().labels)
                .iter()
                .map(|label| label.replace("wgpu", name))
                .collect(),
            None => expand(backend.labels),
        };
        for label in labels {
            let spec = example(&label);
            assert_eq!(spec.backend().id, backend.id, "{label}");
            assert!(spec.to_string().starts_with(backend.name), "{label}");
        }
        for label in backend.gpus.iter().chain(&backend.processor) {
            assert_eq!(example(label).backend().id, backend.id, "{label}");
        }
        assert_eq!(
            backend.preference.is_none(),
            backend.name == "remote",
            "{}",
            backend.name
        );
        if let Some(alias) = backend.alias {
            assert_eq!(example(alias).backend().id, backend.id);
        }
    }
}

#[test]
fn the_readme_has_a_row_for_every_backend() {
    let readme = read("README.md");
    let rows = table(&readme);
    let named: Vec<&str> = rows.iter().flat_map(|row| code(&row[0])).collect();
    let expected: Vec<&str> = BACKENDS.iter().map(|backend| backend.feature).collect();
    assert_eq!(named, expected);
    for row in &rows {
        assert_eq!(row.len(), 4, "{row:?}");
        assert!(row.iter().all(|cell| !cell.is_empty()), "{row:?}");
        let features: Vec<&str> = code(&row[0]).collect();
        let labels: Vec<&str> = code(&row[1])
            .filter(|code| !code.starts_with("bert "))
            .collect();
        assert_eq!(
            labels.is_empty(),
            row[1] == "the same with that name",
            "{row:?}"
        );
        for label in labels {
            assert!(features.contains(&example(label).feature()), "{label}");
        }
    }
}

#[test]
fn docs_have_the_table_as_it_is() {
    let rows: String = BACKENDS
        .iter()
        .map(|backend| {
            format!(
                "| `{}` | `{}` | {} |\n",
                backend.feature,
                backend.labels.replace('|', r"\|"),
                backend.runs_on
            )
        })
        .collect();
    let expected = format!("| feature | labels | runs on |\n| --- | --- | --- |\n{rows}\n");
    assert!(
        read("docs/backends.md").contains(&expected),
        "docs/backends.md must have this table:\n{expected}"
    );
}
