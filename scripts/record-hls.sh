#!/usr/bin/env bash
# Records the versions of a playlist as text, for tests/corpus/hls.
#
#   scripts/record-hls.sh URL SECONDS >FILE
#
# URL is anything that curl takes, also file:///path. Each version is written when it is first
# seen: a line `@MILLISECONDS` since the start, then the playlist as it came. Keeps no segments.
set -euo pipefail
[ $# = 2 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2 && exit 64; }
start=$(date +%s%3N)
last=''
while now=$(($(date +%s%3N) - start)) && [ "$now" -lt $(($2 * 1000)) ]; do
    # A dot keeps the blank lines at the end.
    if body=$(curl -sf "$1" && echo .) && [ "$body" != "$last" ]; then
        printf '@%s\n%s' "$now" "${body%.}"
        last=$body
    fi
    sleep 0.1
done
