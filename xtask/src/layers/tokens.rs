//! Declarations, imports and paths in the tokens of a module.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

/// Words before the name of an item.
const ITEMS: [&str; 8] = [
    "fn", "struct", "enum", "union", "trait", "type", "const", "static",
];

/// A module's declarations, without those of tests.
#[derive(Default)]
pub(super) struct Scanned {
    /// Modules in files of their own.
    pub(super) files: Vec<String>,
    /// Modules between braces.
    pub(super) inline: Vec<(String, Scanned)>,
    /// Names of the other items.
    pub(super) items: BTreeSet<String>,
    pub(super) imports: Vec<Imported>,
    /// Paths outside of imports.
    paths: Vec<Named>,
}

/// A name that an import brings in.
pub(super) struct Imported {
    /// Name in the module; none for a glob.
    pub(super) alias: Option<String>,
    pub(super) named: Named,
}

/// A path and the line it is on.
pub(super) struct Named {
    pub(super) path: Vec<String>,
    pub(super) is_glob: bool,
    pub(super) line: usize,
}

impl Scanned {
    /// All paths.
    pub(super) fn named(&self) -> impl Iterator<Item = &Named> {
        let imports = self.imports.iter().map(|import| &import.named);
        imports.chain(&self.paths)
    }
}

/// Reads the tokens of a module.
pub(super) fn scan(stream: TokenStream) -> Scanned {
    let mut scanned = Scanned::default();
    scanned.block(stream, true);
    scanned
}

impl Scanned {
    /// Reads a module's tokens, or those of a group within one of its items.
    fn block(&mut self, stream: TokenStream, is_module: bool) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let mut at = 0;
        // True after `#[path = …]`: the module's file belongs to other code, which is read where it belongs.
        let mut is_elsewhere = false;
        while at < tokens.len() {
            let rest = &tokens[at..];
            at += match &rest[0] {
                TokenTree::Punct(mark) if mark.as_char() == '#' => {
                    is_elsewhere |= names_path(rest);
                    attribute(rest)
                }
                TokenTree::Group(group) => {
                    self.block(group.stream(), false);
                    1
                }
                TokenTree::Ident(ident) => match ident.to_string().as_str() {
                    // The path in `pub(in …)` is no import.
                    "pub" => 1 + usize::from(group(rest, 1, Delimiter::Parenthesis).is_some()),
                    "use" => self.import(rest),
                    "mod" if std::mem::take(&mut is_elsewhere) => {
                        self.items.extend(word(rest, 1));
                        2
                    }
                    "mod" => self.module(rest),
                    "macro_rules" => {
                        self.items.extend(word(rest, 2));
                        3
                    }
                    keyword if is_module && ITEMS.contains(&keyword) => {
                        self.items.extend(word(rest, 1).filter(|name| name != "fn"));
                        1
                    }
                    _ => self.path(&tokens, at),
                },
                _ => 1,
            };
        }
    }

    /// Reads `mod name;` or `mod name { … }`; returns its tokens' number.
    fn module(&mut self, rest: &[TokenTree]) -> usize {
        let Some(name) = word(rest, 1) else { return 1 };
        match group(rest, 2, Delimiter::Brace) {
            Some(body) => self.inline.push((name, scan(body.stream()))),
            None => self.files.push(name),
        }
        3
    }

    /// Reads `use …;`; returns its tokens' number.
    fn import(&mut self, rest: &[TokenTree]) -> usize {
        let end = rest.iter().position(|token| is_mark(token, ';'));
        // `use<…>` of a type has no end of its own.
        let Some(end) = end.filter(|_| !rest.get(1).is_some_and(|token| is_mark(token, '<')))
        else {
            return 1;
        };
        self.tree(&rest[1..end], &[]);
        end + 1
    }

    /// Reads a tree of imports below `prefix`.
    fn tree(&mut self, tokens: &[TokenTree], prefix: &[String]) {
        let mut path = prefix.to_vec();
        let mut alias = None;
        let mut line = 0;
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Ident(ident) => {
                    line = ident.span().start().line;
                    match ident.to_string().as_str() {
                        "as" => {
                            alias = word(tokens, at + 1);
                            at += 1;
                        }
                        "self" if !path.is_empty() => {}
                        name => path.push(name.to_owned()),
                    }
                }
                TokenTree::Group(group) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    for part in inner.split(|token| is_mark(token, ',')) {
                        self.tree(part, &path);
                    }
                    return;
                }
                token if is_mark(token, '*') => {
                    let line = token.span().start().line;
                    self.imports.push(Imported {
                        alias: None,
                        named: Named {
                            path,
                            is_glob: true,
                            line,
                        },
                    });
                    return;
                }
                _ => {}
            }
            at += 1;
        }
        if line > 0 {
            self.imports.push(Imported {
                alias: alias.or_else(|| path.last().cloned()),
                named: Named {
                    path,
                    is_glob: false,
                    line,
                },
            });
        }
    }

    /// Reads a path of two names or more that begins at `start`; returns its tokens' number.
    fn path(&mut self, tokens: &[TokenTree], start: usize) -> usize {
        let follows_mark = start >= 2 && is_double_colon(&tokens[start - 2..]);
        let mut path: Vec<String> = word(tokens, start).into_iter().collect();
        let mut at = start + 1;
        while is_double_colon(&tokens[at.min(tokens.len())..])
            && let Some(name) = word(tokens, at + 2)
        {
            path.push(name);
            at += 3;
        }
        if path.len() > 1 && !follows_mark {
            self.paths.push(Named {
                path,
                is_glob: false,
                line: tokens[start].span().start().line,
            });
        }
        at - start
    }
}

