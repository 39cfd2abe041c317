//! What the linker leaves out of a release, so that it fits a board's flash.
//!
//! A release ends at a panic and unwinds nothing, so its unwind tables are dead weight, which the
//! compiler writes all the same (7 %). Relative relocations take 24 bytes each unless they are
//! packed (4 %), which glibc reads since 2.36. Nothing else is built here.

#![expect(clippy::print_stdout, reason = "cargo listens there")]

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=scripts/link.rs");
    println!("cargo::rerun-if-changed=scripts/link.ld");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|seen| seen == value);
    let (glibc, musl) = (is("CARGO_CFG_TARGET_ENV", "gnu"), is("CARGO_CFG_TARGET_ENV", "musl"));
    if !is("PROFILE", "release") || !(glibc || musl) {
        return;
    }
    let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    // The toolchain's own linker for this target (rust-lld) folds functions that came out the same;
    // who has chosen another may have one that cannot.
    let chosen = env::var_os("RUSTC_LINKER").is_some()
        || env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("link"));
    if glibc && is("CARGO_CFG_TARGET_ARCH", "x86_64") && !chosen {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
    if glibc {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{folder}/scripts/link.ld");
}
