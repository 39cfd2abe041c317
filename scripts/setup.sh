#!/usr/bin/env bash
# What the other scripts share: progress lines, Debian packages, a Rust toolchain.
#
# Sourced, not run; being sourced changes nothing on the machine. Works as root, or as a person who
# has sudo. Asks no questions: nothing here reads standard input.

export CROSS_CONFIG=cross.toml # `cross` looks for Cross.toml unless it is told.
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-auto}"
export STARTED_AT="${STARTED_AT:-$(date +%s)}" # One clock for a script and those it calls.

# Prints a progress line: time since the first script began, then what happens next.
say() {
    printf '== %4d s  %s\n' "$(($(date +%s) - STARTED_AT))" "$*"
}

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        die "root or sudo is needed for: $*"
    fi
}

installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Installs what is missing of a list of `command:package` or `package` words. A word with a command
# counts as present when the command is found, wherever it came from.
need_packages() {
    local word missing=()
    for word in "$@"; do
        case $word in
            *:*) have "${word%%:*}" || missing+=("${word#*:}") ;;
            *) installed "$word" || missing+=("$word") ;;
        esac
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    have apt-get || die "not a Debian machine; install by hand: ${missing[*]}"
    say "apt: ${missing[*]}"
    apt_get -qq update || say "apt: some sources did not answer; going on with the others"
    without_services apt_get -qq -y --no-install-recommends install "${missing[@]}"
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
        -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@" </dev/null
}

# Runs a command during which no package may start a service: the tests bring their own nginx, and
# a machine that builds is not a server. A guard that was there before is respected and kept.
without_services() {
    local guard=/usr/sbin/policy-rc.d status=0
    if [ -e "$guard" ]; then
        "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' | as_root install -m 0755 /dev/stdin "$guard"
    # Nothing may end this shell between the guard's coming and its going.
    trap 'as_root rm -f /usr/sbin/policy-rc.d; exit 130' INT TERM
    "$@" || status=$?
    trap - INT TERM
    as_root rm -f "$guard"
    return "$status"
}

# Finds cargo, or fetches it: rustup's own installer where it answers, else Debian's current Rust.
need_rust() {
    have cargo || [ ! -x "$HOME/.cargo/bin/cargo" ] || PATH=$HOME/.cargo/bin:$PATH
    if ! have cargo; then
        say "rust: no cargo found, installing"
        need_packages curl:curl ca-certificates
        local installer
        installer=$(mktemp)
        if curl -fsS --proto '=https' --max-time 60 -o "$installer" https://sh.rustup.rs; then
            sh "$installer" -y -q --profile minimal --component rustfmt,clippy --no-modify-path \
                </dev/null
            PATH=$HOME/.cargo/bin:$PATH
        else
            need_packages rustc-web cargo-web rustfmt-web rust-web-clippy
        fi
        rm -f "$installer"
    fi
    need_packages cc:gcc libc6-dev
    if have rustup && ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
        rustup component add rustfmt clippy </dev/null
    fi
    cargo --version >/dev/null || die "cargo is there but does not run"
}
