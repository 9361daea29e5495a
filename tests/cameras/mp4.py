"""A small MP4 reader: what the test cameras serve from and what the oracle checks with.

Written apart from the recorder's own MP4 code on purpose: a mistake there must not hide here. Reads progressive and
fragmented files (ISO/IEC 14496-12), H.264 and H.265 (14496-15) and AAC (14496-14), from memory-mapped files.
"""

import mmap
import struct
from dataclasses import dataclass, field
from fractions import Fraction

CONTAINERS = {b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf"}


class BadMp4(Exception):
    """The file is no MP4, or is damaged in a way that would make an answer a guess."""


@dataclass
class Entry:
    """A sample entry: what a decoder needs to know before the samples."""

    codec: str  # "h264", "h265" or "aac"
    four_cc: str
    width: int = 0
    height: int = 0
    length_size: int = 4
    config: bytes = b""  # the avcC or hvcC box's content
    parameter_sets: list = field(default_factory=list)
    rate: int = 0
    channels: int = 0
    audio_config: bytes = b""


@dataclass
class Sample:
    """One access unit or audio frame; times are in seconds, `shown` with the edit list applied."""

    offset: int
    size: int
    decode: Fraction
    shown: Fraction
    duration: Fraction
    sync: bool
    entry: Entry


@dataclass
class Track:
    kind: str  # "video" or "audio"
    timescale: int
    entries: list
    samples: list
    duration: Fraction  # the samples' durations summed, which is what a loop repeats after


class Mp4:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        top = list(boxes(self.data, 0, len(self.data)))
        moov = next((tree(self.data, b, e) for kind, b, e in top if kind == b"moov"), None)
        if moov is None:
            raise BadMp4(f"{path}: no moov box")
        movie_timescale = timescale_of(self.data, one(moov, b"mvhd"))
        self._trex = {}
        for mvex in moov.get(b"mvex", []):
            for begin, _ in mvex.get(b"trex", []):
                track, *defaults = struct.unpack_from(">5I", self.data, begin + 4)
                self._trex[track] = defaults
        self.tracks = []
        fragments = [tree(self.data, b, e) | {"at": b - 8} for kind, b, e in top if kind == b"moof"]
        for trak in moov.get(b"trak", []):
            track = self._track(trak, movie_timescale, fragments)
            if track:
                self.tracks.append(track)

    def track(self, kind):
        return next((t for t in self.tracks if t.kind == kind), None)

    def bytes_of(self, sample):
        if sample.offset + sample.size > len(self.data):
            raise BadMp4(f"a sample at byte {sample.offset} ends past the end of the file")
        return self.data[sample.offset : sample.offset + sample.size]

    def nal_units(self, sample):
        """The NAL units of an access unit, without their length fields."""
        data, at, n = self.bytes_of(sample), 0, sample.entry.length_size
        while at < len(data):
            size = int.from_bytes(data[at : at + n], "big")
            if at + n + size > len(data):
                raise BadMp4(f"a NAL unit's length runs past its sample at byte {sample.offset}")
            yield data[at + n : at + n + size]
            at += n + size

    def _track(self, trak, movie_timescale, fragments):
        data = self.data
        mdia = one(trak, b"mdia")
        handler = data[one(mdia, b"hdlr")[0] + 8 : one(mdia, b"hdlr")[0] + 12]
        kind = {b"vide": "video", b"soun": "audio"}.get(bytes(handler))
        if kind is None:
            return None
        tkhd = one(trak, b"tkhd")
        track_id = struct.unpack_from(">I", data, tkhd[0] + (20 if data[tkhd[0]] else 12))[0]
        timescale = timescale_of(data, one(mdia, b"mdhd"))
        stbl = one(one(mdia, b"minf"), b"stbl")
        entries = sample_entries(data, *one(stbl, b"stsd"))
        raw = list(progressive(data, stbl)) + list(self._fragmented(track_id, fragments))
        edits = edit_list(data, trak, movie_timescale, timescale)
        samples = []
        for offset, size, decode, shift, duration, sync, entry in raw:
            shown = edited(decode + shift, edits)
            t = (Fraction(decode, timescale), shown / timescale, Fraction(duration, timescale))
            samples.append(Sample(offset, size, *t, sync, entries[entry - 1]))
        return Track(kind, timescale, entries, samples, sum((s.duration for s in samples), Fraction(0)))

    def _fragmented(self, track_id, fragments):
        data, decode = self.data, 0
        for moof in fragments:
            for traf in moof.get(b"traf", []):
                begin, _ = one(traf, b"tfhd")
                flags, owner = struct.unpack_from(">II", data, begin)
                if owner != track_id:
                    continue
                at, entry, duration, size, flags_default = begin + 8, *self._trex.get(track_id, (1, 0, 0, 0))
                base = moof["at"]
                if flags & 0x1:
                    base, at = struct.unpack_from(">Q", data, at)[0], at + 8
                if flags & 0x2:
                    entry, at = struct.unpack_from(">I", data, at)[0], at + 4
                if flags & 0x8:
                    duration, at = struct.unpack_from(">I", data, at)[0], at + 4
                if flags & 0x10:
                    size, at = struct.unpack_from(">I", data, at)[0], at + 4
                if flags & 0x20:
                    flags_default = struct.unpack_from(">I", data, at)[0]
                for b, _ in traf.get(b"tfdt", []):
                    decode = struct.unpack_from(">Q" if data[b] else ">I", data, b + 4)[0]
                offset = base
                for b, _ in traf.get(b"trun", []):
                    offset, decode, found = run(data, b, base, offset, decode, (duration, size, flags_default))
                    for row in found:
                        yield (*row, entry)


def boxes(data, begin, end):
    while begin + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, begin)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, begin + 8)[0], 16
        elif size == 0:
            size = end - begin
        if size < head or begin + size > end:
            raise BadMp4(f"box {kind!r} at byte {begin} does not fit into what holds it")
        yield kind, begin + head, begin + size
        begin += size


