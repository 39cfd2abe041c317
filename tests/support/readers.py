# Reads a playlist from stdin with m3u8 and prints what it understood, a line each.
#
# usage: python readers.py < master.m3u8
import sys

import m3u8

playlist = m3u8.loads(sys.stdin.read())
for variant in playlist.playlists:
    info = variant.stream_info
    size = "x".join(map(str, info.resolution)) if info.resolution else "none"
    rate = info.frame_rate
    print("variant", info.bandwidth, info.average_bandwidth, info.codecs, size,
          f"{rate:.3f}" if rate else "NaN", variant.uri)
for variant in playlist.iframe_playlists:
    info = variant.iframe_stream_info
    print("pictures", info.bandwidth, info.codecs, variant.uri)
if playlist.segments:
    only = "true" if playlist.is_i_frames_only else "false"
    print("list", only, playlist.media_sequence, playlist.target_duration)
for segment in playlist.segments:
    section = segment.init_section
    print("segment", f"{segment.duration:.6f}", segment.byterange or "all", segment.uri,
          section.byterange if section else "none")
