#!/usr/bin/env python3
"""Runs tests/data/log through docs/read_log.py: log.py"""
import base64, pathlib, sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))
sys.dont_write_bytecode = True
from read_log import h, read_checkpoint, read_entries, read_key, tree_hash


def say(fields, data):
    try:
        key = read_key(fields["key"])
    except Exception:
        return "key"
    try:
        size, root = read_checkpoint(fields["checkpoint"].replace("\\n", "\n"), key)
    except Exception:
        return "checkpoint"
    leaves, types = [], []
    for index, leaf, record in read_entries(bytes.fromhex(fields["m"]), key[2], data):
        if index == size:
            break
        if record is None:
            return f"entry {index}"
        if index == 0 and (record[0] != 1 or record[16:32] != key[1] or record[32:64] != key[4]):
            return "first"
        leaves.append(leaf)
        types.append(str(record[0]))
    if len(leaves) < size or tree_hash(leaves) != root:
        return "root"
    return "whole records " + " ".join(types)


def verify_consistency(old, size, proof, old_root, root):
    """RFC 9162, 2.1.4.2."""
    if old == size:
        return not proof and old_root == root
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    at, last = old - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    if not path:
        return False
    was = now = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            was, now = h(b"\1" + other + was), h(b"\1" + other + now)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            now = h(b"\1" + now + other)
        at, last = at >> 1, last >> 1
    return last == 0 and was == old_root and now == root


def judge(fields):
    key = read_key(fields["key"])
    size, root = read_checkpoint(fields["checkpoint"].replace("\\n", "\n"), key)
    seen = fields["seen"].replace("\\n", "\n").split("\n")
    if seen[0] != key[0]:
        return "other-log"
    old, old_root = int(seen[1]), base64.b64decode(seen[2])
    if size < old:
        return "rolled-back"
    if (old, old_root) == (size, root):
        return "same"
    proof = [base64.b64decode(text) for text in fields.get("proof", "").split()]
    return "grown" if verify_consistency(old, size, proof, old_root, root) else "forked"


def main():
    wrong = count = 0
    for path in sorted((ROOT / "tests/data/log").glob("*.log")):
        head, body = path.read_text().split("\n\n", 1)
        fields = {key: value.strip() for key, value in (line.split(":", 1) for line in head.splitlines())}
        said = say(fields, base64.b64decode(body))
        verdict = judge(fields) if "seen" in fields else None
        count += 1
        if said != fields["expect"] or verdict != fields.get("verdict"):
            wrong += 1
            print(f"{path.stem}: expected {fields['expect']!r} {fields.get('verdict')}, said {said!r} {verdict}")
    print(f"{count - wrong} of {count} vectors of the log read as they must")
    return 1 if wrong or not count else 0


if __name__ == "__main__":
    sys.exit(main())
