//! The house rules that a program can hold: reads the project's own files and refuses what
//! `cargo fmt` and clippy let pass. Each test is one rule and names every place that breaks it.

#[cfg(test)]
#[path = "support/source.rs"]
#[allow(dead_code, reason = "shared with layering, which needs the rest")]
mod source;

use std::fs;

use source::{Source, below_top, files, refuse, top, words};

/// Lines of a file in `src/` at most, without its own tests.
const LINES_MAX: usize = 600;

/// Median of the same at most, over files that are not the page of a folder.
const LINES_MEDIAN_MAX: usize = 250;

/// Columns of a line at most.
const COLUMNS_MAX: usize = 100;

/// Assertions in 1000 lines of a layer that holds state, at least.
const ASSERTIONS_MIN: usize = 5;

/// What stands at the top of the project, beside hidden files and build output.
const TOP: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "board",
    "scripts",
    "cross.toml",
    "tests",
    "README.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
];

/// File and folder names that say nothing.
const NAMES_REFUSED: &[&str] = &[
    "util", "utils", "common", "define", "defines", "types", "helper", "helpers", "error",
    "errors", "misc",
];

/// Limits that no test can meet, and why.
const UNMET: &[(&str, &str)] =
    &[("HTTP_BACKLOG", "kept by the kernel, which rounds it in its own ways")];

#[test]
fn files_stay_below_the_ceiling() {
    let mut faults = Vec::new();
    for source in Source::tree("src") {
        let lines = source.body_lines();
        if lines > LINES_MAX {
            let what = format!("{lines} lines without tests, {LINES_MAX} allowed");
            faults.push(source.fault(0, &what));
        }
    }
    refuse(&faults);
}

#[test]
fn files_are_short_in_the_middle() {
    let mut lines: Vec<usize> = Source::tree("src")
        .iter()
        .filter(|source| !source.path.ends_with("mod.rs"))
        .map(Source::body_lines)
        .filter(|lines| *lines > 0)
        .collect();
    lines.sort_unstable();
    let median = lines[lines.len() / 2];
    println!("median of {} files: {median} lines", lines.len());
    assert!(median <= LINES_MEDIAN_MAX);
}

#[test]
fn files_open_with_their_page() {
    let mut faults = Vec::new();
    for source in everything() {
        let page = source.text.lines().next().unwrap_or_default();
        let page = page.strip_prefix("//! ").unwrap_or_default();
        if page.starts_with("Being built") {
            faults.push(source.fault(0, "is a room that nobody has built"));
        } else if page.len() < 20 {
            faults.push(source.fault(0, "does not open with its page (`//! …`)"));
        }
    }
    refuse(&faults);
}

#[test]
fn comments_promise_nothing() {
    let promises = ["TODO", "FIXME", "XXX", "HACK"];
    let mut faults = Vec::new();
    for source in everything() {
        for promise in promises {
            for at in words(&source.comments, promise) {
                faults.push(source.fault(at, &format!("{promise} in a comment")));
            }
        }
    }
    refuse(&faults);
}

#[test]
fn comments_hold_no_code() {
    let mut faults = Vec::new();
    for source in everything() {
        faults.extend(dead_code(&source));
    }
    refuse(&faults);
}

#[test]
fn lines_fit_the_page() {
    let mut faults = Vec::new();
    for path in files(top()) {
        let name = below_top(&path);
        if !path.extension().is_some_and(|end| end == "rs" || end == "sh") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (i, line) in text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > COLUMNS_MAX && !line.contains("http") {
                faults.push(format!("{name}:{}: {columns} columns", i + 1));
            }
            if line.ends_with([' ', '\t']) {
                faults.push(format!("{name}:{}: blank at the end", i + 1));
            }
        }
    }
    refuse(&faults);
}

#[test]
fn tests_all_run_and_are_named_as_facts() {
    let mut faults = Vec::new();
    for source in everything() {
        for at in source.code.match_indices("#[ignore").map(|(at, _)| at) {
            faults.push(source.fault(at, "an ignored test"));
        }
        for (at, _) in source.code.match_indices("fn test") {
            let name = &source.code[at + 7..];
            if name.starts_with(|c: char| c == '_' || c.is_ascii_digit() || c == '(') {
                faults.push(source.fault(at, "a test named `test`; name the fact"));
            }
        }
    }
    refuse(&faults);
}

#[test]
fn body_cannot_panic_by_convenience() {
    let escapes = [".unwrap()", ".expect(\"", "todo!", "unimplemented!", "dbg!", "unreachable!"];
    let mut faults = Vec::new();
    for source in Source::tree("src") {
        for escape in escapes {
            for (at, _) in source.body_code().match_indices(escape) {
                faults.push(source.fault(at, &format!("`{escape}` outside tests")));
            }
        }
    }
    refuse(&faults);
}