/// True for `#[path = …]`.
fn names_path(rest: &[TokenTree]) -> bool {
    let inside = group(rest, 1, Delimiter::Bracket);
    inside.is_some_and(|group| {
        let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
        word(&tokens, 0).is_some_and(|name| name == "path")
    })
}

/// Number of an attribute's tokens, with those of the item after it if that is a test's.
fn attribute(rest: &[TokenTree]) -> usize {
    let inner = usize::from(rest.get(1).is_some_and(|token| is_mark(token, '!')));
    let Some(body) = group(rest, 1 + inner, Delimiter::Bracket) else {
        return 1;
    };
    let after = 2 + inner;
    match is_of_test(body) {
        true => after + item(&rest[after..]),
        false => after,
    }
}

/// True for `#[test]` and `#[cfg(test)]`, also with more conditions, but not for `#[cfg(not(test))]`.
fn is_of_test(attribute: &Group) -> bool {
    let tokens: Vec<TokenTree> = attribute.stream().into_iter().collect();
    match word(&tokens, 0).as_deref() {
        Some("test") => true,
        Some("cfg") => group(&tokens, 1, Delimiter::Parenthesis).is_some_and(wants_test),
        _ => false,
    }
}

fn wants_test(conditions: &Group) -> bool {
    let tokens: Vec<TokenTree> = conditions.stream().into_iter().collect();
    let mut parts = tokens.split(|token| is_mark(token, ','));
    parts.any(|part| match word(part, 0).as_deref() {
        Some("test") => part.len() == 1,
        Some("all") => group(part, 1, Delimiter::Parenthesis).is_some_and(wants_test),
        _ => false,
    })
}

/// Number of the tokens of an item: up to its semicolon or braces.
fn item(rest: &[TokenTree]) -> usize {
    let end = rest.iter().position(|token| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => is_mark(token, ';'),
    });
    // The braces of an import are not its end.
    match (end, word(rest, 0).as_deref()) {
        (Some(end), Some("use" | "pub")) if !is_mark(&rest[end], ';') => {
            let semicolon = rest.get(end + 1).is_some_and(|token| is_mark(token, ';'));
            end + 1 + usize::from(semicolon)
        }
        (Some(end), _) => end + 1,
        (None, _) => rest.len(),
    }
}

fn word(tokens: &[TokenTree], at: usize) -> Option<String> {
    match tokens.get(at)? {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    }
}

fn group(tokens: &[TokenTree], at: usize, delimiter: Delimiter) -> Option<&Group> {
    match tokens.get(at)? {
        TokenTree::Group(group) if group.delimiter() == delimiter => Some(group),
        _ => None,
    }
}

fn is_mark(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

fn is_double_colon(tokens: &[TokenTree]) -> bool {
    matches!(
        tokens,
        [TokenTree::Punct(first), TokenTree::Punct(second), ..]
            if first.as_char() == ':' && first.spacing() == Spacing::Joint && second.as_char() == ':'
    )
}
