#!/usr/bin/env python3
"""The oracle of exactness: is a file's video and sound a contiguous piece of an endlessly repeated clip?

    slices.py FILE CLIP [CLIP...] [--gaps] [--video-only] [--av-ms-max MS]

Takes every slice (VCL NAL unit) and every AAC frame out of FILE, finds the first in CLIP and demands each next one in
order, byte for byte, over the clip's end and from its beginning again: none missing, none doubled, none altered. Whatever
parameter sets, delimiters or SEI a server puts around them does not matter; zero bytes behind a slice are counted as
`padded_with_zeros` and not compared. The times are held to the clip's too, since a
whole lost loop shows in nothing else. With several clips a change is allowed to another one's first picture.

--gaps tolerates holes that begin again at a key frame, and lists them. Bytes that are not the clip's, and anything
doubled, are always wrong. FILE may be anything that ffmpeg reads; what is no MP4 is remuxed to one first.

Prints JSON; exit code 0 if all is exact, 1 if not, 2 if FILE or CLIP cannot be read.
"""

import argparse
import bisect
import hashlib
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import mp4  # noqa: E402

# The camera's clock arrives in ticks and may be rounded on its way; a missing audio frame is 21 ms.
TIME_TOLERANCE_S = 0.010


class Unit:
    """One slice or AAC frame: its hash, when it is shown, whether decoding can begin with it."""

    __slots__ = ("digest", "time", "key")

    def __init__(self, digest, time, key):
        self.digest, self.time, self.key = digest, time, key


def units_of(file, kind):
    """-> (the units, how long they last, how many had zero bytes behind them)."""
    track = file.track(kind)
    if track is None:
        return None, 0, 0
    found, padded = [], 0
    for sample in track.samples:
        time = float(sample.shown)
        if kind == "audio":
            found.append(Unit(hashlib.sha256(file.bytes_of(sample)).digest(), time, True))
            continue
        for nal in file.nal_units(sample):
            is_slice, key = slice_kind(sample.entry.codec, nal)
            if is_slice:
                # A NAL unit never ends with a zero byte (H.265 7.4.2): ffmpeg 5.1's MP4 muxer leaves some behind H.265's.
                bare = nal.rstrip(b"\0")
                padded += len(bare) != len(nal)
                found.append(Unit(hashlib.sha256(bare).digest(), time, key))
    return found, float(track.duration), padded


def slice_kind(codec, nal):
    if codec == "h264":
        kind = nal[0] & 0x1F
        return kind in (1, 5), kind == 5
    if codec == "h265":
        kind = nal[0] >> 1 & 0x3F
        return kind < 32, 16 <= kind <= 21
    raise mp4.BadMp4(f"video codec {codec} is neither H.264 nor H.265")


class Clip:
    """A source: where each slice stands in it, and how long a loop is."""

    def __init__(self, path):
        file = mp4.Mp4(path)
        self.name = pathlib.Path(path).stem
        self.units, self.where, self.period = {}, {}, 0.0
        for kind in ("video", "audio"):
            units, duration, _ = units_of(file, kind)
            if units is None:
                continue
            if kind == "audio" and abs(duration - self.period) > 1e-6:
                raise mp4.BadMp4(f"{path} does not loop: {self.period} s of video, {duration} s of audio")
            self.period = self.period or duration
            self.units[kind] = units
            self.where[kind] = {unit.digest: i for i, unit in enumerate(units)}
            if len(self.where[kind]) != len(units):
                raise mp4.BadMp4(f"{path}: two units of its {kind} are the same, an order cannot be told from them")


def check(units, clips, kind, gaps_allowed):
    """Follows the units through the clips. -> (report, each unit's deviation from the clip's own time)."""
    report = {"count": len(units), "ok": False, "first_index": None, "first_error": None, "gaps": [], "changes": []}
    deviations, clip, index = [], None, None

    def fail(at, why, **more):
        report["first_error"] = {"at": at, "time_s": round(units[at].time, 6), "why": why, **more}
        return report, deviations

    for at, unit in enumerate(units):
        found = position(unit, clips, kind, clip)
        if found is None:
            return fail(at, "not in the clip: altered or foreign bytes", expected_index=index)
        found_clip, found_index = found
        deviation = unit.time - found_clip.units[kind][found_index].time
        if clip is None:
            report |= {"clip": found_clip.name, "first_index": found_index}
        else:
            late = wrapped(deviation - deviations[-1], found_clip.period)
            elapsed = unit.time - units[at - 1].time
            expected = clip.units[kind][index]
            in_order = found_clip is clip and found_index == index
            if found_clip is not clip and found_index == 0:
                report["changes"].append({"at": at, "time_s": round(unit.time, 6), "to": found_clip.name})
                in_order = index == 0
            usual = step(clip, kind, index)
            on_time = abs(late) <= TIME_TOLERANCE_S and abs(elapsed - usual) <= TIME_TOLERANCE_S
            if not (in_order and on_time):
                where = {"expected_index": index, "found_index": found_index}
                if elapsed < -TIME_TOLERANCE_S:
                    return fail(at, "goes back in time", **where)
                # After a gap of a loop it is the same one's turn again.
                is_next_loop = gaps_allowed and elapsed > found_clip.period / 2
                if not in_order and unit.digest == units[at - 1].digest and not is_next_loop:
                    return fail(at, "doubled", **where)
                if not in_order and not gaps_allowed:
                    return fail(at, "out of order: something is missing or doubled", **where)
                if not gaps_allowed:
                    late_ms = round(1000 * (elapsed - usual), 3)
                    return fail(at, "in order, but at another time than the clip's", late_ms=late_ms)
                if elapsed <= usual + TIME_TOLERANCE_S:
                    return fail(at, "units are missing although no time has passed", **where)
                if not unit.key:
                    return fail(at, "goes on after a gap without a key frame", **where)
                missing = (found_index - clip.where[kind][expected.digest]) % len(clip.units[kind])
                gap = {"at": at, "from_s": round(units[at - 1].time, 6), "to_s": round(unit.time, 6)}
                report["gaps"].append(gap | {"missing_modulo_loop": missing if found_clip is clip else None})
        deviations.append(deviation)
        clip, index = found_clip, (found_index + 1) % len(found_clip.units[kind])
    if not units:
        report["first_error"] = {"why": "nothing there"}
        return report, deviations
    report |= {"ok": True, "last_index": found_index, "seconds": round(units[-1].time - units[0].time, 6)}
    return report, deviations


