//! The few forms of Rust that say what a file imports, as tokens: comments and the insides of strings are left out.

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

/// One name that a `use` brings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Leaf {
    pub(crate) path: Vec<String>,
    /// What it is called here; `None` is a glob.
    pub(crate) name: Option<String>,
    pub(crate) line: usize,
}

/// A path in an expression, a type, or an attribute.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
    /// Whether it is the name of a macro that is called.
    pub(crate) is_call: bool,
}

pub(crate) fn is_punct(tokens: &[TokenTree], at: usize, sign: char) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

fn is_colons(tokens: &[TokenTree], at: usize) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Punct(first)) if first.as_char() == ':' && first.spacing() == Spacing::Joint)
        && is_punct(tokens, at + 1, ':')
}

/// Whether an attribute keeps an item to test builds.
pub(crate) fn is_test_only(attribute: &Group) -> bool {
    fn demands_test(condition: &TokenStream) -> bool {
        let tokens: Vec<_> = condition.clone().into_iter().collect();
        tokens
            .split(|token| matches!(token, TokenTree::Punct(sign) if sign.as_char() == ','))
            .any(|part| match part {
                [TokenTree::Ident(word)] => word == "test",
                [TokenTree::Ident(word), TokenTree::Group(inner)] => {
                    word == "all" && demands_test(&inner.stream())
                }
                _ => false,
            })
    }
    let tokens: Vec<_> = attribute.stream().into_iter().collect();
    matches!(
        tokens.as_slice(),
        [TokenTree::Ident(cfg), TokenTree::Group(condition)] if cfg == "cfg" && demands_test(&condition.stream())
    )
}

/// Whether the parentheses after a `pub` belong to it.
pub(crate) fn is_visibility(limit: &Group) -> bool {
    limit.delimiter() == Delimiter::Parenthesis
        && matches!(
            limit.stream().into_iter().next(),
            Some(TokenTree::Ident(word)) if ["crate", "in", "self", "super"].iter().any(|scope| word == scope)
        )
}

/// Where the item, statement, field or arm that begins at `at` is over.
pub(crate) fn item_end(tokens: &[TokenTree], mut at: usize) -> usize {
    // Further attributes.
    while is_punct(tokens, at, '#') {
        at += 2;
    }
    let mut kind = String::new();
    while let Some(token) = tokens.get(at) {
        match token {
            TokenTree::Ident(word)
                if kind.is_empty() || (kind == "const" && word == "fn") || kind == "pub" =>
            {
                kind = word.to_string();
            }
            TokenTree::Punct(sign) if sign.as_char() == ';' => return at + 1,
            TokenTree::Punct(sign) if sign.as_char() == ',' && !is_keyword(&kind) => return at + 1,
            TokenTree::Group(group)
                if group.delimiter() == Delimiter::Brace && !ends_with_semicolon(&kind) =>
            {
                return at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    at
}

fn ends_with_semicolon(kind: &str) -> bool {
    matches!(kind, "use" | "const" | "static" | "type" | "let")
}

fn is_keyword(kind: &str) -> bool {
    ends_with_semicolon(kind)
        || matches!(
            kind,
            "fn" | "struct"
                | "enum"
                | "union"
                | "trait"
                | "impl"
                | "mod"
                | "unsafe"
                | "async"
                | "extern"
        )
}

/// The path that begins at `at`, and where it is over. It is empty if the identifier there begins none of ours: a method,
/// a lifetime, what follows generics, or the name of another crate.
pub(crate) fn path_at(tokens: &[TokenTree], at: usize) -> (Vec<String>, usize) {
    let follows = |sign, back: usize| at >= back && is_punct(tokens, at - back, sign);
    let is_method = follows('.', 1) && !follows('.', 2);
    let is_lifetime = follows('\'', 1);
    let goes_on = at >= 2 && is_colons(tokens, at - 2);
    let mut path = Vec::new();
    let mut end = at;
    while let Some(TokenTree::Ident(word)) = tokens.get(end) {
        path.push(word.to_string());
        end += 1;
        if is_colons(tokens, end) && matches!(tokens.get(end + 2), Some(TokenTree::Ident(_))) {
            end += 2;
        } else {
            break;
        }
    }
    if is_method || is_lifetime || goes_on || path.first().is_some_and(|first| first == "Self") {
        path.clear();
    }
    (path, end)
}

/// The names that the `use` whose tree begins at `at` brings, and where it is over.
pub(crate) fn use_leaves(tokens: &[TokenTree], at: usize) -> (Vec<Leaf>, usize) {
    let length = tokens[at..]
        .iter()
        .position(|token| matches!(token, TokenTree::Punct(sign) if sign.as_char() == ';'))
        .unwrap_or(tokens.len() - at);
    let mut leaves = Vec::new();
    // A leading `::` is another crate.
    if !is_colons(tokens, at) {
        add_leaves(&tokens[at..at + length], &[], &mut leaves);
    }
    (leaves, (at + length + 1).min(tokens.len()))
}

fn add_leaves(tree: &[TokenTree], before: &[String], leaves: &mut Vec<Leaf>) {
    let mut path = before.to_vec();
    let mut line = 0;
    for (index, token) in tree.iter().enumerate() {
        match token {
            TokenTree::Ident(word) if word == "as" => {
                let name = tree.get(index + 1).map(ToString::to_string);
                leaves.push(Leaf { path, name, line });
                return;
            }
            TokenTree::Ident(word) => {
                line = word.span().start().line;
                // `{self}` is what stands before it.
                if word != "self" || path.is_empty() {
                    path.push(word.to_string());
                }
            }
            TokenTree::Punct(sign) if sign.as_char() == '*' => {
                let line = sign.span().start().line;
                let name = None;
                leaves.push(Leaf { path, name, line });
                return;
            }
            TokenTree::Group(braces) => {
                let inner: Vec<_> = braces.stream().into_iter().collect();
                for part in inner
                    .split(|token| matches!(token, TokenTree::Punct(sign) if sign.as_char() == ','))
                {
                    if !part.is_empty() {
                        add_leaves(part, &path, leaves);
                    }
                }
                return;
            }
            _ => {}
        }
    }
    let name = path.last().cloned();
    leaves.push(Leaf { path, name, line });
}

/// Paths in the strings of an attribute, as in `#[serde(with = "crate::text")]`. Other attributes than serde's have words
/// in them that are not paths.
pub(crate) fn paths_in_strings(attribute: &Group) -> Vec<Named> {
    let mut tokens = attribute.stream().into_iter();
    match (tokens.next(), tokens.next()) {
        (Some(TokenTree::Ident(name)), Some(TokenTree::Group(settings)))
            if name == "serde" || name == "schemars" =>
        {
            let literals = settings
                .stream()
                .into_iter()
                .filter_map(|token| match token {
                    TokenTree::Literal(literal) => Some(literal),
                    _ => None,
                });
            literals
                .filter_map(|literal| {
                    Some(Named {
                        path: path_in(&literal.to_string())?,
                        line: literal.span().start().line,
                        is_call: false,
                    })
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

fn path_in(literal: &str) -> Option<Vec<String>> {
    let text = literal.strip_prefix('"')?.strip_suffix('"')?;
    let is_name = |part: &str| {
        part.chars()
            .all(|char| char.is_alphanumeric() || char == '_')
            && part.starts_with(|char: char| char.is_alphabetic() || char == '_')
    };
    text.split("::")
        .all(is_name)
        .then(|| text.split("::").map(str::to_owned).collect())
}
