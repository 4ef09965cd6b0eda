//! What the modules of a crate define, import and name. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};

use super::syntax::{
    Leaf, Named, is_punct, is_test_only, is_visibility, item_end, path_at, paths_in_strings,
    use_leaves,
};
use crate::failure::{Doing, Failure};

/// The modules of one target of a crate. The first is its root.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    pub(crate) all: Vec<Module>,
}

/// A module, in a file of its own or in its parent's.
#[derive(Debug)]
pub(crate) struct Module {
    /// Its names from the root of the crate.
    pub(crate) path: Vec<String>,
    pub(crate) parent: Option<usize>,
    pub(crate) file: PathBuf,
    pub(crate) children: BTreeMap<String, usize>,
    /// `mod child;`, with its line.
    pub(crate) declared: Vec<(usize, usize)>,
    pub(crate) items: BTreeSet<String>,
    /// Those of the items that are `macro_rules!`.
    pub(crate) macros: BTreeSet<String>,
    pub(crate) imports: Vec<Leaf>,
    /// Paths elsewhere than in imports.
    pub(crate) named: Vec<Named>,
    /// Names without a path, and where they are first. Globs may have brought them.
    pub(crate) bare: BTreeMap<String, usize>,
}

impl Modules {
    /// Reads a target from its root file on.
    pub(crate) fn read(root: &Path) -> Result<Self, Failure> {
        let mut modules = Self::default();
        let folder = root.parent().unwrap_or(root);
        modules.add(None, Vec::new(), root);
        modules.read_file(0, folder)?;
        Ok(modules)
    }

    fn add(&mut self, parent: Option<usize>, path: Vec<String>, file: &Path) -> usize {
        self.all.push(Module {
            path,
            parent,
            file: file.to_owned(),
            children: BTreeMap::new(),
            declared: Vec::new(),
            items: BTreeSet::new(),
            macros: BTreeSet::new(),
            imports: Vec::new(),
            named: Vec::new(),
            bare: BTreeMap::new(),
        });
        self.all.len() - 1
    }

    fn add_child(&mut self, parent: usize, name: &str, file: &Path) -> usize {
        let mut path = self.all[parent].path.clone();
        path.push(name.to_owned());
        let child = self.add(Some(parent), path, file);
        self.all[parent].children.insert(name.to_owned(), child);
        child
    }

    /// `folder` is where the files of the module's children are.
    fn read_file(&mut self, module: usize, folder: &Path) -> Result<(), Failure> {
        let file = self.all[module].file.clone();
        let text = fs::read_to_string(&file).doing(format_args!("reading {}", file.display()))?;
        let tokens: TokenStream = text
            .parse()
            .doing(format_args!("reading {}", file.display()))?;
        self.scan(module, folder, tokens, true)
    }

    /// `is_body` is true for the tokens of a module itself, and false for what is inside of its items.
    fn scan(
        &mut self,
        module: usize,
        folder: &Path,
        tokens: TokenStream,
        is_body: bool,
    ) -> Result<(), Failure> {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut at = 0;
        let mut file_of_next = None;
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Punct(hash) if hash.as_char() == '#' => {
                    let inner = usize::from(is_punct(&tokens, at + 1, '!'));
                    let Some(TokenTree::Group(attribute)) = tokens.get(at + 1 + inner) else {
                        at += 1;
                        continue;
                    };
                    at += 2 + inner;
                    if is_test_only(attribute) {
                        at = item_end(&tokens, at);
                    } else {
                        file_of_next = self.scan_attribute(module, folder, attribute)?;
                    }
                }
                TokenTree::Ident(word) => {
                    let file = file_of_next.take();
                    at = self.scan_word(module, folder, &tokens, at, word, is_body, file)?;
                }
                TokenTree::Group(group) => {
                    self.scan(module, folder, group.stream(), false)?;
                    at += 1;
                }
                _ => at += 1,
            }
        }
        Ok(())
    }

    /// Gives the file that `#[path]` names.
    fn scan_attribute(
        &mut self,
        module: usize,
        folder: &Path,
        attribute: &Group,
    ) -> Result<Option<PathBuf>, Failure> {
        let tokens: Vec<_> = attribute.stream().into_iter().collect();
        match tokens.as_slice() {
            [TokenTree::Ident(name), ..] if name == "doc" => return Ok(None),
            [TokenTree::Ident(name), _, TokenTree::Literal(file)] if name == "path" => {
                let file = file.to_string();
                return Ok(Some(folder.join(file.trim_matches('"'))));
            }
            _ => {}
        }
        self.all[module].named.extend(paths_in_strings(attribute));
        self.scan(module, folder, attribute.stream(), false)?;
        Ok(None)
    }

    /// Reads on from an identifier; gives where to go on.
    #[expect(
        clippy::too_many_arguments,
        reason = "the state of the scan, in one place only"
    )]
    fn scan_word(
        &mut self,
        module: usize,
        folder: &Path,
        tokens: &[TokenTree],
        at: usize,
        word: &Ident,
        is_body: bool,
        file: Option<PathBuf>,
    ) -> Result<usize, Failure> {
        let line = word.span().start().line;
        let keyword = word.to_string();
        match (keyword.as_str(), tokens.get(at + 1)) {
            // `use<'a>` says what a type captures.
            ("use", Some(next)) if !matches!(next, TokenTree::Punct(sign) if sign.as_char() == '<') =>
            {
                let (leaves, end) = use_leaves(tokens, at + 1);
                self.all[module].imports.extend(leaves);
                return Ok(end);
            }
            ("mod", Some(TokenTree::Ident(name))) if is_body => {
                let name = name.to_string();
                match tokens.get(at + 2) {
                    Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => {
                        let parent = self.all[module].file.clone();
                        let child = self.add_child(module, &name, &parent);
                        self.scan(child, &folder.join(&name), body.stream(), true)?;
                    }
                    _ => self.read_child(module, folder, &name, line, file)?,
                }
                return Ok(at + 3);
            }
            (
                "fn" | "struct" | "enum" | "union" | "trait" | "type" | "const" | "static",
                Some(TokenTree::Ident(name)),
            ) if is_body => {
                self.all[module].items.insert(name.to_string());
            }
            ("macro_rules", _) => {
                if let Some(TokenTree::Ident(name)) = tokens.get(at + 2) {
                    self.all[module].items.insert(name.to_string());
                    self.all[module].macros.insert(name.to_string());
                }
                return Ok(at + 3);
            }
            // `pub(in crate::room)` imports nothing.
            ("pub", Some(TokenTree::Group(limit))) if is_visibility(limit) => return Ok(at + 2),
            _ => {}
        }
        let (path, end) = path_at(tokens, at);
        let is_call = is_punct(tokens, end, '!') && !is_punct(tokens, end + 1, '=');
        match path.as_slice() {
            [] => {}
            [name] if !is_call => {
                self.all[module].bare.entry(name.clone()).or_insert(line);
            }
            _ => self.all[module].named.push(Named {
                path,
                line,
                is_call,
            }),
        }
        Ok(end)
    }

    fn read_child(
        &mut self,
        parent: usize,
        folder: &Path,
        name: &str,
        line: usize,
        file: Option<PathBuf>,
    ) -> Result<(), Failure> {
        let beside = folder.join(format!("{name}.rs"));
        let inside = folder.join(name).join("mod.rs");
        let file = match file {
            Some(file) => file,
            None if beside.is_file() => beside,
            None => inside,
        };
        let child = self.add_child(parent, name, &file);
        self.all[parent].declared.push((child, line));
        self.read_file(child, &folder.join(name))
    }
}
