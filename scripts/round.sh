#!/usr/bin/env bash
# Proves that a built binary does its work, judged by ffmpeg and ffprobe.
#
#   scripts/round.sh [--emulator QEMU] BINARY [REFERENCE]
#
# Three rounds: the small commands; an FLV file cut into segments; a live stream published over RTMP
# and fetched over HTTP. With a REFERENCE, a build for this machine, whatever BINARY writes must be
# byte for byte what REFERENCE writes; names of segments may differ. Every line says what was
# compared, with numbers. The exit code is 0 when all passed.
#
# What it opens: two free ports on 127.0.0.1. What it writes: one folder in $TMPDIR, one in
# /dev/shm; both are removed at the end, and kept when something failed.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

emulator=''
if [ "${1:-}" = --emulator ]; then
    emulator=$2
    shift 2
fi
[ $# -ge 1 ] || { sed -n '2,13s/^# \{0,1\}//p' "$0" && exit 64; }
binary=$1
reference=${2:-}
need_packages ffmpeg:ffmpeg curl:curl

# The picture: 8 s, 25 a second, a keyframe every second, B-frames in between.
frames=200
seconds=8
segment_ms=1000
segment_frames=25

work=$(mktemp -d)
hls=$(mktemp -d -p /dev/shm rillcast-round.XXXXXX)
server=''
failures=0

cleanup() {
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
    rm -rf "$hls"
    if [ "$failures" = 0 ]; then rm -rf "$work"; else echo "kept for a look: $work"; fi
}
trap cleanup EXIT

pass() {
    printf '   pass  %s\n' "$*"
}

fail() {
    printf '   FAIL  %s\n' "$*"
    failures=$((failures + 1))
}

# Prints $1 as passed when the command after it succeeds, as failed otherwise.
check() {
    local what=$1
    shift
    if "$@"; then pass "$what"; else fail "$what"; fi
}

run() {
    ${emulator:+"$emulator"} "$binary" "$@"
}

# One line per decoded picture or sound block: its time since the first in milliseconds, and its
# hash.
decoded() {
    ffmpeg -nostdin -v error -i "$1" -map "0:$2" -fps_mode passthrough -f framemd5 - |
        awk -F', *' '/^#tb/ { split($1, tb, /[ \/]/) }
            !/^#/ { if (!n++) first = $3; printf "%.3f %s\n",
                ($3 - first) * 1000 * tb[3] / tb[4], $NF }'
}

# True when file $1 is a beginning of file $2, both of `decoded`: equal hashes, times within 2 ms,
# which is what the milliseconds of FLV cost.
begins() {
    [ -s "$1" ] && awk 'FNR == NR { time[FNR] = $1; hash[FNR] = $2; next }
        { d = $1 - time[FNR]; if (hash[FNR] != $2 || d > 2 || d < -2) { bad = 1; exit } }
        END { exit bad }' "$2" "$1"
}

# Judges a transport stream $2 against the FLV file it came from: no decoder complains, and each
# decoded picture and sound block is that of the file, from the first on, at the same distance in
# time. At least $3 pictures must be there.
judge() {
    local name=$1 ts=$2 least=$3 have_frames media got want
    ffmpeg -nostdin -v warning -i "$ts" -f null - 2>"$ts.log" || fail "$name: ffmpeg gave up on it"
    if grep -qiE 'error|corrupt|invalid|missing|non.?monoton' "$ts.log"; then
        fail "$name: ffmpeg complains: $(sed -n 1p "$ts.log")"
    else
        pass "$name: decodes without complaint"
    fi
    have_frames=$(ffprobe -v error -count_frames -select_streams v:0 \
        -show_entries stream=nb_read_frames -of default=nw=1:nk=1 "$ts" | sed -n 1p)
    check "$name: ffprobe counts ${have_frames:-no} pictures, $least to $frames expected" \
        within "$least" "${have_frames:-0}" "$frames"
    for media in v a; do
        decoded "$ts" "$media" >"$ts.$media" || true
        [ -s "$work/in.$media" ] || decoded "$work/in.flv" "$media" >"$work/in.$media"
        got=$(wc -l <"$ts.$media") want=$(wc -l <"$work/in.$media")
        check "$name: $got of $want decoded ${media} frames, each as in the file, at its time" \
            begins "$ts.$media" "$work/in.$media"
    done
}

