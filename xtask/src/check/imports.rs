//! Which files import which: every `use`, path and `mod child;`, traced to the file that defines what it names.

use std::path::PathBuf;

use super::source::Modules;
use super::syntax::Leaf;

/// One place in which a file names something of another file of its crate.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Import {
    pub(crate) from: PathBuf,
    pub(crate) line: usize,
    /// The file that defines what is named.
    pub(crate) to: PathBuf,
    /// Whether that file is a module inside of the one that names it.
    pub(crate) is_own_child: bool,
    /// The room (a module of the root) that has the importing file, and those that are named: the one that is written,
    /// and the one it comes from if the first only passes it on.
    pub(crate) room: Option<String>,
    pub(crate) rooms: Vec<String>,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// Something that this module defines.
    Item(usize),
    Module(usize),
}

/// Longer chains of re-exports are circles.
const MOST_HOPS: usize = 16;

/// All imports of a crate's files from each other.
pub(crate) fn imports(modules: &Modules) -> Vec<Import> {
    let mut found = Found {
        modules,
        imports: Vec::new(),
    };
    for (index, module) in modules.all.iter().enumerate() {
        for &(child, line) in &module.declared {
            found.add(index, line, child, &[]);
        }
        for leaf in &module.imports {
            match (&leaf.name, modules.resolve(index, &leaf.path, 0)) {
                (_, None) => {}
                (_, Some(Target::Item(owner))) => found.add(index, leaf.line, owner, &leaf.path),
                (None, Some(Target::Module(owner))) => {
                    found.add_glob(index, leaf, owner);
                }
                (Some(name), Some(Target::Module(owner))) => {
                    // What is named through it says which files are meant.
                    let is_used = module.named.iter().any(|named| &named.path[0] == name);
                    let owner = if is_used { index } else { owner };
                    found.add(index, leaf.line, owner, &leaf.path);
                }
            }
        }
        for named in &module.named {
            if !modules.is_new(index, &named.path[0]) {
                continue;
            }
            let target = modules
                .resolve(index, &named.path, 0)
                .or_else(|| modules.macro_above(index, named.is_call.then_some(&named.path[0])?));
            if let Some(Target::Item(owner) | Target::Module(owner)) = target {
                found.add(index, named.line, owner, &named.path);
            }
        }
    }
    found.imports.sort();
    found.imports.dedup();
    found.imports
}

struct Found<'a> {
    modules: &'a Modules,
    imports: Vec<Import>,
}

impl Found<'_> {
    fn add(&mut self, from: usize, line: usize, to: usize, written: &[String]) {
        let written = self.modules.written_room(from, written);
        let (from, to) = (&self.modules.all[from], &self.modules.all[to]);
        let room = from.path.first().cloned();
        let mut rooms: Vec<_> = written
            .into_iter()
            .chain(to.path.first().cloned())
            .filter(|named| Some(named) != room.as_ref())
            .collect();
        rooms.sort();
        rooms.dedup();
        if from.file != to.file || !rooms.is_empty() {
            self.imports.push(Import {
                from: from.file.clone(),
                line,
                to: to.file.clone(),
                is_own_child: to.path.starts_with(&from.path),
                room,
                rooms,
            });
        }
    }

    /// A glob imports the files of the names that it is used for.
    fn add_glob(&mut self, from: usize, glob: &Leaf, owner: usize) {
        let before = self.imports.len();
        for name in self.modules.all[from].bare.keys() {
            if let Some(Target::Item(owner)) =
                self.modules.lookup(owner, std::slice::from_ref(name), 0)
            {
                self.add(from, glob.line, owner, &glob.path);
            }
        }
        if self.imports.len() == before {
            self.add(from, glob.line, owner, &glob.path);
        }
    }
}

impl Modules {
    /// Where a path leads that is written in a module; `None` if it leads out of the crate.
    fn resolve(&self, module: usize, path: &[String], hops: usize) -> Option<Target> {
        let (at, rest) = self.start(module, path)?;
        if rest.len() == path.len() {
            self.lookup(at, rest, hops)
        } else {
            self.member(at, rest, hops)
        }
    }

    /// The module that `crate`, `self` and `super` lead to, and what of the path is left.
    fn start<'a>(&self, module: usize, path: &'a [String]) -> Option<(usize, &'a [String])> {
        let (mut at, mut rest) = (module, path);
        while let Some((first, after)) = rest.split_first() {
            at = match first.as_str() {
                "crate" => 0,
                "self" => at,
                "super" => self.all[at].parent?,
                _ => break,
            };
            rest = after;
        }
        Some((at, rest))
    }

    /// What a path leads to from a module that it has reached. A name that is not found there is made by a macro.
    fn member(&self, at: usize, path: &[String], hops: usize) -> Option<Target> {
        if path.is_empty() {
            return Some(Target::Module(at));
        }
        self.lookup(at, path, hops).or(Some(Target::Item(at)))
    }

    fn lookup(&self, at: usize, path: &[String], hops: usize) -> Option<Target> {
        let (name, rest) = path.split_first()?;
        if hops > MOST_HOPS {
            return None;
        }
        let module = &self.all[at];
        if let Some(&child) = module.children.get(name) {
            return self.member(child, rest, hops);
        }
        if module.items.contains(name) {
            return Some(Target::Item(at));
        }
        let named = module
            .imports
            .iter()
            .filter(|leaf| leaf.name.as_ref() == Some(name) && leaf.path != [name.as_str()]);
        for leaf in named {
            let path = [&leaf.path, rest].concat();
            if let Some(target) = self.resolve(at, &path, hops + 1) {
                return Some(target);
            }
        }
        for glob in module.imports.iter().filter(|leaf| leaf.name.is_none()) {
            if let Some(Target::Module(owner)) = self.resolve(at, &glob.path, hops + 1)
                && owner != at
                && let Some(target) = self.lookup(owner, path, hops + 1)
            {
                return Some(target);
            }
        }
        None
    }

    /// Whether a path that begins so imports something, and does not only use again what a `use` has brought.
    fn is_new(&self, module: usize, first: &str) -> bool {
        let brought = self.all[module]
            .imports
            .iter()
            .find(|leaf| leaf.name.as_deref() == Some(first));
        brought.is_none_or(|leaf| {
            matches!(self.resolve(module, &leaf.path, 0), Some(Target::Module(_)))
        })
    }

    /// A `macro_rules!` of a parent is in scope without an import.
    fn macro_above(&self, module: usize, name: &str) -> Option<Target> {
        let mut above = self.all[module].parent;
        while let Some(at) = above {
            if self.all[at].macros.contains(name) {
                return Some(Target::Item(at));
            }
            above = self.all[at].parent;
        }
        None
    }

    /// The room whose name is in the path. A name without `crate` or `super` was brought by a `use`, which counts instead.
    fn written_room(&self, from: usize, path: &[String]) -> Option<String> {
        let (at, rest) = self.start(from, path)?;
        let room = self.all[at].path.iter().chain(rest).next()?;
        (rest.len() < path.len() && self.all[0].children.contains_key(room)).then(|| room.clone())
    }
}
