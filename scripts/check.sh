#!/usr/bin/env bash
# Every check of the project, in order of cost, with all its set-up on a fresh Debian machine.
#
#   scripts/check.sh            everything: under 30 minutes on two cores, the first time
#   scripts/check.sh --quick    without the ARM builds: for daily work
#
# Needs root or sudo only while a Debian package is missing. Starts no service, asks nothing, and
# writes to target/ and temporary folders alone. The first failure ends it with an exit code.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

# Bytes of the stripped release binary that are still small for the boards: what their smallest
# flash spares beside a kernel.
binary_bytes_max=$((2 << 20))
arm_targets=(aarch64-unknown-linux-musl armv7-unknown-linux-musleabihf)
hls_parser=hls-parser@0.16.1

# What the tests ask for a second opinion: publishers, players and witnesses not written here.
packages=(
    ca-certificates curl:curl git:git shellcheck:shellcheck systemd-analyze:systemd
    ffmpeg:ffmpeg rtmpdump:rtmpdump nginx:nginx libnginx-mod-rtmp
    gst-launch-1.0:gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good
    gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav
    chromium:chromium tshark:tshark wrk:wrk valgrind:valgrind
    cvlc:vlc-bin vlc-plugin-base setpriv:util-linux flock:util-linux python3:python3 python3-venv
    node:nodejs npm:npm openssl:openssl stunnel4:stunnel4 ip:iproute2
)

quick=''
case ${1:-} in
    '') ;;
    --quick) quick=yes ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" && exit 64 ;;
esac

# The playlist judge; the tests find it in target/node/node_modules.
need_hls_parser() {
    [ ! -d target/node/node_modules/hls-parser ] || return 0
    say "npm: $hls_parser into target/node"
    mkdir -p target/node
    npm install --prefix target/node --no-save --no-audit --no-fund --ignore-scripts --silent \
        "$hls_parser" </dev/null
}

# The unit files, by systemd itself. It wants the program where they name it, so a copy of them
# names the one built here.
check_units() {
    local folder unit status=0
    folder=$(mktemp -d)
    for unit in board/common/*.{service,socket,mount}; do
        sed "s|/usr/bin/rillcast|$PWD/target/board/host/rillcast|" "$unit" >"$folder/${unit##*/}"
    done
    # Some versions warn about units of the machine itself: only lines about these count.
    systemd-analyze verify --man=no "$folder"/* >"$folder/log" 2>&1 || status=$?
    if [ "$status" != 0 ] || grep -qF "$folder" "$folder/log"; then
        cat "$folder/log" >&2
        die "systemd does not accept the units of board/common"
    fi
    rm -rf "$folder"
}

check_size() {
    local bytes
    bytes=$(stat -c %s "$1")
    [ "$bytes" -le "$binary_bytes_max" ] || die "$1 has $bytes bytes, $binary_bytes_max are allowed"
    say "size: $1 has $bytes of $binary_bytes_max bytes"
}

say "set-up: packages, Rust, playlist judge"
need_packages "${packages[@]}"
need_rust
need_hls_parser

say "shell: every script"
# shellcheck disable=SC2046 # One word per file is wanted; no script has a space in its name.
shellcheck -x $(git ls-files '*.sh' .ci/run 2>/dev/null || find scripts -name '*.sh')

say "rust: format"
cargo fmt --check
say "rust: clippy, warnings are errors"
cargo clippy --all-targets --locked -- -D warnings
say "rust: documentation, warnings are errors"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked
say "rust: tests, the house's own rules first"
cargo test --locked --test tidy --test layering
# Most wait for media in real time more than they compute.
RUST_TEST_THREADS=4 cargo test --locked

scripts/build.sh --test host
check_size target/board/host/rillcast
say "board: default settings and units"
target/board/host/rillcast budget --config board/common/rillcast.toml >/dev/null
check_units

if [ -z "$quick" ]; then
    for target in "${arm_targets[@]}"; do
        scripts/build.sh --test "$target"
        check_size "target/board/$target/rillcast"
    done
    scripts/build.sh --unit armv7-unknown-linux-musleabihf
fi
say "check: all passed"
