//! Modules of crates and the paths that they name, read from the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use proc_macro2::TokenStream;

use super::tokens::{Scanned, scan};

/// Paths that lead through re-exports are followed as far as this.
const MOST_STEPS: usize = 16;

/// The modules of all crates.
#[derive(Default)]
pub(super) struct Crates {
    modules: Vec<Module>,
}

/// A module, in a file of its own or within one.
struct Module {
    package: String,
    parent: Option<usize>,
    name: String,
    file: PathBuf,
    children: BTreeMap<String, usize>,
    scanned: Scanned,
}

/// An import or another path that leads to a module of the workspace.
pub(super) struct Import {
    pub(super) package: String,
    /// The module of the importing file right below the crate's root; none in the root itself.
    pub(super) top: Option<String>,
    pub(super) file: PathBuf,
    pub(super) line: usize,
    pub(super) path: String,
    pub(super) target: Target,
}

/// Destination of an [`Import`].
pub(super) enum Target {
    /// Another package of the workspace.
    Crate(String),
    /// A module right below the root of the crate; none for the root itself.
    Module(Option<String>),
}

/// An import of a file from another.
#[derive(Clone, Debug)]
pub(super) struct FileImport {
    pub(super) from: PathBuf,
    pub(super) line: usize,
    pub(super) to: PathBuf,
}

/// The end of a path: a module, or an item in it.
#[derive(Clone, Copy)]
struct End {
    module: usize,
    is_module: bool,
}

impl Crates {
    /// Adds the crate with the root file `root` to the package `package`.
    ///
    /// # Errors
    /// If a file can't be read or parsed.
    pub(super) fn read(&mut self, package: &str, root: &Path) -> Result<()> {
        let dir = root.parent().unwrap_or(Path::new("")).to_owned();
        self.read_file(package, None, "crate", root.to_owned(), &dir)?;
        Ok(())
    }

    fn read_file(
        &mut self,
        package: &str,
        parent: Option<usize>,
        name: &str,
        file: PathBuf,
        dir: &Path,
    ) -> Result<usize> {
        let text = fs::read_to_string(&file)
            .with_context(|| format!("could not read {}", file.display()))?;
        let stream: TokenStream = text
            .parse()
            .ok()
            .with_context(|| format!("{} is not Rust", file.display()))?;
        self.add(package, parent, name, file, dir, scan(stream))
    }

    fn add(
        &mut self,
        package: &str,
        parent: Option<usize>,
        name: &str,
        file: PathBuf,
        dir: &Path,
        mut scanned: Scanned,
    ) -> Result<usize> {
        let index = self.modules.len();
        let files = std::mem::take(&mut scanned.files);
        let inline = std::mem::take(&mut scanned.inline);
        self.modules.push(Module {
            package: package.to_owned(),
            parent,
            name: name.to_owned(),
            file: file.clone(),
            children: BTreeMap::new(),
            scanned,
        });
        for child in files {
            let flat = dir.join(format!("{child}.rs"));
            let below = dir.join(&child);
            let path = match flat.exists() {
                true => flat,
                false => below.join("mod.rs"),
            };
            let added = self.read_file(package, Some(index), &child, path, &below)?;
            self.modules[index].children.insert(child, added);
        }
        for (child, scanned) in inline {
            let below = dir.join(&child);
            let added = self.add(package, Some(index), &child, file.clone(), &below, scanned)?;
            self.modules[index].children.insert(child, added);
        }
        Ok(index)
    }