def tree(data, begin, end):
    """A container as {kind: [child, ...]}, where a leaf is its (begin, end)."""
    found = {}
    for kind, b, e in boxes(data, begin, end):
        found.setdefault(kind, []).append(tree(data, b, e) if kind in CONTAINERS else (b, e))
    return found


def one(parent, kind):
    if kind not in parent:
        raise BadMp4(f"a {kind.decode()} box is missing")
    return parent[kind][0]


def timescale_of(data, box):
    """The ticks a second in mvhd and mdhd: behind two times whose width depends on the version."""
    return struct.unpack_from(">I", data, box[0] + (20 if data[box[0]] else 12))[0]


def table(data, begin, row):
    count = struct.unpack_from(">I", data, begin + 4)[0]
    step = struct.calcsize(">" + row)
    for i in range(count):
        yield struct.unpack_from(">" + row, data, begin + 8 + i * step)


def progressive(data, stbl):
    sizes_at = one(stbl, b"stsz")[0]
    same, count = struct.unpack_from(">II", data, sizes_at + 4)
    sizes = [same] * count if same else list(struct.unpack_from(f">{count}I", data, sizes_at + 12))
    if b"co64" in stbl:
        chunks = [row[0] for row in table(data, one(stbl, b"co64")[0], "Q")]
    else:
        chunks = [row[0] for row in table(data, one(stbl, b"stco")[0], "I")]
    durations = [d for n, d in table(data, one(stbl, b"stts")[0], "II") for _ in range(n)]
    shifts = [0] * count
    if b"ctts" in stbl:
        shifts = [s for n, s in table(data, one(stbl, b"ctts")[0], "Ii") for _ in range(n)]
    sync = None
    if b"stss" in stbl:
        sync = {row[0] for row in table(data, one(stbl, b"stss")[0], "I")}
    if len(durations) < count or len(shifts) < count:
        raise BadMp4("the tables of times are shorter than the table of sizes")
    rule = list(table(data, one(stbl, b"stsc")[0], "III"))
    index = decode = 0
    for i, (first, per_chunk, entry) in enumerate(rule):
        last = rule[i + 1][0] - 1 if i + 1 < len(rule) else len(chunks)
        for chunk in range(first, last + 1):
            offset = chunks[chunk - 1]
            for _ in range(per_chunk):
                is_sync = sync is None or index + 1 in sync
                yield offset, sizes[index], decode, shifts[index], durations[index], is_sync, entry
                offset, decode, index = offset + sizes[index], decode + durations[index], index + 1
    if index != count:
        raise BadMp4(f"the chunks hold {index} samples, the table of sizes {count}")