#[test]
fn media_path_takes_no_memory() {
    // `heapless` has a `Vec` and a `String` too, so it is the taking that is looked for.
    let takes = [
        "vec!",
        "format!",
        "to_string()",
        "to_owned()",
        "to_vec()",
        "String::from",
        "Box::new",
        "Rc::new",
        "HashMap",
        "BTreeMap",
        "collect::<Vec",
    ];
    let mut faults = Vec::new();
    for layer in ["src/wire", "src/proto", "src/media"] {
        let sources = Source::tree(layer).into_iter();
        // The test card draws its tables when it is made, the checker runs beside a server; they
        // are no path of a camera's byte.
        let beside = |path: &str| path.contains("/testcard") || path.contains("/history/");
        for source in sources.filter(|source| !beside(&source.path)) {
            for take in takes {
                for at in words(source.body_code(), take) {
                    let rest = source.code[at..].lines().next().unwrap_or_default();
                    // A machine may box its one buffer when it is made.
                    if !rest.contains(".into_boxed_slice()") {
                        faults.push(source.fault(at, &format!("`{take}` takes memory")));
                    }
                }
            }
        }
    }
    refuse(&faults);
}

#[test]
fn unsafe_stays_in_sys_argued_and_tested() {
    let mut faults = Vec::new();
    for source in Source::tree("src") {
        let sites: Vec<usize> = words(&source.code, "unsafe").collect();
        let Some(&first) = sites.first() else {
            continue;
        };
        if !source.path.starts_with("src/sys/") {
            faults.push(source.fault(first, "`unsafe` outside src/sys"));
        }
        let arguments = source.comments.matches("SAFETY:").count();
        if arguments < sites.len() {
            let what = format!("{} `unsafe`, {arguments} SAFETY comments", sites.len());
            faults.push(source.fault(first, &what));
        }
        if source.body == source.code.len() {
            faults.push(source.fault(first, "`unsafe` without a test in its file"));
        }
    }
    refuse(&faults);
}

#[test]
fn names_say_something() {
    let mut faults = Vec::new();
    for path in files(&top().join("src")) {
        let name = below_top(&path);
        for part in name.trim_end_matches(".rs").split('/') {
            if NAMES_REFUSED.contains(&part) {
                faults.push(format!("{name}: `{part}` says nothing of what is inside"));
            }
        }
    }
    refuse(&faults);
}

#[test]
fn top_level_holds_nothing_else() {
    let mut faults = Vec::new();
    for entry in fs::read_dir(top()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if !TOP.contains(&name.as_str()) && !name.starts_with('.') && name != "target" {
            faults.push(format!("{name}: does not belong at the top level"));
        }
    }
    refuse(&faults);
}

#[test]
fn limits_are_documented_one_by_one() {
    let limits = Source::tree("src/limits");
    refuse(&limits.iter().flat_map(bare_constants).collect::<Vec<_>>());
}

#[test]
fn limits_are_met_by_tests() {
    let limits = Source::tree("src/limits");
    let mut tests = String::new();
    for source in everything() {
        if source.path.starts_with("tests/") {
            tests.push_str(&source.code);
        } else {
            tests.push_str(&source.code[source.body..]);
        }
    }
    for (limit, _) in UNMET {
        assert_eq!(words(&tests, limit).count(), 0, "{limit} is met and need not be listed");
    }
    refuse(&limits.iter().flat_map(|limits| unmet(limits, &tests)).collect::<Vec<_>>());
}

#[test]
fn layers_with_state_assert_what_they_own() {
    let (mut lines, mut asserts) = (0, 0);
    for layer in ["src/storage", "src/proto", "src/media"] {
        let sources = Source::tree(layer);
        let layer_lines: usize = sources.iter().map(Source::body_lines).sum();
        let layer_asserts: usize = sources.iter().map(assertions).sum();
        let density = layer_asserts * 1000 / layer_lines.max(1);
        println!("{layer}: {layer_asserts} assertions in {layer_lines} lines, {density} in 1000");
        lines += layer_lines;
        asserts += layer_asserts;
    }
    let least = lines * ASSERTIONS_MIN / 1000;
    assert!(asserts >= least, "{asserts} assertions in {lines} lines, {least} wanted");
}

#[test]
fn secrets_are_compared_in_constant_time() {
    // Who may have the text of a secret: to compare its digest, or to say it to who knows it.
    let places = [
        "src/config/secret.rs",
        "src/service/door/mod.rs",
        "src/service/door/sign_in.rs",
        "src/service/http/guard.rs",
    ];
    let mut faults = Vec::new();
    for source in Source::tree("src") {
        for at in words(&source.code, "expose") {
            let line = source.code[..at].rfind('\n').map_or(0, |feed| feed + 1);
            let line = source.code[line..].lines().next().unwrap_or_default();
            let compares = ["==", "!=", "starts_with", "contains", "eq("];
            let is_body = at < source.body;
            if is_body && !places.contains(&source.path.as_str()) {
                faults.push(source.fault(at, "a secret's text is used here"));
            } else if is_body && compares.iter().any(|word| line.contains(word)) {
                faults.push(source.fault(at, "a secret is compared byte by byte"));
            }
        }
    }
    refuse(&faults);
}

