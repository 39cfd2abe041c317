//! The project's own source text, as the tests that read it need it: code apart from comments.
//!
//! A small lexer of Rust that knows comments, strings and characters, and nothing else. Offsets
//! and line breaks stay as they were, so that a finding has its line.

use std::fs;
use std::path::{Path, PathBuf};

/// One file of Rust.
pub(crate) struct Source {
    /// Path from the top of the project.
    pub(crate) path: String,
    /// The file as it is.
    pub(crate) text: String,
    /// The text with comments and the contents of strings blanked.
    pub(crate) code: String,
    /// The text with everything but comments blanked.
    pub(crate) comments: String,
    /// Bytes before its own tests, which stand at the end; all of it when it has none.
    pub(crate) body: usize,
}

impl Source {
    /// Takes a file's text apart.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (code, comments) = split(text);
        let body = if path.ends_with("/tests.rs") || path.contains("/tests/") {
            0
        } else {
            code.match_indices("#[cfg(test)]")
                .map(|(at, _)| at)
                .find(|at| is_module(&code[*at..]))
                .unwrap_or(code.len())
        };
        Self { path: path.to_owned(), text: text.to_owned(), code, comments, body }
    }

    /// Every Rust file under `folder` of the project, by path.
    pub(crate) fn tree(folder: &str) -> Vec<Self> {
        let mut sources: Vec<Self> = files(&top().join(folder))
            .into_iter()
            .filter(|path| path.extension().is_some_and(|end| end == "rs"))
            .map(|path| Self::new(&below_top(&path), &fs::read_to_string(&path).unwrap()))
            .collect();
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        assert!(!sources.is_empty(), "no source under {folder}");
        sources
    }

    /// Code without the file's own tests.
    pub(crate) fn body_code(&self) -> &str {
        &self.code[..self.body]
    }

    /// Lines without the file's own tests.
    pub(crate) fn body_lines(&self) -> usize {
        self.text[..self.body].lines().count()
    }

    /// `path:line: what` for a finding at `offset`.
    pub(crate) fn fault(&self, offset: usize, what: &str) -> String {
        let line = 1 + self.text[..offset].matches('\n').count();
        format!("{}:{line}: {what}", self.path)
    }
}

/// The folder of the project.
pub(crate) fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `path` from the top of the project.
pub(crate) fn below_top(path: &Path) -> String {
    path.strip_prefix(top()).unwrap().display().to_string()
}

/// Every file below `folder`, but for build output and what is hidden.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if name == "target" || name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Offsets at which `word` stands by itself: no letter, digit or underscore touches it.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .filter(move |(at, _)| {
            let before = code[..*at].chars().next_back();
            let after = code[at + word.len()..].chars().next();
            let starts = !word.starts_with(part) || !before.is_some_and(part);
            let ends = !word.ends_with(part) || !after.is_some_and(part);
            starts && ends
        })
        .map(|(at, _)| at)
}

/// Fails with all findings, one a line.
pub(crate) fn refuse(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Code,
    LineComment,
    BlockComment { depth: usize },
    Text { hashes: Option<usize> },
    Quote,
}

/// The text as code and as comments, each with the other blanked; byte offsets stay.
fn split(text: &str) -> (String, String) {
    let (mut code, mut comments) = (String::new(), String::new());
    let mut part = Part::Code;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let (next, len) = step(part, text, at);
        let commented = |part| matches!(part, Part::LineComment | Part::BlockComment { .. });
        let is_comment = commented(part) || commented(next);
        // Quotes stay in the code, what they hold does not.
        let is_code = !is_comment && (part == Part::Code || next == Part::Code);
        for c in text[at..at + len.max(c.len_utf8())].chars() {
            let blank = if c == '\n' { "\n" } else { &"    "[..c.len_utf8()] };
            let keep = c.to_string();
            code.push_str(if is_code { &keep } else { blank });
            comments.push_str(if is_comment { &keep } else { blank });
        }
        at += len.max(c.len_utf8());
        part = next;
    }
    (code, comments)
}