    /// The packages, each once.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        let packages = self.modules.iter();
        packages.map(|module| module.package.as_str()).collect()
    }

    /// The modules right below the roots of a package.
    pub(super) fn top_modules(&self, package: &str) -> BTreeSet<&str> {
        let roots = self.modules.iter();
        let roots = roots.filter(|module| module.parent.is_none() && module.package == package);
        roots
            .flat_map(|root| root.children.keys().map(String::as_str))
            .collect()
    }

    /// True if the package names another of the workspace.
    pub(super) fn imports_crates(&self, package: &str) -> bool {
        let mut imports = self.imports().into_iter();
        imports.any(|import| import.package == package && matches!(import.target, Target::Crate(_)))
    }

    /// All imports and paths that lead to another module right below a root, or to another package.
    pub(super) fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (index, module) in self.modules.iter().enumerate() {
            for named in module.scanned.named() {
                let Some(target) = self.target(index, &named.path) else {
                    continue;
                };
                imports.push(Import {
                    package: module.package.clone(),
                    top: self.top(index),
                    file: module.file.clone(),
                    line: named.line,
                    path: named.path.join("::"),
                    target,
                });
            }
        }
        imports
    }

    fn target(&self, from: usize, path: &[String]) -> Option<Target> {
        if let Some(end) = self.resolve(from, path, MOST_STEPS) {
            return Some(Target::Module(self.top(end.module)));
        }
        let package = self.package_of(path.first()?)?;
        let is_other = package != self.modules[from].package;
        is_other.then(|| Target::Crate(package.to_owned()))
    }

    /// The package that code calls `name`.
    fn package_of(&self, name: &str) -> Option<&str> {
        let mut modules = self.modules.iter();
        let found = modules.find(|module| module.package.replace('-', "_") == name);
        found.map(|module| module.package.as_str())
    }

    /// Imports between files of one crate, but for those between a module and the modules within it.
    pub(super) fn file_imports(&self) -> Vec<FileImport> {
        let mut imports = Vec::new();
        for (index, module) in self.modules.iter().enumerate() {
            for named in module.scanned.named() {
                let Some(end) = self.resolve(index, &named.path, MOST_STEPS) else {
                    continue;
                };
                // A module that is imported by its name is used by paths that begin with it.
                if end.is_module && !named.is_glob {
                    continue;
                }
                let (own, other) = (self.file_module(index), self.file_module(end.module));
                if own == other || self.is_within(own, other) || self.is_within(other, own) {
                    continue;
                }
                imports.push(FileImport {
                    from: module.file.clone(),
                    line: named.line,
                    to: self.modules[other].file.clone(),
                });
            }
        }
        imports
    }

    /// The module that a path leads to or has its item in, if that is in the crate of `from`.
    fn resolve(&self, from: usize, path: &[String], steps: usize) -> Option<End> {
        let steps = steps.checked_sub(1)?;
        let (first, mut rest) = path.split_first()?;
        let module = |module| End {
            module,
            is_module: true,
        };
        let mut end = match first.as_str() {
            "crate" => module(self.root(from)),
            "self" => module(from),
            "super" => module(self.modules[from].parent?),
            name => self.lookup(from, name, rest.is_empty(), steps)?,
        };
        while end.is_module
            && let Some((name, after)) = rest.split_first()
        {
            rest = after;
            end = match name.as_str() {
                "super" => module(self.modules[end.module].parent?),
                // What is declared by a macro is taken to be in the module that the path names.
                name => self
                    .lookup(end.module, name, rest.is_empty(), steps)
                    .unwrap_or(End {
                        module: end.module,
                        is_module: false,
                    }),
            };
        }
        Some(end)
    }

    /// The item or module called `name` in a module.
    fn lookup(&self, within: usize, name: &str, is_last: bool, steps: usize) -> Option<End> {
        let module = &self.modules[within];
        let item = module.scanned.items.contains(name).then_some(End {
            module: within,
            is_module: false,
        });
        let child = module.children.get(name).map(|&module| End {
            module,
            is_module: true,
        });
        let declared = match is_last {
            true => item.or(child),
            false => child.or(item),
        };
        declared.or_else(|| {
            let steps = steps.checked_sub(1)?;
            let imports = || module.scanned.imports.iter();
            let named = imports().filter(|import| import.alias.as_deref() == Some(name));
            let mut ends = named
                // An import of a crate under its own name leads out.
                .filter(|import| import.named.path.len() > 1 || import.named.path[0] != name)
                .filter_map(|import| self.resolve(within, &import.named.path, steps));
            ends.next().or_else(|| {
                let globs = imports().filter(|import| import.named.is_glob);
                let mut ends = globs
                    .filter_map(|import| self.resolve(within, &import.named.path, steps))
                    .filter(|end| end.is_module && end.module != within)
                    .filter_map(|end| self.lookup(end.module, name, is_last, steps));
                ends.next()
            })
        })
    }

    fn root(&self, mut module: usize) -> usize {
        while let Some(parent) = self.modules[module].parent {
            module = parent;
        }
        module
    }

    /// Name of the module right below the root that `module` is or lies in.
    fn top(&self, mut module: usize) -> Option<String> {
        loop {
            let parent = self.modules[module].parent?;
            if self.modules[parent].parent.is_none() {
                return Some(self.modules[module].name.clone());
            }
            module = parent;
        }
    }

    /// The module that a file of its own begins, around or at `module`.
    fn file_module(&self, mut module: usize) -> usize {
        while let Some(parent) = self.modules[module].parent
            && self.modules[parent].file == self.modules[module].file
        {
            module = parent;
        }
        module
    }

    fn is_within(&self, mut module: usize, other: usize) -> bool {
        while let Some(parent) = self.modules[module].parent {
            if parent == other {
                return true;
            }
            module = parent;
        }
        false
    }
}
