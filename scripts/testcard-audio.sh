#!/usr/bin/env bash
# Makes src/app/assets/testcard.aac.bin, the sound of the test card, with ffmpeg's own AAC encoder.
#
# Eight seconds at 48 kHz are 375 frames of 1024 samples exactly, so the loop has no seam and no
# drift. Each second begins with a beep: 1 kHz, 100 ms, faded over 2 ms at both ends, the rest is
# silence. Three loops are encoded and the middle one kept, so that the encoder's state at both ends
# is that of silence. Frame 0 of the file decodes to the samples 0..1024 of the loop: the encoder's
# priming of 1024 samples, one frame, is skipped here and needs no correction when playing.
# File: 375 times a length (u16, big-endian) and a raw AAC-LC frame, stereo, without ADTS header.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tone="0.5*sin(2*PI*1000*t)*min(1\,mod(t\,1)/0.002)*clip((0.1-mod(t\,1))/0.002\,0\,1)"
ffmpeg -v error -f lavfi -i "aevalsrc=$tone|$tone:s=48000:d=25" \
    -c:a aac -b:a 96k -fflags +bitexact -flags:a +bitexact -f adts "$work/beep.adts"
python3 - "$work/beep.adts" src/app/assets/testcard.aac.bin <<'PY'
import struct, sys
adts = open(sys.argv[1], "rb").read()
frames, at = [], 0
while at < len(adts):
    head = adts[at:at + 7]
    assert head[0] == 0xFF and head[1] & 0xF7 == 0xF1, "ADTS without checksum expected"
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    frames.append(adts[at + 7:at + size])
    at += size
loop = frames[1 + 375:1 + 2 * 375]
with open(sys.argv[2], "wb") as out:
    for frame in loop:
        out.write(struct.pack(">H", len(frame)) + frame)
print(len(loop), "frames", sum(map(len, loop)) + 750, "bytes, longest", max(map(len, loop)))
PY