/// What follows the token at `at`, and that token's length in bytes.
fn step(part: Part, text: &str, at: usize) -> (Part, usize) {
    let rest = &text[at..];
    let one = rest.chars().next().map_or(0, char::len_utf8);
    if let (Part::Code, Some(n)) = (part, raw(text, at)) {
        let hashes = Some(n);
        return (Part::Text { hashes }, n + 2);
    }
    match part {
        Part::Code if rest.starts_with("//") => (Part::LineComment, 2),
        Part::Code if rest.starts_with("/*") => (Part::BlockComment { depth: 1 }, 2),
        Part::Code if rest.starts_with('"') => (Part::Text { hashes: None }, 1),
        Part::Code if rest.starts_with('\'') && is_character(rest) => (Part::Quote, 1),
        Part::LineComment if rest.starts_with('\n') => (Part::Code, 1),
        Part::BlockComment { depth } if rest.starts_with("/*") => {
            (Part::BlockComment { depth: depth + 1 }, 2)
        }
        Part::BlockComment { depth: 1 } if rest.starts_with("*/") => (Part::Code, 2),
        Part::BlockComment { depth } if rest.starts_with("*/") => {
            (Part::BlockComment { depth: depth - 1 }, 2)
        }
        Part::Text { hashes: None } | Part::Quote if rest.starts_with('\\') => {
            (part, 1 + rest[1..].chars().next().map_or(0, char::len_utf8))
        }
        Part::Text { hashes: None } if rest.starts_with('"') => (Part::Code, 1),
        Part::Text { hashes: Some(n) } if rest.starts_with(&format!("\"{}", "#".repeat(n))) => {
            (Part::Code, 1 + n)
        }
        Part::Quote if rest.starts_with('\'') => (Part::Code, 1),
        Part::Code
        | Part::LineComment
        | Part::BlockComment { .. }
        | Part::Text { .. }
        | Part::Quote => (part, one),
    }
}

/// Whether what stands behind the attributes that `code` begins with is a module.
fn is_module(code: &str) -> bool {
    let mut rest = code;
    while rest.starts_with("#[") {
        rest = rest.split_once("]\n").map_or("", |(_, rest)| rest.trim_start());
    }
    rest.starts_with("mod ")
}

/// Hashes of the raw string that begins at `at`, if one does.
fn raw(text: &str, at: usize) -> Option<usize> {
    let rest = text[at..].strip_prefix('r')?;
    let before = text[..at].chars().next_back();
    let is_prefix = before.is_none_or(|c| !(c.is_alphanumeric() || c == '_') || c == 'b');
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    (is_prefix && rest[hashes..].starts_with('"')).then_some(hashes)
}

/// Whether a quote begins a character and not a lifetime.
fn is_character(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    let first = chars.next();
    first == Some('\\') || (first.is_some() && chars.next() == Some('\''))
}

#[test]
fn source_parts_code_from_comments_and_strings() {
    let text = "let a = \"// no\"; // yes \"é\n/* x /* y */ z */ let c = '\"'; // end\n";
    let source = Source::new("x.rs", text);
    assert_eq!(source.code.len(), text.len());
    assert_eq!(source.comments.len(), text.len());
    assert!(!source.code.contains("no") && !source.code.contains("yes"));
    assert!(!source.code.contains('x') && !source.code.contains('z'));
    assert!(source.code.contains("let a = \"     \";") && source.code.contains("let c = "));
    assert!(source.comments.contains("yes \"é") && source.comments.contains("// end"));
    assert!(!source.comments.contains("let"));
}

#[test]
fn source_knows_raw_strings_escapes_and_lifetimes() {
    let text =
        "f(r#\"a \" // b\"#, \"\\\"// c\", 'd', '\\'', b\"e\", br\"f\\\"); fn g<'h>() {} // i";
    let source = Source::new("x.rs", text);
    assert_eq!(source.comments.trim(), "// i");
    assert!(source.code.contains("fn g<'h>() {}"));
}

#[test]
fn source_body_ends_where_its_tests_begin() {
    let text = "fn a() {}\n#[cfg(test)]\nfn b() {}\n#[cfg(test)]\n#[x]\nmod tests {}\n";
    let source = Source::new("x.rs", text);
    assert_eq!(source.body_lines(), 3);
    assert_eq!(source.fault(source.body, "here"), "x.rs:4: here");
    assert_eq!(Source::new("src/wire/h264/tests.rs", text).body_lines(), 0);
    assert_eq!(words("unsafe unsafe_code unsafe!", "unsafe").count(), 2);
}