def position(unit, clips, kind, current):
    """Where the unit stands, in the current clip if it is there: clips may share their sound."""
    for clip in [current, *clips] if current else clips:
        if unit.digest in clip.where.get(kind, {}):
            return clip, clip.where[kind][unit.digest]
    return None


def step(clip, kind, index):
    """The time from the unit before `index` to the one there, over the loop's end too; 0 within a picture."""
    units = clip.units[kind]
    if index:
        return units[index].time - units[index - 1].time
    return units[0].time + clip.period - units[-1].time


def wrapped(seconds, period):
    return (seconds + period / 2) % period - period / 2


def av_offsets(video, video_deviation, audio, audio_deviation, period):
    """How much later the sound is than in the clip, in seconds, at each slice with sound near it."""
    times = [unit.time for unit in audio[: len(audio_deviation)]]
    found = []
    for unit, deviation in zip(video, video_deviation):
        near = bisect.bisect_left(times, unit.time)
        for i in (near - 1, near):
            if 0 <= i < len(times) and abs(times[i] - unit.time) < 0.03:
                found.append(wrapped(audio_deviation[i] - deviation, period))
                break
    return found


def opened(path, scratch):
    try:
        return mp4.Mp4(path)
    except (mp4.BadMp4, ValueError):
        with open(path, "rb") as file:
            if file.read(8)[4:8] in (b"ftyp", b"styp"):
                raise  # a damaged MP4 must not pass because ffmpeg repairs it
    remuxed = pathlib.Path(scratch, "remuxed.mp4")
    command = ["ffmpeg", "-nostdin", "-v", "error", "-copyts", "-i", path, "-map", "0", "-c", "copy", str(remuxed)]
    subprocess.run(command, check=True)
    return mp4.Mp4(remuxed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("clips", nargs="+", metavar="clip")
    parser.add_argument("--gaps", action="store_true", help="tolerate and list holes that end at a key frame")
    parser.add_argument("--video-only", action="store_true", help="do not ask for sound")
    parser.add_argument("--av-ms-max", type=float, help="fail if the sound is further off than this anywhere")
    options = parser.parse_args()
    try:
        report = examine(options)
    except (mp4.BadMp4, OSError, ValueError, IndexError, subprocess.CalledProcessError) as error:
        print(json.dumps({"ok": False, "error": str(error)}))
        sys.exit(2)
    print(json.dumps(report, indent=1))
    sys.exit(0 if report["ok"] else 1)


def examine(options):
    clips = [Clip(path) for path in options.clips]
    with tempfile.TemporaryDirectory() as scratch:
        file = opened(options.file, scratch)
        found = {kind: units_of(file, kind) for kind in ("video", "audio")}
    units = {kind: found[kind][0] for kind in found}
    report, deviations = {"ok": True}, {}
    wanted = ["video"] if options.video_only or "audio" not in clips[0].units else ["video", "audio"]
    for kind in wanted:
        if units[kind] is None:
            report[kind] = {"count": 0, "ok": False, "first_error": {"why": f"the file has no {kind} track"}}
            deviations[kind] = []
        else:
            report[kind], deviations[kind] = check(units[kind], clips, kind, options.gaps)
            report[kind]["padded_with_zeros"] = found[kind][2]
        report["ok"] &= report[kind]["ok"]
    if all(deviations.get(kind) for kind in ("video", "audio")):
        offsets = av_offsets(
            units["video"], deviations["video"], units["audio"], deviations["audio"], clips[0].period
        )
        if offsets:
            report["av_offset_ms"] = round(1000 * statistics.median(offsets), 3)
            report["av_offset_ms_worst"] = round(1000 * max(offsets, key=abs), 3)
    if options.av_ms_max is not None and "audio" in wanted:
        report["ok"] &= abs(report.get("av_offset_ms_worst", float("inf"))) <= options.av_ms_max
    return report


if __name__ == "__main__":
    main()
