#!/usr/bin/env python3
"""What recording costs, beside `ffmpeg -c copy -f segment` on the same streams in the same run.

    cost.py [--cameras 16] [--seconds 60] [--clip h264_1080p30] [--program target/release/hearthkeep]

Starts one test camera (1080p30 H.264 at 4 Mbit/s with AAC), lets Hearthkeep record it as many cameras and as many ffmpegs
copy it into clear MP4 segments, and reads from /proc what each has used of the CPU in the same span of time, and what
it holds of memory at its end. Machines differ and are shared: the ratio is what counts. Prints one JSON object.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[2]
CAMERAS = HOUSE / "tests/cameras"
TICKS = os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--clip", default="h264_1080p30")
    parser.add_argument("--program", default=HOUSE / "target/release/hearthkeep")
    settings = parser.parse_args()
    program = Path(settings.program).resolve()
    if not program.exists():
        sys.exit(f"{program} is missing: build it with `make build`")
    with tempfile.TemporaryDirectory(prefix="hearthkeep-cost-") as folder:
        print(json.dumps(measure(settings, program, Path(folder)), indent=1))


def measure(settings, program, folder):
    children = []
    try:
        url, camera = start_cameras(settings.clip, ["cam"])
        children.append(camera)
        hearthkeep = start_hearthkeep(program, folder, url, settings.cameras)
        children.append(hearthkeep)
        ffmpegs = [start_ffmpeg(folder, url, n) for n in range(settings.cameras)]
        children += ffmpegs
        wait_until_recording(program, folder, settings.cameras, hearthkeep)
        ours, theirs = [hearthkeep.pid], [child.pid for child in ffmpegs]
        before = [cpu_s(ours), cpu_s(theirs)]
        begun = time.monotonic()
        time.sleep(settings.seconds)
        camera_minutes = (time.monotonic() - begun) / 60 * settings.cameras
        used = [after - first for after, first in zip([cpu_s(ours), cpu_s(theirs)], before)]
        return {
            "cameras": settings.cameras,
            "clip": settings.clip,
            "seconds": settings.seconds,
            "cpu_s_per_camera_minute": {
                "hearthkeep": round(used[0] / camera_minutes, 4),
                "ffmpeg": round(used[1] / camera_minutes, 4),
            },
            "ratio": round(used[0] / used[1], 3),
            "resident_mb": {"hearthkeep": resident_mb(ours), "ffmpeg": resident_mb(theirs)},
            "threads_cpu_s": {name: round(s, 2) for name, s in threads(hearthkeep.pid).items()},
            "load_average": os.getloadavg()[0],
        }
    finally:
        for child in reversed(children):
            child.terminate()
        for child in children:
            child.wait()


def start_cameras(clip, names):
    """Cameras that all show this clip: the address of the first, and their process."""
    made = subprocess.run(
        [sys.executable, CAMERAS / "make_clips.py", "--dir", HOUSE / ".cache/clips", clip],
        check=True, stdout=subprocess.PIPE, text=True).stdout
    path = re.search(rf"^{re.escape(clip)}=(.*)$", made, re.M)[1]
    server = subprocess.Popen(
        ["/usr/bin/python3", CAMERAS / "cameras.py", "--port", "0", *(f"{name}={path}" for name in names)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    urls = []
    for line in server.stdout:
        if line.startswith("rtsp://"):
            urls.append(line.strip())
        if line.strip() == "READY":
            return urls[0], server
    sys.exit("the test cameras did not start")


def start_hearthkeep(program, folder, url, cameras):
    config = 'state_dir = "state"\n[server]\nlisten = "127.0.0.1:0"\n[[disk]]\npath = "footage"\n'
    config += "".join(f'[[camera]]\nname = "camera {n}"\nurl = "{url}"\n' for n in range(cameras))
    (folder / "hearthkeep.toml").write_text(config)
    (folder / "passphrase").write_text("a lamp in the hall window\n")
    (folder / "footage").mkdir()
    subprocess.run([program, "init", "--config", folder / "hearthkeep.toml", "--passphrase-file", folder / "passphrase",
                    "--recovery-kit-out", folder / "kit"], check=True, stdout=subprocess.DEVNULL)
    log = open(folder / "log", "w")
    return subprocess.Popen([program, "run", "--config", folder / "hearthkeep.toml"], stderr=log, stdout=log)


def start_ffmpeg(folder, url, n):
    """The arguments that Frigate records with, audio copied too."""
    out = folder / f"ffmpeg-{n}"
    out.mkdir()
    return subprocess.Popen(
        ["ffmpeg", "-hide_banner", "-loglevel", "error", "-rtsp_transport", "tcp", "-i", url, "-f", "segment",
         "-segment_time", "10", "-segment_format", "mp4", "-reset_timestamps", "1", "-c", "copy", out / "%06d.mp4"],
        stdin=subprocess.DEVNULL)


def wait_until_recording(program, folder, cameras, hearthkeep):
    begun = time.monotonic()
    while time.monotonic() - begun < 60:
        if hearthkeep.poll() is not None:
            sys.exit((folder / "log").read_text())
        listed = subprocess.run([program, "list", "--json", "--config", folder / "hearthkeep.toml"],
                                stdout=subprocess.PIPE, check=True).stdout
        ffmpegs = sum(any(path.stat().st_size for path in folder.glob(f"ffmpeg-{n}/*")) for n in range(cameras))
        if len({row["camera"] for row in json.loads(listed)}) == cameras and ffmpegs == cameras:
            return
        time.sleep(0.5)
    sys.exit("not everything is recorded after a minute")


def cpu_s(pids):
    """User and kernel time of processes, all their threads, in seconds: fields 14 and 15 of /proc/PID/stat."""
    return sum(ticks(Path(f"/proc/{pid}/stat")) for pid in pids) / TICKS


def threads(pid):
    used = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        used[name] = used.get(name, 0) + ticks(task / "stat") / TICKS
    return used


def ticks(stat):
    fields = stat.read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def resident_mb(pids):
    sizes = (re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M) for pid in pids)
    return round(sum(int(size[1]) for size in sizes) / 1024, 1)


if __name__ == "__main__":
    main()