def run(data, begin, base, offset, decode, defaults):
    flags, count = struct.unpack_from(">II", data, begin)
    at, first_flags = begin + 8, None
    if flags & 0x1:
        offset, at = base + struct.unpack_from(">i", data, at)[0], at + 4
    if flags & 0x4:
        first_flags, at = struct.unpack_from(">I", data, at)[0], at + 4
    rows = []
    for i in range(count):
        duration, size, sample_flags = defaults
        shift = 0
        if i == 0 and first_flags is not None:
            sample_flags = first_flags
        if flags & 0x100:
            duration, at = struct.unpack_from(">I", data, at)[0], at + 4
        if flags & 0x200:
            size, at = struct.unpack_from(">I", data, at)[0], at + 4
        if flags & 0x400:
            sample_flags, at = struct.unpack_from(">I", data, at)[0], at + 4
        if flags & 0x800:
            shift, at = struct.unpack_from(">i", data, at)[0], at + 4
        rows.append((offset, size, decode, shift, duration, not sample_flags & 0x10000))
        offset, decode = offset + size, decode + duration
    return offset, decode, rows


def edit_list(data, trak, movie_timescale, timescale):
    """[(shown from, media from, media until)] in the track's ticks; empty edits only move what follows."""
    edits, shown = [], Fraction(0)
    for edts in trak.get(b"edts", []):
        for begin, _ in edts.get(b"elst", []):
            row = "QqI" if data[begin] else "IiI"
            for length, media, _rate in table(data, begin, row):
                ticks = Fraction(length * timescale, movie_timescale)
                if media >= 0:
                    edits.append((shown, media, media + ticks))
                shown += ticks
    return edits or [(Fraction(0), 0, Fraction(0))]


def edited(media, edits):
    """When media time is shown. Outside every edit it is counted on from the nearest one before (or the first)."""
    best = edits[0]
    for edit in edits:
        if edit[1] <= media:
            best = edit
            if media < edit[2]:
                break
    return best[0] + media - best[1]


def sample_entries(data, begin, end):
    found = []
    for kind, b, e in boxes(data, begin + 8, end):
        if kind in (b"avc1", b"avc3", b"hvc1", b"hev1"):
            width, height = struct.unpack_from(">HH", data, b + 24)
            inside = {k: (x, y) for k, x, y in boxes(data, b + 78, e)}
            if b"avcC" in inside:
                entry = Entry("h264", kind.decode(), width, height)
                entry.config = data[slice(*inside[b"avcC"])]
                parse_avcc(entry.config, entry)
            else:
                entry = Entry("h265", kind.decode(), width, height)
                entry.config = data[slice(*inside[b"hvcC"])]
                parse_hvcc(entry.config, entry)
        elif kind == b"mp4a":
            channels, _bits, _, _, rate = struct.unpack_from(">HHHHI", data, b + 16)
            inside = {k: (x, y) for k, x, y in boxes(data, b + 28, e)}
            config = audio_config(data[inside[b"esds"][0] + 4 : inside[b"esds"][1]])
            entry = Entry("aac", "mp4a", rate=rate >> 16, channels=channels, audio_config=config)
        else:
            entry = Entry(kind.decode("latin-1"), kind.decode("latin-1"))
        found.append(entry)
    return found


def parse_avcc(box, entry):
    entry.length_size = (box[4] & 3) + 1
    at = 5
    for mask in (0x1F, 0xFF):
        count, at = box[at] & mask, at + 1
        for _ in range(count):
            size = struct.unpack_from(">H", box, at)[0]
            entry.parameter_sets.append(box[at + 2 : at + 2 + size])
            at += 2 + size


def parse_hvcc(box, entry):
    entry.length_size = (box[21] & 3) + 1
    at = 23
    for _ in range(box[22]):
        count, at = struct.unpack_from(">H", box, at + 1)[0], at + 3
        for _ in range(count):
            size = struct.unpack_from(">H", box, at)[0]
            entry.parameter_sets.append(box[at + 2 : at + 2 + size])
            at += 2 + size


def audio_config(descriptors):
    """The AudioSpecificConfig inside an esds box (14496-1 descriptors: tag, a length of 7-bit groups, content)."""
    at = 0
    while at < len(descriptors):
        tag, size, at = descriptors[at], 0, at + 1
        while True:
            byte, at = descriptors[at], at + 1
            size = size << 7 | byte & 0x7F
            if not byte & 0x80:
                break
        if tag == 5:
            return bytes(descriptors[at : at + size])
        # ES descriptors (3) and decoder configurations (4) hold what is sought: step over their fixed fields only.
        at += {3: 3, 4: 13}.get(tag, size)
    raise BadMp4("an esds box without a decoder configuration")
