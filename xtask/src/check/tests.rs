//! The repository against its rules, and the reading of Rust on small crates.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::circles::circles;
use super::imports::{Import, imports};
use super::source::Modules;

#[test]
fn the_structure_of_the_repository_is_what_rules_and_page_say() {
    let found = super::structure(crate::workspace()).unwrap();
    let texts: Vec<_> = found.iter().filter_map(super::Findings::describe).collect();
    assert!(texts.is_empty(), "{}", texts.join("\n\n"));
}

/// Writes a crate; the first file is its root.
fn krate(files: &[(&str, &str)]) -> (tempfile::TempDir, Modules) {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let modules = Modules::read(&folder.path().join(files[0].0)).unwrap();
    (folder, modules)
}

/// `from:line to` for all imports but those of a file's own children.
fn arrows(files: &[(&str, &str)]) -> Vec<String> {
    let (folder, modules) = krate(files);
    let short = |file: &Path| {
        file.strip_prefix(folder.path())
            .unwrap()
            .display()
            .to_string()
    };
    imports(&modules)
        .iter()
        .filter(|import| !import.is_own_child && import.from != import.to)
        .map(|import| {
            format!(
                "{}:{} {}",
                short(&import.from),
                import.line,
                short(&import.to)
            )
        })
        .collect()
}

/// What `b.rs` imports from `a.rs`, with `text` in `b.rs`: the lines.
fn lines_of(text: &str) -> Vec<usize> {
    let a = "pub struct A; pub fn make() {} pub mod inner { pub struct Inner; } #[macro_export] macro_rules! shout { () => {} }";
    let (folder, modules) = krate(&[
        ("lib.rs", "mod a; mod b; pub use a::A as Alias;"),
        ("a.rs", a),
        ("b.rs", text),
    ]);
    imports(&modules)
        .iter()
        .filter(|import| import.from == folder.path().join("b.rs") && import.to != import.from)
        .map(|import| import.line)
        .collect()
}

#[test]
fn imports_are_found_however_they_are_written() {
    for (text, why) in [
        ("use crate::a::A;", "from the root"),
        ("use super::a::A;", "from the parent"),
        ("use self::super::a::A;", "from itself"),
        ("use crate::{a::{A as B, make}};", "in nested braces"),
        ("use crate::a::{self, A};", "with the module"),
        ("pub(crate) use super::a::A as _;", "for a trait's methods"),
        ("use crate::Alias;", "through a re-export of the root"),
        ("use crate::a::*; fn f(_: A) {}", "by a glob"),
        ("use crate::a;", "as a module only"),
        ("use crate::a; fn f() { a::make() }", "through the module"),
        (
            "use crate::a as other; fn f() -> other::A { other::A }",
            "through the renamed module",
        ),
        ("fn f() { use crate::a::A; }", "in a function"),
        ("fn f() -> Vec<crate::a::A> { vec![] }", "in a type"),
        (
            "fn f() { let _ = || super::a::make(); }",
            "in an expression",
        ),
        (
            "fn f() { println!(\"{:?}\", crate::a::make()); }",
            "in a macro's arguments",
        ),
        ("fn f() { let _ = None::<crate::a::A>; }", "in a turbofish"),
        ("fn f() { crate::a::make::<u8>(); }", "before a turbofish"),
        ("#[derive(crate::a::Derive)] struct S;", "in an attribute"),
        (
            "struct S { #[serde(with = \"crate::a::inner\")] s: u8 }",
            "in an attribute's string",
        ),
        (
            "use crate::a; struct S { #[serde(with = \"a\")] s: u8 }",
            "as an attribute's module",
        ),
        (
            "impl crate::a::Trait for S {}",
            "made by a macro, as it seems",
        ),
        (
            "mod deeper { use super::super::a::A; }",
            "in a module inside",
        ),
        (
            "mod deeper { fn f(_: crate::a::inner::Inner) {} }",
            "of a module inside",
        ),
        ("#[cfg(not(test))] use crate::a::A;", "not in tests"),
        (
            "#[cfg(any(test, feature = \"x\"))] use crate::a::A;",
            "in tests, too",
        ),
        (
            "#[cfg(test)] mod tests { } use crate::a::A;",
            "after the tests",
        ),
        (
            "#[cfg(test)] use std::{io, fmt}; use crate::a::A;",
            "after an import of the tests",
        ),
        (
            "struct S { #[cfg(test)] t: u8, a: crate::a::A }",
            "after a field of the tests",
        ),
        (
            "fn f() -> impl Fn() + use<> { use crate::a::make; make }",
            "beside a precise capture",
        ),
        ("fn f<'a>(_: &'a crate::a::A) {}", "after a lifetime"),
        ("const X: [u8; 1] = [..crate::a::LEN];", "after two dots"),
    ] {
        assert_eq!(lines_of(text), [1], "{why}: {text}");
    }
}

