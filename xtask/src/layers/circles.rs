//! Circles of files that import each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use super::source::{Crates, FileImport};

/// The imports of each file, by the file that they lead to.
type Graph = BTreeMap<PathBuf, BTreeMap<PathBuf, FileImport>>;

/// The shortest circle of every group of files that reach each other.
pub(super) fn of_files(crates: &Crates) -> Vec<Vec<FileImport>> {
    let mut graph = Graph::new();
    for import in crates.file_imports() {
        let targets = graph.entry(import.from.clone()).or_default();
        targets.entry(import.to.clone()).or_insert(import);
    }
    let mut circles: Vec<Vec<FileImport>> = graph
        .keys()
        .filter_map(|file| shortest_from(&graph, file))
        .collect();
    circles.sort_by_key(Vec::len);
    let mut seen = BTreeSet::new();
    circles.retain(|circle| {
        let files = || circle.iter().map(|import| import.from.clone());
        let is_new = files().all(|file| !seen.contains(&file));
        seen.extend(files());
        is_new
    });
    circles
}

/// The shortest way from `file` back to it.
fn shortest_from(graph: &Graph, file: &PathBuf) -> Option<Vec<FileImport>> {
    let mut reached: BTreeMap<&PathBuf, &FileImport> = BTreeMap::new();
    let mut next = VecDeque::from([file]);
    while let Some(at) = next.pop_front() {
        for (to, import) in graph.get(at).into_iter().flatten() {
            if reached.contains_key(to) {
                continue;
            }
            reached.insert(to, import);
            if to == file {
                return Some(way_back(&reached, file));
            }
            next.push_back(to);
        }
    }
    None
}

/// The imports that lead from `file` to itself, in their order.
fn way_back(reached: &BTreeMap<&PathBuf, &FileImport>, file: &PathBuf) -> Vec<FileImport> {
    let mut circle = Vec::new();
    let mut at = file;
    loop {
        let import = reached[at];
        circle.push(import.clone());
        at = &import.from;
        if at == file {
            circle.reverse();
            return circle;
        }
    }
}
