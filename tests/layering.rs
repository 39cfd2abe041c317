//! Folders are layers and imports go down only: reads `src/` and holds the table.
//!
//! A module is the first folder or file below `src/`. Every `crate::name` in it, also in groups
//! and in its tests, must be in its row. Crates that belong to one layer are held to it, and what
//! reads the world (`std::fs`, clocks, sockets) is kept out of the layers that must not.

#[cfg(test)]
#[path = "support/source.rs"]
#[allow(dead_code, reason = "shared with tidy, which needs the rest")]
mod source;

use source::{Source, refuse, words};

/// Who may import whom, lowest first; everybody may import itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("limits", &["time", "status"]),
    ("time", &["limits", "status"]),
    ("status", &["limits", "time"]),
    ("storage", &["limits", "time"]),
    ("wire", &["limits", "time"]),
    ("proto", &["wire", "storage", "limits", "time", "status"]),
    ("media", &["wire", "storage", "limits", "time", "status"]),
    ("config", &["limits", "time"]),
    ("sys", &["limits", "time"]),
    (
        "service",
        &["limits", "time", "status", "storage", "wire", "proto", "media", "config", "sys"],
    ),
    (
        "app",
        &[
            "limits", "time", "status", "storage", "wire", "proto", "media", "config", "sys",
            "service",
        ],
    ),
];

/// Crates that only these places may name; a place is a module or a file.
const CRATES: &[(&str, &[&str])] = &[
    ("smol", &["service", "app"]),
    ("rustls", TLS),
    ("webpki", &["src/service/tls/provider.rs"]),
    ("nix", &["sys", "service", "app"]),
    ("memmap2", &["sys"]),
    ("toml_edit", &["config"]),
    ("lexopt", &["app"]),
    ("simple_logger", &["app"]),
];

/// The only files that know rustls.
const TLS: &[&str] = &[
    "src/service/tls/mod.rs",
    "src/service/tls/reason.rs",
    "src/service/tls/pin.rs",
    "src/service/tls/provider.rs",
    "src/service/tls/stream.rs",
];

/// Modules that read nothing of the world outside their arguments.
const PURE: &[&str] = &["limits", "time", "status", "storage", "wire", "proto", "media", "config"];

/// Parts of `std` that read the world. Of `time`, a `SystemTime` that is given is a value.
const WORLD: &[&str] = &["fs", "net", "env", "process", "thread"];

/// Clocks; our own `time::Instant` has no `now`.
const CLOCKS: &[&str] = &["Instant::now", "SystemTime::now", "UNIX_EPOCH.elapsed"];

#[test]
fn imports_go_down_only() {
    let sources = Source::tree("src");
    let faults: Vec<String> = sources.iter().flat_map(import_faults).collect();
    refuse(&faults);
}

#[test]
fn crates_stay_in_their_layer() {
    let sources = Source::tree("src");
    let faults: Vec<String> = sources.iter().flat_map(crate_faults).collect();
    refuse(&faults);
}

#[test]
fn pure_layers_read_no_world() {
    let sources = Source::tree("src");
    let faults: Vec<String> = sources.iter().flat_map(world_faults).collect();
    refuse(&faults);
}

#[test]
fn every_module_has_its_row() {
    let mut faults = Vec::new();
    for source in Source::tree("src") {
        let module = module(&source.path);
        let known = LAYERS.iter().any(|(name, _)| *name == module);
        if !known && module != "lib" && module != "main" {
            faults.push(source.fault(0, &format!("`{module}` has no row in the layers")));
        }
    }
    refuse(&faults);
}

