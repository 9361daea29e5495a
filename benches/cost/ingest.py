#!/usr/bin/env python3
"""Starts test cameras and lets `cargo bench --bench ingest` read them: what connecting and reading alone cost.

    ingest.py [--cameras 16] [--seconds 20] [--clip h264_1080p30]
"""
import argparse
import os
import subprocess
import sys

from cost import HOUSE, start_cameras


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--clip", default="h264_1080p30")
    settings = parser.parse_args()
    first, server = start_cameras(settings.clip, [f"cam{n}" for n in range(settings.cameras)])
    try:
        bench = [os.environ.get("CARGO", "cargo"), "bench", "--locked", "--bench", "ingest", "--",
                 "--url", first.removesuffix("0"), "--cameras", str(settings.cameras), "--seconds", str(settings.seconds)]
        sys.exit(subprocess.run(bench, cwd=HOUSE).returncode)
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