#[test]
fn readme_shows_the_table_of_settings() {
    let table = rillcast::config::settings::markdown_table();
    let path = top().join("README.md");
    if !path.exists() {
        return;
    }
    let readme = fs::read_to_string(path).unwrap();
    assert!(
        readme.contains(&table),
        "README.md does not hold the table of settings as it is now:\n\n{table}"
    );
}

#[test]
fn text_names_no_place_outside_the_project() {
    // Put together here, so that this file does not hold them.
    let outside = [concat!("/wo", "rk/"), concat!("../sha", "red")];
    let mut faults = Vec::new();
    for path in files(top()) {
        // Captures and pictures are not text.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        for place in outside {
            if text.contains(place) {
                faults.push(format!("{}: names {place}", below_top(&path)));
            }
        }
    }
    refuse(&faults);
}

#[test]
fn tidy_finds_code_in_comments_and_leaves_prose() {
    for line in [
        "// let a = b;",
        "// use core::fmt;",
        "// self.go(1);",
        "// if a < b {",
        "// }",
        "//fn go() -> u8 {",
        "// #[inline]",
    ] {
        let source = Source::new("x.rs", &format!("{line}\n"));
        assert_eq!(dead_code(&source).len(), 1, "{line}");
    }
    for line in [
        "// A peer may send less; the reader says so.",
        "// | fmt (2) | csid (6) |",
        "/// let documented = examples();",
        "// use the smaller one of both, if there are two",
        "let a = b; // see RFC 8216 (§6.2.2);",
    ] {
        let source = Source::new("x.rs", &format!("{line}\n"));
        assert_eq!(dead_code(&source), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn tidy_finds_constants_without_a_reason_or_a_test() {
    let text = "/// Why.\n#[cfg(x)]\npub const A: u8 = 1;\n\npub const B: u8 = 2;\n";
    let source = Source::new("src/limits.rs", text);
    assert_eq!(bare_constants(&source), ["src/limits.rs:5: a limit without its reason"]);
    assert_eq!(unmet(&source, "fn t() { f(A) }"), ["src/limits.rs:5: no test meets B"]);
    let text = "fn f() { assert!(a); debug_assert_eq!(b, c); } const _: () = assert!(D);";
    assert_eq!(assertions(&Source::new("x.rs", text)), 3);
}

/// Every Rust file of the project.
fn everything() -> Vec<Source> {
    let mut sources = Source::tree("src");
    sources.extend(Source::tree("tests"));
    sources
}

/// Line comments that read as code; documentation may hold examples.
fn dead_code(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    let mut at = 0;
    for line in source.comments.split_inclusive('\n') {
        let comment = line.trim();
        let is_doc = comment.starts_with("///") || comment.starts_with("//!");
        let text = comment.strip_prefix("//").unwrap_or_default().trim();
        let stands_alone = source.code[at..at + line.len()].trim().is_empty();
        if !is_doc && stands_alone && is_code(text) {
            faults.push(source.fault(at, "code in a comment"));
        }
        at += line.len();
    }
    faults
}

fn is_code(text: &str) -> bool {
    let ends = [");", "};", "];", "})", "{"];
    let first = text.split_whitespace().next().unwrap_or_default();
    text == "}"
        || ends.iter().any(|end| text.ends_with(end))
        || (first == "let" && text.contains('=') && text.ends_with(';'))
        || (first == "use" && text.contains("::"))
        || text.starts_with("#[")
}

/// Public constants without a doc comment above them.
fn bare_constants(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    let mut is_documented = false;
    let mut at = 0;
    for line in source.text.split_inclusive('\n') {
        let text = line.trim();
        if text.starts_with("///") {
            is_documented = true;
        } else if !text.starts_with("#[") {
            if text.starts_with("pub const") && !is_documented {
                faults.push(source.fault(at, "a limit without its reason"));
            }
            is_documented = false;
        }
        at += line.len();
    }
    faults
}

/// Public constants that no test names, but for those that none can meet.
fn unmet(limits: &Source, tests: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for at in words(&limits.code, "const") {
        let name = limits.code[at..].split([' ', ':']).nth(1).unwrap_or_default();
        let listed = UNMET.iter().any(|(limit, _)| *limit == name);
        if name != "_" && !listed && words(tests, name).next().is_none() {
            faults.push(limits.fault(at, &format!("no test meets {name}")));
        }
    }
    faults
}

/// Assertions outside the file's own tests.
fn assertions(source: &Source) -> usize {
    ["assert", "assert_eq", "assert_ne"]
        .into_iter()
        .flat_map(|name| [format!("{name}!"), format!("debug_{name}!")])
        .map(|name| words(source.body_code(), &name).count())
        .sum()
}