within() {
    [ "$1" -le "$2" ] && [ "$2" -le "$3" ]
}

same_nonempty() {
    [ -s "$1" ] && cmp -s "$1" "$2"
}

# The segments of a playlist, in its order.
uris() {
    grep -v '^#' "$1" | tr -d '\r' | grep -v '^[[:space:]]*$' || true
}

# The playlist with its segments numbered instead of named.
numbered() {
    awk '/^#/ { print; next } NF { print "segment", n++ }' "$1"
}

round_commands() {
    local version name
    say "round: commands"
    version=$(run --version || true)
    check "--version says '$version'" grep -qE '^rillcast [0-9]+\.[0-9]+\.[0-9]+' <<<"$version"
    check "budget prints $(run budget 2>&1 | wc -l) lines" [ "$(run budget 2>&1 | wc -l)" -gt 0 ]
    check "an unknown command is refused" refuses run no-such-command
    if run testcard "$work/card.flv" --seconds 3 && [ -s "$work/card.flv" ]; then
        name=$(ffprobe -v error -count_frames -show_entries stream=codec_name,nb_read_frames \
            -of compact=p=0:nk=1 "$work/card.flv" 2>"$work/card.log" | tr '\n' ' ')
        check "testcard: $(stat -c %s "$work/card.flv") bytes, ffprobe sees ${name:-nothing}" \
            [ -n "$name" ]
        check "testcard: ffprobe has no complaint" [ ! -s "$work/card.log" ]
        check "testcard: 3 s long within 0.2 s" close_to 3 "$(ffprobe -v error -show_entries \
            format=duration -of default=nw=1:nk=1 "$work/card.flv")"
        if [ -n "$reference" ]; then
            "$reference" testcard "$work/card-reference.flv" --seconds 3 || true
            check "testcard: same bytes as this machine's build" \
                same_nonempty "$work/card.flv" "$work/card-reference.flv"
        fi
    else
        fail "testcard wrote nothing"
    fi
}

refuses() {
    ! "$@" >/dev/null 2>&1
}

close_to() {
    awk -v want="$1" -v got="${2:-0}" 'BEGIN { d = want - got; exit !(d < 0.2 && d > -0.2) }'
}

round_segment() {
    local line count=0 differing=0
    say "round: $seconds s of FLV cut into segments"
    if ! run segment "$work/in.flv" "$work/out" --set "hls.segment_ms=$segment_ms" ||
        [ ! -s "$work/out/index.m3u8" ]; then
        fail "segment wrote no playlist"
        return
    fi
    while IFS= read -r line; do
        cat "$work/out/$line" >>"$work/out.ts"
        count=$((count + 1))
    done < <(uris "$work/out/index.m3u8")
    pass "segment: $count segments, $(stat -c %s "$work/out.ts") bytes"
    judge segment "$work/out.ts" "$frames"
    [ -n "$reference" ] || return 0
    "$reference" segment "$work/in.flv" "$work/reference" --set "hls.segment_ms=$segment_ms" || true
    [ -s "$work/reference/index.m3u8" ] || {
        fail "segment: this machine's build wrote none"
        return
    }
    check "segment: same playlist as this machine's build, names apart" \
        cmp -s <(numbered "$work/out/index.m3u8") <(numbered "$work/reference/index.m3u8")
    while IFS=$'\t' read -r line other; do
        cmp -s "$work/out/$line" "$work/reference/$other" || differing=$((differing + 1))
    done < <(paste <(uris "$work/out/index.m3u8") <(uris "$work/reference/index.m3u8"))
    check "segment: $((count - differing)) of $count segments are byte for byte this machine's" \
        [ "$differing" = 0 ]
}

# A port that nobody listens on now.
free_port() {
    local port
    for _ in {1..100}; do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
    done
    die "no free port"
}

# Waits up to 20 s until a port answers and the server lives.
await_port() {
    for _ in {1..200}; do
        kill -0 "$server" 2>/dev/null || return 1
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0
        sleep 0.1
    done
    return 1
}

