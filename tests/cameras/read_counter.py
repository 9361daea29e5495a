#!/usr/bin/env python3
"""Reads the number that the test clips carry in each picture, as a viewer would see it: from decoded pixels.

    read_counter.py FILE|URL|- [--seconds S] [--loop N]

Prints JSON: {"frames", "first", "last", "gaps": [[position, from, to]...], "wraps": [...]}. A wrap is a step from the
clip's last number to 0; which one is the last is --loop's N minus one, or else the highest that was seen. Exit code 1 if
there are gaps or no pictures at all.
"""

import argparse
import json
import subprocess
import sys


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--seconds", type=float, help="read no more than this")
    parser.add_argument("--loop", type=int, help="pictures in the clip")
    options = parser.parse_args()
    numbers = read(options.source, options.seconds)
    steps = [[i + 1, a, b] for i, (a, b) in enumerate(zip(numbers, numbers[1:])) if b != a + 1]
    last = options.loop - 1 if options.loop else max(numbers, default=0)
    report = {
        "frames": len(numbers),
        "first": numbers[0] if numbers else None,
        "last": numbers[-1] if numbers else None,
        "gaps": [step for step in steps if step[1:] != [last, 0]],
        "wraps": [step for step in steps if step[1:] == [last, 0]],
    }
    print(json.dumps(report))
    sys.exit(1 if report["gaps"] or not numbers else 0)


def read(source, seconds):
    command = ["ffmpeg", "-nostdin", "-v", "error"]
    if source == "-":
        command.remove("-nostdin")
    elif source.startswith("rtsp"):
        command += ["-rtsp_transport", "tcp"]
    if seconds:
        command += ["-t", str(seconds)]
    # The middle of the topmost fifteenth, averaged to 16 grey values: one a bit, whatever the picture's size.
    bits = "crop=iw:ih/30:0:ih/60,scale=16:1:flags=area,format=gray"
    command += ["-i", source, "-map", "0:v:0", "-vf", bits, "-vsync", "passthrough", "-f", "rawvideo", "-"]
    raw = subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout
    rows = (raw[at : at + 16] for at in range(0, len(raw) - 15, 16))
    return [sum(1 << (15 - i) for i, grey in enumerate(row) if grey > 127) for row in rows]


if __name__ == "__main__":
    main()
