//! The book's commands run, print what stands under them, and its links lead somewhere.
//!
//! Blocks fenced as `console` are run in the order of the chapters in one scratch directory: `$ ` begins a command, what
//! follows up to the next is its standard output, in which `…` stands for any text and a line of it for any lines. Runs of
//! spaces count as one. `bert demo` is made tiny, so that the models of the book are there within a moment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A command of the book and what it prints there.
struct Step {
    place: String,
    command: String,
    expected: Vec<String>,
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The targets of the links in a text of Markdown, code left aside.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_code = !in_code;
        }
        // Every other piece of a line is code.
        for prose in line.split('`').step_by(2).filter(|_| !in_code) {
            let targets = prose.split("](").skip(1);
            found.extend(targets.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())));
        }
    }
    found
}

/// The chapters in the order of the summary.
fn chapters() -> Vec<PathBuf> {
    let summary = links(&read(&docs().join("SUMMARY.md")));
    summary.iter().map(|name| docs().join(name)).collect()
}

fn steps(path: &Path) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for (number, line) in (1..).zip(read(path).lines()) {
        match (inside, line) {
            (false, "```console") => inside = true,
            (true, "```") => inside = false,
            (true, line) => match line.strip_prefix("$ ") {
                Some(command) => steps.push(Step {
                    place: format!("{}:{number}", path.display()),
                    command: command.to_owned(),
                    expected: Vec::new(),
                }),
                None => {
                    let step = steps.last_mut();
                    let step = step.unwrap_or_else(|| panic!("{}:{number}", path.display()));
                    step.expected.push(line.to_owned());
                }
            },
            _ => {}
        }
    }
    steps
}

/// True if `found` is `expected` with anything in place of each `…`.
fn line_fits(expected: &str, found: &str) -> bool {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let (expected, found) = (words(expected), words(found));
    let pieces: Vec<&str> = expected.split('…').map(str::trim).collect();
    let [first, between @ .., last] = pieces.as_slice() else {
        return expected == found;
    };
    let Some(mut rest) = found.strip_prefix(first) else {
        return false;
    };
    for piece in between {
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn fits(expected: &[String], found: &[&str]) -> bool {
    match (expected.split_first(), found.split_first()) {
        (None, None) => true,
        (Some((line, rest)), _) if line.trim() == "…" => {
            (0..=found.len()).any(|skipped| fits(rest, &found[skipped..]))
        }
        (Some((line, rest)), Some((other, others))) => line_fits(line, other) && fits(rest, others),
        _ => false,
    }
}

#[test]
fn wildcards_stand_for_text_and_lines() {
    assert!(line_fits("a … c", "a  b c") && line_fits("a", "a ") && line_fits("…", ""));
    assert!(line_fits("x …% …", "x 1 % (y)") && !line_fits("a … c", "a b d"));
    assert!(!line_fits("a", "a b") && !line_fits("a…a", "a"));
    let lines = |text: &[&str]| text.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
    assert!(fits(&lines(&["a", "…", "d"]), &["a", "b", "c", "d"]));
    assert!(!fits(&lines(&["a", "…", "d"]), &["a", "b", "c"]));
    assert!(fits(&lines(&["…"]), &[]) && !fits(&[], &["a"]));
}

#[test]
#[cfg(unix)]
fn the_commands_print_what_the_book_says() {
    let scratch = tempfile::tempdir().unwrap();
    let device = bert_core::device::test_devices().swap_remove(0).0;
    let command = Path::new(env!("CARGO_BIN_EXE_bert"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = command.parent().map(Path::to_owned).into_iter();
    let path = std::env::join_paths(folders.chain(std::env::split_paths(&path))).unwrap();
    let mut count = 0;
    for step in chapters().iter().flat_map(|chapter| steps(chapter)) {
        let line = step.command.replace("bert demo", "bert demo --tiny");
        let output = Command::new("sh")
            .args(["-c", &line])
            .current_dir(scratch.path())
            .env("PATH", &path)
            .env("BERT_DEVICE", &device)
            .env("HF_HUB_OFFLINE", "1")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let message = String::from_utf8_lossy(&output.stderr);
        let place = format!("{}: {}\n{message}", step.place, step.command);
        assert!(output.status.success(), "{place}");
        let found: Vec<&str> = printed.trim_end().lines().collect();
        let shown = step.expected.is_empty() || fits(&step.expected, &found);
        assert!(shown, "{place}printed:\n{printed}");
        count += 1;
    }
    assert!(count >= 15, "{count} commands");
}

#[test]
fn every_page_is_in_the_summary_and_every_link_leads_somewhere() {
    let chapters = chapters();
    for entry in fs::read_dir(docs()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_owned();
        if path.extension().is_some_and(|end| end == "md") && name != "SUMMARY.md" {
            assert!(
                chapters.contains(&path),
                "{} is not in SUMMARY.md",
                path.display()
            );
        }
    }
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    for page in chapters.iter().chain([&readme]) {
        let text = read(page);
        for link in links(&text) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            if file.contains("://") {
                continue;
            }
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link}", page.display());
            // The built book holds nothing from outside its folder.
            let leaves = *page != readme && file.starts_with("../");
            assert!(!leaves, "{}: {link} leaves the book", page.display());
            if !anchor.is_empty() {
                let headings = read(&target);
                let found = headings.lines().any(|line| heading(line) == anchor);
                assert!(found, "{}: no heading for {link}", page.display());
            }
        }
        for include in text.split("{{#include ").skip(1) {
            let file = include.split("}}").next().unwrap();
            assert!(page.parent().unwrap().join(file).is_file(), "{file}");
        }
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    let (_, list) = manifest.split_once("[workspace.dependencies]").unwrap();
    let (list, _) = list.split_once("\n[").unwrap();
    let names = list.lines().filter_map(|line| line.split_once(" = "));
    let page = read(&docs().join("dependencies.md"));
    let table = page.lines().filter(|line| line.starts_with('|'));
    let reasons: String = table.collect();
    for (name, _) in names.filter(|(_, what)| !what.contains("path =")) {
        assert!(
            reasons.contains(&format!("`{name}`")),
            "{name} is not in dependencies.md"
        );
    }
}

/// The anchor of a heading.
fn heading(line: &str) -> String {
    line.trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|letter| match letter {
            ' ' | '-' => Some('-'),
            letter => letter.is_alphanumeric().then_some(letter),
        })
        .collect()
}