#[test]
fn layering_finds_each_way_to_import_upwards() {
    for line in [
        "use crate::service::http;",
        "use crate::{limits, service::http};",
        "use crate::{\n    limits::{A, B},\n    app,\n};",
        "fn f() { crate::proto::rtmp::f() }",
        "use crate::*;",
        "use super::super::app;",
        "#[cfg(test)]\nmod tests {\n    use crate::media::mux;\n}",
    ] {
        let source = Source::new("src/wire/amf0.rs", line);
        assert_eq!(import_faults(&source).len(), 1, "{line}");
    }
    for line in [
        "use crate::limits::{A, B};",
        "use crate::{limits, time::Ticks, wire::reader};",
        "use super::reader;",
        "// crate::service",
        "#[cfg(test)]\nmod tests {\n    use super::super::reader;\n}",
    ] {
        let source = Source::new("src/wire/amf0.rs", line);
        assert_eq!(import_faults(&source), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn layering_finds_the_world_and_foreign_crates() {
    for line in [
        "use std::fs;",
        "use std::{fmt, net::TcpStream};",
        "use std::time::{Duration, Instant};",
        "let now = SystemTime::now();",
    ] {
        let source = Source::new("src/media/mux.rs", line);
        assert_eq!(world_faults(&source).len(), 1, "{line}");
        let source = Source::new("src/sys/tmpfs.rs", line);
        assert_eq!(world_faults(&source).len(), 0, "{line}");
    }
    let value = Source::new("src/wire/http.rs", "use std::time::SystemTime;");
    assert_eq!(world_faults(&value).len(), 0);
    let smol = "use smol::Timer;";
    assert_eq!(crate_faults(&Source::new("src/media/mux.rs", smol)).len(), 1);
    assert_eq!(crate_faults(&Source::new("src/service/http.rs", smol)).len(), 0);
    let rustls = "use rustls::ServerConfig;";
    assert_eq!(crate_faults(&Source::new("src/service/http.rs", rustls)).len(), 1);
    assert_eq!(crate_faults(&Source::new("src/service/tls/mod.rs", rustls)).len(), 0);
}

fn import_faults(source: &Source) -> Vec<String> {
    let module = module(&source.path);
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
        return Vec::new();
    };
    let mut faults = Vec::new();
    for (at, name) in imports(&source.code, "crate") {
        if name != module && !allowed.contains(&name.as_str()) {
            faults.push(source.fault(at, &format!("`{module}` imports `{name}`")));
        }
    }
    let depth = segments(&source.path).len();
    for (at, chain) in super_chains(&source.code) {
        // A file's own tests are one module deeper.
        if chain >= depth + usize::from(at >= source.body) {
            faults.push(source.fault(at, "`super` reaches the root; write `crate::`"));
        }
    }
    faults
}

fn crate_faults(source: &Source) -> Vec<String> {
    let module = module(&source.path);
    let mut faults = Vec::new();
    for (name, places) in CRATES {
        if places.contains(&module) || places.contains(&source.path.as_str()) {
            continue;
        }
        let path = format!("{name}::");
        for at in words(&source.code, &path) {
            // `x::smol::` is somebody's module of that name.
            if !source.code[..at].ends_with("::") {
                faults.push(source.fault(at, &format!("`{module}` names crate `{name}`")));
            }
        }
    }
    faults
}

fn world_faults(source: &Source) -> Vec<String> {
    let module = module(&source.path);
    if !PURE.contains(&module) {
        return Vec::new();
    }
    let code = source.body_code();
    let mut faults: Vec<String> = imports(code, "std")
        .into_iter()
        .filter(|(_, name)| WORLD.contains(&name.as_str()))
        .map(|(at, name)| source.fault(at, &format!("`{module}` reads `std::{name}`")))
        .collect();
    let instants = imports(code, "std::time").into_iter();
    for (at, _) in instants.filter(|(_, name)| name == "Instant") {
        faults.push(source.fault(at, &format!("`{module}` names the clock's `Instant`")));
    }
    for clock in CLOCKS {
        for at in words(code, clock) {
            faults.push(source.fault(at, &format!("`{module}` reads a clock")));
        }
    }
    faults
}

/// Module path of a file: `src/wire/rtmp/chunk.rs` is wire, rtmp, chunk.
fn segments(path: &str) -> Vec<&str> {
    path.trim_start_matches("src/")
        .trim_end_matches(".rs")
        .split('/')
        .filter(|name| *name != "mod")
        .collect()
}

fn module(path: &str) -> &str {
    segments(path).first().copied().unwrap_or_default()
}

/// What is named right below `root`, with where: `root::a`, `root::{a, b::c}`, `root::*`.
fn imports(code: &str, root: &str) -> Vec<(usize, String)> {
    let path = format!("{root}::");
    let mut found = Vec::new();
    for at in words(code, &path) {
        let start = at + path.len();
        let Some(group) = code[start..].strip_prefix('{') else {
            found.push((at, name(&code[start..])));
            continue;
        };
        let mut depth = 0;
        let mut is_first = true;
        for (i, c) in group.char_indices() {
            if is_first && !c.is_whitespace() {
                if c != '}' {
                    found.push((start + 1 + i, name(&group[i..])));
                }
                is_first = false;
            }
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => is_first = true,
                _ => {}
            }
        }
    }
    found
}

/// The identifier that `code` begins with; a star by itself.
fn name(code: &str) -> String {
    if code.starts_with('*') {
        return "*".to_owned();
    }
    code.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Runs of `super::`, with their length.
fn super_chains(code: &str) -> Vec<(usize, usize)> {
    words(code, "super::")
        .filter(|at| !code[..*at].ends_with("::"))
        .map(|at| {
            let mut rest = &code[at..];
            let mut chain = 0;
            while let Some(after) = rest.strip_prefix("super::") {
                rest = after;
                chain += 1;
            }
            (at, chain)
        })
        .collect()
}