# Fetches the playlist and every segment in it that was not fetched yet; appends to live.ts.
fetch_new() {
    local base=$1 uri
    curl -fsS --max-time 5 -o "$work/live.m3u8" "$base/index.m3u8" 2>/dev/null || return 0
    while IFS= read -r uri; do
        ! grep -qxF "$uri" "$work/live.uris" || continue
        case $uri in
            http*) ;;
            /*) uri=${base%/hls/*}$uri ;;
            *) uri=$base/$uri ;;
        esac
        if curl -fsS --max-time 5 -o "$work/segment.ts" "$uri"; then
            cat "$work/segment.ts" >>"$work/live.ts"
        else
            fail "live: a listed segment cannot be fetched: $uri"
        fi
        uri=${uri#"$base/"}
        echo "${uri#"${base%/hls/*}"}" >>"$work/live.uris"
    done < <(uris "$work/live.m3u8")
}

round_live() {
    local rtmp http base publisher status=0 quiet=0 before
    rtmp=$(free_port) http=$(free_port)
    base=http://127.0.0.1:$http/hls/live/cam
    say "round: $seconds s published to port $rtmp, fetched from port $http"
    # Not by `run`: the signal at the end is for the server, not for a shell around it.
    ${emulator:+"$emulator"} "$binary" serve --set "rtmp.listen=127.0.0.1:$rtmp" --set "http.listen=127.0.0.1:$http" \
        --set "hls.dir=$hls" --set "state.dir=$work/state" \
        --set "hls.segment_ms=$segment_ms" --set limits.streams=1 \
        --set limits.slot_bytes=1048576 >"$work/serve.log" 2>&1 </dev/null &
    server=$!
    if ! await_port "$rtmp" || ! await_port "$http"; then
        fail "live: the server does not listen: $(tail -n 1 "$work/serve.log")"
        return
    fi
    : >"$work/live.uris"
    : >"$work/live.ts"
    ffmpeg -nostdin -v error -re -i "$work/in.flv" -c copy -f flv \
        "rtmp://127.0.0.1:$rtmp/live/cam" \
        2>"$work/publisher.log" &
    publisher=$!
    # Until the publisher has gone, and then until nothing new came for 3 s.
    while [ "$quiet" -lt 10 ]; do
        before=$(wc -l <"$work/live.uris")
        fetch_new "$base"
        if ! kill -0 "$publisher" 2>/dev/null && [ "$(wc -l <"$work/live.uris")" = "$before" ]; then
            quiet=$((quiet + 1))
        fi
        sleep 0.3
    done
    wait "$publisher" || status=$?
    check "live: the publisher ends with $status $(sed -n 1p "$work/publisher.log")" \
        [ "$status" = 0 ]
    live_bytes=$(stat -c %s "$work/live.ts")
    check "live: $(wc -l <"$work/live.uris") segments fetched, $live_bytes bytes" \
        [ -s "$work/live.ts" ]
    # The last segment may still be open when a camera has gone for a moment.
    judge live "$work/live.ts" "$((frames - segment_frames))"
    check "live: a playlist that is not there is answered 404" \
        [ "$(curl -s --max-time 5 -o /dev/null -w '%{http_code}' "${base%cam}none/index.m3u8")" = 404 ]
    stop_server
}

stop_server() {
    local status=0 waited=0
    kill -TERM "$server" 2>/dev/null || true
    while kill -0 "$server" 2>/dev/null && [ "$waited" -lt 50 ]; do
        sleep 0.1
        waited=$((waited + 1))
    done
    if [ "$waited" = 50 ]; then
        fail "live: SIGTERM does not end the server within 5 s"
        return
    fi
    wait "$server" || status=$?
    server=''
    check "live: SIGTERM ends the server with $status after ${waited}00 ms" [ "$status" = 0 ]
}

say "round: ${emulator:-this machine} $binary"
ffmpeg -nostdin -v error -f lavfi -i "testsrc2=size=640x360:rate=25" \
    -f lavfi -i "sine=frequency=440:sample_rate=44100" -t "$seconds" \
    -c:v libx264 -preset veryfast -b:v 800k -g "$segment_frames" -keyint_min "$segment_frames" \
    -sc_threshold 0 -bf 2 -pix_fmt yuv420p -c:a aac -b:a 96k "$work/in.flv"
round_commands
round_segment
round_live
[ "$failures" = 0 ] || die "$failures checks failed"
say "round: all passed"
