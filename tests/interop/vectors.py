#!/usr/bin/env python3
"""Runs tests/data/vectors through docs/read_segment.py, which has E alone: vectors.py"""
import base64, pathlib, sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))
sys.dont_write_bytecode = True
from read_segment import number, open_chunk, open_head, read


def head_at(e, data, at):
    """All bytes of the head at this offset, or None."""
    try:
        key, start = open_head(e, data[at:])
        chunk = open_chunk(key, data[at + 10], data, at + start)
        return data[at:chunk[3]] if chunk and chunk[0] == 0 else None
    except (ValueError, IndexError):
        return None


def span(name, start, end):
    return f"{name} {start}" if end == start + 1 else f"{name}s {start} to {end - 1}"


def say(e, data):
    """What a reader says of the file, and the fragments it gets out."""
    try:
        chunks = list(read(e, data))
    except ValueError:
        return "refused", []
    has_tail = data[-128:-120] == b"HKSEND\r\n" and number(data[-108:-104]) <= 1
    tail = [number(data[i:i + 4]) for i in range(len(data) - 120, len(data) - 104, 4)] if has_tail else None
    first, copy_at = head_at(e, data, 0), None
    for at in [tail and tail[1], first and len(data) - 128 - len(first)]:
        if copy_at is None and at and at > 0 and data[at:at + 8] == b"\x89HKS\r\n\x1a\n":
            copy_at = at
    copy = head_at(e, data, copy_at) if copy_at else None
    area_end = copy_at or len(data) - (128 if tail else 0)

    damage, expected, position = [], 0, None
    for at, k, _, _, end in chunks:
        if k > max(expected, 1):
            damage.append(span("chunk", max(expected, 1), k))
        elif position is not None and at != position and k > 1:
            damage.append(f"stray bytes before chunk {k}")
        expected, position = k + 1, end
    complete = chunks[-1][2] == 2
    if tail is None and copy_at is None:
        state = "torn"
    else:
        state = "recovered" if (tail[3] if tail else not complete) else "whole"
        told = expected if complete or not tail else tail[2] if tail[3] else max(tail[2], expected + 1)
        if expected < told:
            damage.append(span("chunk", expected, told))
        elif chunks[-1][4] < area_end:
            damage.append(f"stray bytes before chunk {expected}")
    chunks_are_whole = not damage
    if first is None:
        damage.append("head")
    elif (copy_at or tail) and copy != first:
        damage.append("copy")
    places = [chunks[-1][0] if complete else 0, area_end, expected]
    if state != "torn" and (tail is None or chunks_are_whole and tail[:3] != places):
        damage.append("tail")
    footage = [k for _, k, kind, body, _ in chunks if kind == 1 and body == f"fragment {k}.".encode() * 4]
    return ", tampered at ".join([state, *damage]), footage


def main():
    wrong = count = 0
    for path in sorted((ROOT / "tests/data/vectors").glob("*.vec")):
        head, body = path.read_text().split("\n\n", 1)
        fields = {key: value.strip() for key, value in (line.split(":", 1) for line in head.splitlines())}
        expect = fields.get("expect-with-e", fields["expect"])
        footage = [int(k) for k in fields["footage"].split()] if expect == fields["expect"] else None
        said, got = say(bytes.fromhex(fields["e"]), base64.b64decode(body))
        count += 1
        if said != expect or footage not in (None, got):
            wrong += 1
            print(f"{path.stem}: expected {expect!r} {footage}, said {said!r} {got}")
    print(f"{count - wrong} of {count} vectors read as they must")
    return 1 if wrong or not count else 0


if __name__ == "__main__":
    sys.exit(main())
