#!/usr/bin/env bash
# The long proof: ten minutes of live with a camera that misbehaves and players nobody reloads.
#
#   scripts/live.sh [SECONDS]    each scenario lasts so long; 600 without it
#
# Installs what it drives (ffmpeg, node, chromium) where it is missing. Prints what each player did.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

seconds=${1:-600}
[[ $seconds =~ ^[0-9]+$ ]] || die "not a number of seconds: $seconds"
need_rust
need_packages ffmpeg:ffmpeg node:nodejs npm:npm chromium:chromium ip:iproute2
say "live: $seconds seconds each"
RILLCAST_LIVE_SECONDS=$seconds cargo test --release --locked --test live -- \
    --nocapture --test-threads=1
