"""Publishes and plays RTMP by PyAV, which brings an ffmpeg of its own.

usage: pyav.py publish INPUT URL TRUTH    copies a file in real time to URL, and to TRUTH
       pyav.py play URL FILE              records until interrupted
Options of ffmpeg's protocol stand behind, as KEY=VALUE. Does NOT encode anything.
"""
import sys
import time

import av


def copy(source, sinks, paced):
    """Copies packets in the order of the file, each when it is due."""
    media = source.streams.video + source.streams.audio
    streams = [{one.index: sink.add_stream_from_template(one) for one in media} for sink in sinks]
    begin = time.monotonic()
    for packet in source.demux():
        if packet.dts is None or packet.stream.index not in streams[0]:
            continue
        if paced:
            time.sleep(max(0, begin + float(packet.dts * packet.time_base) - time.monotonic()))
        index = packet.stream.index
        for sink, own in zip(sinks, streams):
            packet.stream = own[index]
            sink.mux_one(packet)


def main(how, *rest):
    options = dict(word.split("=", 1) for word in rest if word.startswith("rtmp_"))
    names = [word for word in rest if not word.startswith("rtmp_")]
    if how == "publish":
        path, url, truth = names
        source = av.open(path)
        flags = {"flvflags": "no_duration_filesize"}
        sinks = [
            av.open(truth, "w", format="flv", options=flags),
            av.open(url, "w", format="flv", options=flags | options),
        ]
    else:
        url, path = names
        source = av.open(url, options=options)
        sinks = [av.open(path, "w", format="flv")]
    try:
        copy(source, sinks, how == "publish")
    except KeyboardInterrupt:
        pass
    for sink in sinks:
        sink.close()


main(*sys.argv[1:])
