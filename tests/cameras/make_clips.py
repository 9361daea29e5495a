#!/usr/bin/env python3
"""Makes the clips that the test cameras serve, into a cache that later runs take them from at once.

    make_clips.py [--dir .cache/clips] [--list] [small | all | NAME...]      (default: small)

A clip loops exactly: its pictures and its AAC frames last the same whole number of seconds, so a camera that repeats the
bytes keeps sound and picture in step for ever. What a test can read from it:

- each picture's number within the clip, as text and as a barcode of 16 blocks over the whole width of the topmost
  fifteenth, bit 15 on the left, white is 1;
- a white square at the bottom right in the pictures of the first 50 ms of each second, and a 1 kHz beep over the same
  50 ms;
- sound that never repeats within the clip (quiet noise under the beep), so that each AAC frame is recognised by its bytes.

Prints a line NAME=PATH for each clip asked for.
"""

import argparse
import array
import fcntl
import hashlib
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile

SECONDS = 8
RATE = 48000
AAC_SAMPLES = 1024
AAC_FRAMES = SECONDS * RATE // AAC_SAMPLES
assert AAC_FRAMES * AAC_SAMPLES == SECONDS * RATE, "the sound must end where the pictures do"
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf"

#        name            codec   width height fps kbit/s GOP s
CLIPS = {
    "h264_1080p30": ("h264", 1920, 1080, 30, 4000, 2),
    "h265_1080p30": ("h265", 1920, 1080, 30, 2000, 2),
    "h264_360p15": ("h264", 640, 360, 15, 400, 2),
    "h264_small": ("h264", 320, 180, 15, 150, 1),
    "h264_other": ("h264", 480, 270, 15, 200, 1),
    "h265_small": ("h265", 320, 180, 15, 150, 1),
}
GROUPS = {"small": [n for n in CLIPS if n.endswith(("_small", "_other"))], "all": list(CLIPS)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", default=".cache/clips", type=pathlib.Path)
    parser.add_argument("--list", action="store_true", help="name the clips and end")
    parser.add_argument("names", nargs="*", default=["small"], metavar="small|all|NAME")
    options = parser.parse_args()
    if options.list:
        print("\n".join(CLIPS))
        return
    names = [clip for name in options.names for clip in GROUPS.get(name, [name])]
    for name in names:
        if name not in CLIPS:
            sys.exit(f"no clip is called {name}: choose from {', '.join([*GROUPS, *CLIPS])}")
    options.dir.mkdir(parents=True, exist_ok=True)
    # Tests start side by side: the second waits for the first's clips instead of making them again.
    with open(options.dir / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in dict.fromkeys(names):
            print(f"{name}={make(name, options.dir)}", flush=True)


def make(name, folder):
    clip, key_file = folder / f"{name}.mp4", folder / f"{name}.key"
    # Any edit of this file makes the clips anew: a version number would be forgotten one day.
    key = hashlib.sha256(name.encode() + pathlib.Path(__file__).read_bytes()).hexdigest()
    if clip.exists() and key_file.exists() and key_file.read_text() == key:
        return clip.resolve()
    key_file.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        sound, made = pathlib.Path(scratch, "sound.aac"), pathlib.Path(scratch, "clip.mp4")
        sound.write_bytes(encode_sound())
        encode_pictures(CLIPS[name], sound, made)
        os.replace(made, clip)
    key_file.write_text(key)
    return clip.resolve()


def encode_sound():
    """The middle one of three loops, as ADTS: its frames follow from a loop and lead into one, without priming."""
    noise = random.Random(7)
    one_loop = array.array("h", bytes(2 * SECONDS * RATE))
    for i in range(len(one_loop)):
        one_loop[i] = noise.randint(-60, 60)
        into_second = i % RATE
        if into_second < RATE // 20:
            one_loop[i] += int(16000 * math.sin(2 * math.pi * 1000 * into_second / RATE))
    if sys.byteorder == "big":
        one_loop.byteswap()
    encoded = ffmpeg(
        f"-f s16le -ar {RATE} -ac 1 -i pipe:0 -c:a aac -b:a 64k -f adts pipe:1".split(), one_loop.tobytes() * 3
    )
    frames, at = [], 0
    while at < len(encoded):
        size = (encoded[at + 3] & 3) << 11 | encoded[at + 4] << 3 | encoded[at + 5] >> 5
        frames.append(encoded[at : at + size])
        at += size
    # The encoder puts one frame of priming in front of the first.
    return b"".join(frames[1 + AAC_FRAMES : 1 + 2 * AAC_FRAMES])


def encode_pictures(spec, sound, made):
    codec, width, height, fps, kbits, gop_s = spec
    gop = fps * gop_s
    if codec == "h264":
        args = f"-c:v libx264 -profile:v high -preset superfast -tune zerolatency -b:v {kbits}k -maxrate {kbits}k"
        args += f" -bufsize {kbits}k -x264-params nal-hrd=cbr:keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0"
        args += ":sliced-threads=0:slices=1:force-cfr=1"
    else:
        args = f"-c:v libx265 -preset ultrafast -tag:v hvc1 -b:v {kbits}k -x265-params keyint={gop}:min-keyint={gop}"
        args += f":scenecut=0:bframes=0:open-gop=0:slices=1:vbv-maxrate={kbits}:vbv-bufsize={kbits}:log-level=error"
    ffmpeg(
        ["-f", "lavfi", "-i", f"testsrc2=size={width}x{height}:rate={fps}:duration={SECONDS}", "-i", str(sound)]
        + ["-vf", picture_filter(width, height, fps), "-pix_fmt", "yuv420p", *args.split(), "-c:a", "copy"]
        + ["-video_track_timescale", "90000", "-movflags", "+faststart", "-f", "mp4", str(made)]
    )


def picture_filter(width, height, fps):
    block, rows = width // 16, height // 15
    assert block * 16 == width and rows * 15 == height, "the barcode's blocks must be whole pixels"
    steps = [f"drawbox=x=0:y=0:w={width}:h={rows}:color=black:t=fill"]
    for i in range(16):
        bit = 1 << (15 - i)
        if bit < fps * SECONDS:
            on = f"gte(mod(n\\,{2 * bit})\\,{bit})"
            steps.append(f"drawbox=x={i * block}:y=0:w={block}:h={rows}:color=white:t=fill:enable='{on}'")
    w, h = width // 8, height // 6
    corner = f"drawbox=x={width - w}:y={height - h}:w={w}:h={h}:t=fill"
    steps.append(f"{corner}:color=black")
    steps.append(f"{corner}:color=white:enable='lt(mod(n\\,{fps})/{fps}\\,0.05)'")
    text = "picture %{frame_num}  %{pts\\:hms}"
    place = f"fontsize={height // 12}:x={width // 40}:y={rows * 3 // 2}"
    steps.append(f"drawtext=fontfile={FONT}:{place}:fontcolor=white:box=1:boxcolor=black:text='{text}'")
    return ",".join(steps)


def ffmpeg(arguments, given=None):
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *arguments]
    try:
        done = subprocess.run(command, input=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    except FileNotFoundError:
        sys.exit("ffmpeg is not installed: run `make setup`")
    if done.returncode:
        sys.exit(f"ffmpeg could not make the clip:\n{done.stderr.decode(errors='replace')}")
    return done.stdout


if __name__ == "__main__":
    main()
