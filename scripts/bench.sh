#!/usr/bin/env bash
# Measures every figure of the project beside its target, and beside the peers in the same run.
#
#   scripts/bench.sh                     everything: under 20 minutes, once it is built
#   scripts/bench.sh --quick             shorter windows: for daily work
#   scripts/bench.sh [--quick] ROW...    only these rows: mux segment encrypt burst live play
#                                        rtmps join allocations memory get playlist update crowd
#                                        latency binary instructions
#
# Prints one table and writes target/bench/results.json, a line a row. Exit code 1 when a row is
# not reached. Peers are nginx with its RTMP module, stunnel and ffmpeg, from Debian. All traffic
# stays in a network namespace of its own (as root, or where users may make one); all media is on
# tmpfs.
# Needs root or sudo only while a Debian package is missing. Starts no service.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

case ${1:-} in
    -h | --help) sed -n '2,14s/^# \{0,1\}//p' "$0" && exit 64 ;;
esac

# The folder of the media: a 60 s clip of 1080p30, 4 Mb/s and AAC, and ten of it in one file.
media=target/bench-media
make_media() {
    local ff=(ffmpeg -hide_banner -loglevel error -nostdin -y)
    local x264=keyint=60:min-keyint=60:scenecut=0:cabac=1:8x8dct=1:nal-hrd=cbr:force-cfr=1:bframes=0
    mkdir -p "$media"
    if [ ! -s "$media/a1080.flv" ]; then
        say "media: 60 s of 1080p30"
        "${ff[@]}" -f lavfi -i "testsrc2=s=1920x1080:r=30,noise=alls=12:allf=t" \
            -f lavfi -i anoisesrc=c=pink:r=48000:a=0.3 -t 60 -pix_fmt yuv420p -c:v libx264 \
            -preset ultrafast -profile:v high -x264-params "$x264" -b:v 4M -maxrate 4M -bufsize 4M \
            -c:a aac -b:a 128k -ac 2 -ar 48000 -f flv "$media/new.flv"
        mv "$media/new.flv" "$media/a1080.flv"
    fi
    if [ ! -s "$media/a1080-10x.flv" ]; then
        "${ff[@]}" -stream_loop 9 -i "$media/a1080.flv" -c copy -f flv "$media/new.flv"
        mv "$media/new.flv" "$media/a1080-10x.flv"
    fi
}

# Builds a target of tests/ and prints the path of its program; nothing when there is none.
built() {
    cargo "$@" --locked --no-run 2>&1 | tee -a target/bench/build.log |
        sed -n 's/^ *Executable .*(\(.*\))$/\1/p' | tail -1
}

# Runs a command where no other traffic is, if that can be had.
alone() {
    if [ "$(id -u)" = 0 ] && unshare -n true 2>/dev/null; then
        unshare -n sh -c 'ip link set lo up && exec "$@"' _ "$@"
    elif unshare -rn true 2>/dev/null; then
        unshare -rn sh -c 'ip link set lo up && exec "$@"' _ "$@"
    else
        "$@"
    fi
}

say "set-up: packages, Rust, media"
need_packages ca-certificates ffmpeg:ffmpeg openssl:openssl stunnel4:stunnel4 \
    nginx:nginx libnginx-mod-rtmp wrk:wrk \
    valgrind:valgrind ip:iproute2
need_rust
make_media

say "build: program and benches (log in target/bench/build.log)"
mkdir -p target/bench
: >target/bench/build.log
scripts/build.sh host >>target/bench/build.log 2>&1 || die "see target/bench/build.log"
mux=$(built bench --bench mux)
dechunk=$(built bench --bench dechunk)
update=$(built bench --bench update)
peers=$(built bench --bench peers)
memory=
[ ! -e tests/memory.rs ] || memory=$(built test --test memory)
commit=$(git describe --always --dirty 2>/dev/null || echo none)

# What a build has left to be written, and in caches, is not for the first rows to pay.
sync
busy() { awk '{ exit !($1 > 0.5) }' /proc/loadavg; }
for _ in {1..60}; do
    busy || break
    sleep 2
done

say "measure: $commit, $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg), $(nginx -v 2>&1)"
status=0
alone "$peers" --program "$PWD/target/board/host/rillcast" --mux "$mux" --dechunk "$dechunk" \
    --update "$update" --memory-test "$memory" --media "$media" \
    --results target/bench/results.json --commit "$commit" "$@" || status=$?
say "done: target/bench/results.json"
exit "$status"