#[test]
fn what_imports_nothing_is_not_taken_for_an_import() {
    for (text, why) in [
        ("// use crate::a::A;", "a comment"),
        (
            "/* use crate::a::A; /* nested */ use crate::a::A; */",
            "nested comments",
        ),
        ("/// [`crate::a::A`]\nstruct S;", "documentation"),
        ("const S: &str = \"use crate::a::A;\";", "a string"),
        ("const S: &str = r#\"\"use crate::a::A;\"#;", "a raw string"),
        (
            "const S: &[u8] = b\"crate::a::A\"; const C: char = '\"';",
            "bytes",
        ),
        ("use ::a::A;", "another crate"),
        ("use a::A;", "another crate of that name"),
        ("use std::a::A;", "what has the same name elsewhere"),
        ("#[cfg(test)] mod tests { use crate::a::A; }", "tests"),
        (
            "#[cfg(test)]\n#[allow(dead_code)]\nfn f() -> u8 { crate::a::make() }",
            "a function of the tests",
        ),
        (
            "#[cfg(all(test, unix))] use crate::a::{A, make};",
            "an import of the tests",
        ),
        (
            "impl S { #[cfg(test)] pub(crate) fn f() { crate::a::make() } }",
            "a method of the tests",
        ),
        (
            "fn f() { #[cfg(test)] crate::a::make(); }",
            "a statement of the tests",
        ),
        ("pub(in crate::a) struct S;", "a visibility"),
        (
            "fn f(a: S) { a.make::<u8>(); a.inner.make(); }",
            "a variable's methods",
        ),
        ("mod a { pub struct A; } use self::a::A;", "what is its own"),
        (
            "#[doc = \"crate::a::A\"] struct S;",
            "documentation in an attribute",
        ),
        (
            "#[arg(requires = \"a\")] struct S;",
            "a word in another attribute",
        ),
    ] {
        assert_eq!(lines_of(text), [0; 0], "{why}: {text}");
    }
}

#[test]
fn an_import_leads_to_the_file_that_defines_what_is_named() {
    let files = [
        ("lib.rs", "mod room;\nmod user;\npub use room::*;"),
        (
            "room/mod.rs",
            "mod deep;\nmod wide;\npub use deep::{Deep, self as low};\npub use wide::*;\npub struct Own;",
        ),
        ("room/deep/mod.rs", "mod end;\npub use end::End as Deep;"),
        ("room/deep/end.rs", "pub struct End;"),
        (
            "room/wide.rs",
            "use super::Own;\npub struct Wide(super::low::Deep);",
        ),
        (
            "user.rs",
            "use crate::room::Deep;\nuse crate::room::Wide;\nuse crate::room::Own;\nuse crate::Wide as W;\nuse crate::room::Generated;",
        ),
    ];
    assert_eq!(
        arrows(&files),
        [
            "room/wide.rs:1 room/mod.rs",
            "room/wide.rs:2 room/deep/end.rs",
            "user.rs:1 room/deep/end.rs",
            "user.rs:2 room/wide.rs",
            "user.rs:3 room/mod.rs",
            "user.rs:4 room/wide.rs",
            "user.rs:5 room/mod.rs",
        ]
    );
}

#[test]
fn macros_of_a_parent_are_imports_without_a_path() {
    let files = [
        (
            "main.rs",
            "macro_rules! shout { () => {} }\nmod child;\n#[path = \"other.rs\"]\nmod named;",
        ),
        ("child.rs", "fn f() { shout!(); write!(); }"),
        ("other.rs", "fn f() { crate::shout!(); if a != b {} }"),
    ];
    assert_eq!(arrows(&files), ["child.rs:1 main.rs", "other.rs:1 main.rs"]);
}

fn circle_of(files: &[(&str, &str)]) -> Vec<(BTreeSet<String>, String)> {
    let (folder, modules) = krate(files);
    let imports: Vec<Import> = imports(&modules);
    circles(&imports)
        .iter()
        .map(|circle| {
            let names = circle.files.iter();
            let names = names.map(|file| file.file_name().unwrap().to_string_lossy().into_owned());
            (names.collect(), circle.describe(folder.path()))
        })
        .collect()
}

#[test]
fn a_circle_is_shown_with_the_lines_that_make_it() {
    let found = circle_of(&[
        ("lib.rs", "mod a;\nmod b;\nmod c;\nmod d;"),
        ("a.rs", "use crate::b::B;\npub struct A;"),
        ("b.rs", "// Comes first.\nuse crate::c::C;\npub struct B;"),
        ("c.rs", "pub struct C(super::a::A);"),
        ("d.rs", "use crate::a::A;"),
    ]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        found[0].1,
        "a circle of 3 files: a.rs, b.rs, c.rs\n  \
         a.rs:1 -> b.rs: use crate::b::B;\n  \
         b.rs:2 -> c.rs: use crate::c::C;\n  \
         c.rs:1 -> a.rs: pub struct C(super::a::A);"
    );
}

#[test]
fn a_re_export_makes_no_circle_but_what_is_behind_it_may() {
    let room = (
        "room/mod.rs",
        "mod a;\nmod b;\npub use a::A;\npub use b::B;\npub struct Own;",
    );
    let harmless = circle_of(&[
        ("lib.rs", "mod room;"),
        room,
        ("room/a.rs", "use super::{B, Own};\npub struct A;"),
        ("room/b.rs", "use super::Own;\npub struct B;"),
    ]);
    assert!(harmless.is_empty(), "{harmless:?}");
    let circle = circle_of(&[
        ("lib.rs", "mod room;"),
        room,
        ("room/a.rs", "use super::B;\npub struct A;"),
        ("room/b.rs", "use super::A;\npub struct B;"),
    ]);
    assert_eq!(circle.len(), 1, "{circle:?}");
}

#[test]
fn two_circles_that_share_no_file_are_two() {
    let found = circle_of(&[
        ("lib.rs", "mod a;\nmod b;\nmod c;\nmod d;"),
        ("a.rs", "use crate::b::B;\npub struct A;"),
        ("b.rs", "use crate::a::A;\npub struct B;"),
        ("c.rs", "use crate::d::D;\nuse crate::a::A;\npub struct C;"),
        ("d.rs", "use crate::c::C;\npub struct D;"),
    ]);
    let files: Vec<_> = found.into_iter().map(|(files, _)| files).collect();
    let set = |names: [&str; 2]| BTreeSet::from(names.map(str::to_owned));
    assert_eq!(files, [set(["a.rs", "b.rs"]), set(["c.rs", "d.rs"])]);
}
