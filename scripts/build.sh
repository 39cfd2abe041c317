#!/usr/bin/env bash
# Builds the release binary for a board, and with --test proves it under emulation.
#
#   scripts/build.sh TARGET          builds; prints path and size
#   scripts/build.sh --test TARGET   builds for TARGET and for this machine, then runs both
#   scripts/build.sh --unit TARGET   runs the library's unit tests, under emulation for ARM
#
# TARGET: aarch64-unknown-linux-musl, armv7-unknown-linux-musleabihf, or host.
# With `cross` where it is installed and a container engine really answers, else from Debian
# packages (setup-cross.sh). The binary is target/board/TARGET/rillcast either way. It is smaller
# than what `cargo build --release` makes: Rust's own library is built along with it, for size and
# without the reader of debug information, which a stripped program has no use for.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
# shellcheck source=scripts/setup-cross.sh
. scripts/setup-cross.sh

usage() {
    sed -n '2,12s/^# \{0,1\}//p' "$0"
    exit "$1"
}

container_engine() {
    local engine
    for engine in docker podman; do
        have "$engine" && timeout 20 "$engine" info >/dev/null 2>&1 && return 0
    done
    return 1
}

# What `readelf -h` calls the machine of a target.
machine_of() {
    case $1 in
        aarch64-*) echo AArch64 ;;
        armv7-*) echo ARM ;;
        *) die "no machine is known for $1" ;;
    esac
}

check_static() {
    local binary=$1 machine
    machine=$(readelf -h "$binary" | sed -n 's/ *Machine: *//p')
    [ "$machine" = "$(machine_of "$2")" ] || die "$binary is for $machine"
    if readelf -lW "$binary" | grep -q INTERP || readelf -dW "$binary" | grep -q NEEDED; then
        die "$binary is not static"
    fi
    say "$(basename "$2"): static, $machine"
}

# Builds for one target and puts the binary in target/board.
build() {
    local target=$1 made folder=target/board/$1
    need_rust
    say "build: $target"
    if [ "$target" = host ]; then
        make_toolchain
        host_cargo build --release --locked --bin rillcast
        made=$cross_dir/build/$(host_triple)/release/rillcast
    elif have cross && container_engine; then
        cross build --release --locked --target "$target" --bin rillcast
        made=${CARGO_TARGET_DIR:-target}/$target/release/rillcast
    else
        make_toolchain
        cargo fetch --locked
        RUSTFLAGS="${RUSTFLAGS:-} $(small_code)" \
            arm_cargo build "$target" --release --locked --bin rillcast "${small_std[@]}"
        made=$cross_dir/build/$target/release/rillcast
    fi
    mkdir -p "$folder"
    install -m 0755 "$made" "$folder/rillcast"
    [ "$target" = host ] || {
        need_packages readelf:binutils && check_static "$folder/rillcast" "$target"
    }
    say "$folder/rillcast: $(stat -c %s "$folder/rillcast") bytes"
}

# The library's unit tests. Worth their time for the 32-bit target, where a usize is small.
unit_tests() {
    local target=$1
    need_rust
    if [ "$target" = host ]; then
        cargo test --locked --lib
        return
    fi
    need_packages "$(emulator_of "$target"):qemu-user-static"
    make_toolchain
    say "unit tests: $target, under emulation"
    # Widths and alignment show in few cases; this machine has seen many.
    PROPTEST_CASES=${PROPTEST_CASES:-64} \
        CARGO_PROFILE_DEV_DEBUG=0 RUST_BACKTRACE=0 arm_cargo test "$target" --locked --lib \
        -Zbuild-std=std,panic_abort,test
}

mode="build"
case ${1:-} in
    --test) mode="test" && shift ;;
    --unit) mode="unit" && shift ;;
    -h | --help) usage 0 ;;
    *) ;;
esac
target=${1:-}
case $target in
    aarch64-unknown-linux-musl | armv7-unknown-linux-musleabihf | host) ;;
    *) usage 64 ;;
esac

if [ "$mode" = unit ]; then
    unit_tests "$target"
    exit
fi
build "$target"
if [ "$mode" = test ]; then
    emulator=$(emulator_of "$target")
    [ -z "$emulator" ] || need_packages "$emulator:qemu-user-static"
    [ "$target" = host ] || build host
    scripts/round.sh --emulator "$emulator" "target/board/$target/rillcast" \
        target/board/host/rillcast
fi
