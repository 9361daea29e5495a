#!/usr/bin/env python3
"""The oracle must be able to say no: every kind of damage it exists for, done to a clip, and its verdict.

    test_slices.py        (makes the small clips if they are not there; a second)
"""

import argparse
import contextlib
import io
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
import mp4  # noqa: E402
import slices  # noqa: E402

CACHE = HERE.parent.parent / ".cache" / "clips"


def setUpModule():
    command = [sys.executable, HERE / "make_clips.py", "--dir", CACHE, "small"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def looped(clip, kind, begin, count, shift=0.0):
    """What a perfect recorder makes of a clip: `count` units from `begin` on, over as many loops as it takes."""
    source = clip.units[kind]
    found = []
    for i in range(begin, begin + count):
        loop, at = divmod(i, len(source))
        unit = source[at]
        found.append(slices.Unit(unit.digest, unit.time + loop * clip.period + shift, unit.key))
    return found


class Sequences(unittest.TestCase):
    def setUp(self):
        self.clip = slices.Clip(CACHE / "h264_small.mp4")
        self.other = slices.Clip(CACHE / "h264_other.mp4")

    def verdict(self, units, clips=None, kind="video", gaps=False):
        return slices.check(units, clips or [self.clip], kind, gaps)[0]

    def test_three_loops_from_the_middle_are_exact(self):
        for kind in ("video", "audio"):
            self.assertTrue(self.verdict(looped(self.clip, kind, 45, 1000), kind=kind)["ok"])

    def test_a_missing_unit_is_found(self):
        for kind in ("video", "audio"):
            units = looped(self.clip, kind, 0, 300)
            del units[150]
            report = self.verdict(units, kind=kind)
            self.assertEqual(report["first_error"]["at"], 150)

    def test_a_missing_unit_whose_time_was_closed_up_is_found_even_where_gaps_are_allowed(self):
        units = looped(self.clip, "video", 0, 300)
        times = [unit.time for unit in units]
        del units[150]
        for unit, time in zip(units, times):
            unit.time = time
        self.assertIn("no time has passed", self.verdict(units, gaps=True)["first_error"]["why"])

    def test_a_doubled_unit_is_found(self):
        for gaps in (False, True):
            units = looped(self.clip, "audio", 0, 300)
            units.insert(120, units[119])
            self.assertEqual(self.verdict(units, kind="audio", gaps=gaps)["first_error"]["why"], "doubled")

    def test_a_gap_of_a_whole_loop_is_no_doubled_unit(self):
        video = self.clip.units["video"]
        key = next(i for i, unit in enumerate(video) if unit.key and i)
        units = looped(self.clip, "video", 0, key + 1) + looped(self.clip, "video", key + len(video), 60)
        report = self.verdict(units, gaps=True)
        self.assertTrue(report["ok"], report)
        self.assertEqual(report["gaps"][0]["missing_modulo_loop"], len(video) - 1)
        self.assertFalse(self.verdict(units)["ok"])

    def test_a_doubled_group_of_pictures_is_found(self):
        once, again = looped(self.clip, "video", 0, 30), looped(self.clip, "video", 15, 60, shift=1.0)
        self.assertEqual(self.verdict(once + again)["first_error"]["at"], 30)

    def test_swapped_units_are_found(self):
        units = looped(self.clip, "video", 0, 60)
        units[20], units[21] = units[21], units[20]
        self.assertFalse(self.verdict(units, gaps=True)["ok"])

    def test_a_whole_lost_loop_shows_in_the_times(self):
        begin = looped(self.clip, "video", 0, 120)
        rest = looped(self.clip, "video", 240, 120)
        self.assertIn("another time", self.verdict(begin + rest)["first_error"]["why"])
        self.assertEqual(len(self.verdict(begin + rest, gaps=True)["gaps"]), 1)

    def test_a_slow_clock_is_found(self):
        units = looped(self.clip, "video", 0, 120)
        units[60].time += 0.02
        self.assertFalse(self.verdict(units)["ok"])

    def test_a_gap_is_tolerated_only_at_a_key_frame(self):
        begin = looped(self.clip, "video", 0, 50)
        report = self.verdict(begin + looped(self.clip, "video", 75, 50), gaps=True)
        self.assertTrue(report["ok"])
        self.assertEqual(report["gaps"][0]["missing_modulo_loop"], 25)
        report = self.verdict(begin + looped(self.clip, "video", 76, 50), gaps=True)
        self.assertIn("key frame", report["first_error"]["why"])

    def test_a_change_of_clip_at_the_end_of_a_loop_is_exact(self):
        units = looped(self.clip, "video", 100, 20) + looped(self.other, "video", 0, 30, shift=8.0)
        report = self.verdict(units, clips=[self.clip, self.other])
        self.assertTrue(report["ok"])
        self.assertEqual(report["changes"][0]["to"], "h264_other")

    def test_sound_that_lags_is_measured(self):
        video, audio = looped(self.clip, "video", 10, 90), looped(self.clip, "audio", 40, 300, shift=0.055)
        deviations = [slices.check(units, [self.clip], kind, False)[1] for units, kind in ((video, "video"), (audio, "audio"))]
        offsets = slices.av_offsets(video, deviations[0], audio, deviations[1], self.clip.period)
        self.assertTrue(offsets and all(abs(offset - 0.055) < 1e-6 for offset in offsets))


class Files(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        self.clip = CACHE / "h265_small.mp4"
        self.copy = pathlib.Path(self.scratch.name, "copy.mp4")

    def verdict(self, path):
        options = argparse.Namespace(file=str(path), clips=[self.clip], gaps=False, video_only=False, av_ms_max=5.0)
        return slices.examine(options)

    def remuxed(self, name, *arguments):
        path = pathlib.Path(self.scratch.name, name)
        command = ["ffmpeg", "-nostdin", "-v", "error", "-stream_loop", "2", "-i", self.clip, "-c", "copy", *arguments, path]
        subprocess.run(command, check=True)
        return path

    def test_one_flipped_bit_is_found(self):
        for kind in ("video", "audio"):
            shutil.copy(self.clip, self.copy)
            sample = mp4.Mp4(self.clip).track(kind).samples[70]
            with open(self.copy, "r+b") as file:
                file.seek(sample.offset + sample.size // 2)
                byte = file.read(1)[0]
                file.seek(-1, io.SEEK_CUR)
                file.write(bytes([byte ^ 1]))
            report = self.verdict(self.copy)
            self.assertFalse(report["ok"])
            self.assertEqual(report[kind]["first_error"]["at"], 70)

    def test_loops_are_exact_in_mp4_in_fragments_and_in_other_containers(self):
        fragments = ("-movflags", "frag_keyframe+empty_moov+default_base_moof")
        for path in (self.remuxed("a.mp4"), self.remuxed("b.mp4", *fragments), self.remuxed("c.mkv")):
            report = self.verdict(path)
            self.assertTrue(report["ok"], json.dumps(report))
            self.assertEqual(report["video"]["count"], 360)
            self.assertEqual(report["audio"]["count"], 1125)

    def test_an_edit_list_counts_for_the_sound(self):
        late = pathlib.Path(self.scratch.name, "late.mp4")
        command = ["ffmpeg", "-nostdin", "-v", "error", "-i", self.clip, "-itsoffset", "0.060", "-i", self.clip]
        subprocess.run([*command, "-map", "0:v", "-map", "1:a", "-c", "copy", late], check=True)
        report = self.verdict(late)
        self.assertFalse(report["ok"])
        self.assertAlmostEqual(report["av_offset_ms"], 60, delta=1)

    def test_a_truncated_file_is_refused(self):
        shutil.copy(self.clip, self.copy)
        with open(self.copy, "r+b") as file:
            file.truncate(self.copy.stat().st_size * 2 // 3)
        with self.assertRaises(mp4.BadMp4), contextlib.redirect_stdout(io.StringIO()):
            self.verdict(self.copy)


if __name__ == "__main__":
    unittest.main()
