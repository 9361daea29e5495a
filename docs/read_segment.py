#!/usr/bin/env python3
"""Opens a Hearthkeep segment (docs/format.md): read_segment.py E-IN-HEX FILE.hks > FILE.mp4

E is the last 32 bytes of what `age -d -i IDENTITY` makes of the envelope: bytes 256 to "offset of chunk 0" of the file.
Needs python3 and its package `cryptography`. Says on standard error what is missing.
"""
import hashlib, hmac, sys
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

def number(data): return int.from_bytes(data, "big")
def expand(key, info, n=32): return HKDFExpand(SHA256(), n, info).derive(key)

def open_head(e, data):
    """(key of the chunks, offset of chunk 0) of a header and its envelope. Compares the commitment."""
    start, step = number(data[12:16]), number(data[64:72])
    if data[:10] != b"\x89HKS\r\n\x1a\n\1\1" or not 1 <= data[10] <= 3 or data[11] or any(data[240:256]):
        raise ValueError("not a segment of version 1 and suite 1")
    if not 256 <= start <= 256 + 65536 or step >= 1 << 20 or data[256:start].split(b"\n---")[0].count(b"\n-> ") != 1:
        raise ValueError("envelope or step beyond the limits, or sealed to somebody else as well")
    link = expand(e, b"hearthkeep/v1/chain" + data[32:48] + data[10:11])
    for _ in range(step):
        link = expand(link, b"hearthkeep/v1/next")
    keys = expand(expand(link, b"hearthkeep/v1/segment"), b"hearthkeep/v1/keys" + data[:104], 64)
    if not hmac.compare_digest(keys[32:], data[104:136]):
        raise ValueError("the commitment is another key's")
    return keys[:32], start

def open_chunk(key, kind, data, at):
    """(k, type, body, end) of the chunk at this offset, or None. Its index entry (24 to 56) is the recorder's own."""
    n, final, k, r = number(data[at:at + 4]), data[at + 4:at + 5], number(data[at + 5:at + 8]), data[at + 8:at + 24]
    text, end = at + 56, at + 56 + n
    if not 17 <= n <= 1 << 24 or final not in (b"\0", b"\1") or k >= 20000 or end + 32 > len(data):
        return None
    if hashlib.sha256(b"\0" + data[at:end]).digest() != data[end:end + 32]:  # the leaf
        return None
    try:
        key = expand(key, b"hearthkeep/v1/chunk" + r + final + k.to_bytes(8, "big"))
        plain = ChaCha20Poly1305(key).decrypt(bytes(12), data[text:end], data[at:text])
    except InvalidTag:
        return None
    expected = 2 if final == b"\1" else 0 if k == 0 else {1: 1, 2: 4, 3: 3}[kind]
    return (k, plain[0], plain[1:], end + 32) if plain[0] == expected else None

def read(e, data):
    """The chunks of a segment, in order, as (offset, k, type, body, end). A damaged one is passed over."""
    try:
        (key, at), kind = open_head(e, data), data[10]
        if open_chunk(key, kind, data, at) is None:
            raise ValueError("chunk 0 is damaged")
    except ValueError:  # what the others need stands twice: the tail says where
        copy = data[number(data[-116:-112]):-128] if data[-128:-120] == b"HKSEND\r\n" else b""
        if not copy.startswith(b"\x89HKS"):
            raise
        (key, at), kind = open_head(e, copy), copy[10]
        k, _, body, _ = open_chunk(key, kind, copy, at) or (None,) * 4
        if k != 0:
            raise
        yield number(data[-116:-112]) + at, 0, 0, body, at
    k = 0
    while at < len(data):
        chunk = open_chunk(key, kind, data, at)
        if chunk and chunk[0] >= k:
            yield (at, *chunk)
            k, at = chunk[0] + 1, chunk[3]
            if chunk[1] == 2:  # the footer is the last one
                return
        else:
            at += 1

if __name__ == "__main__":
    expected, final = 0, False
    for _, k, kind, body, _ in read(bytes.fromhex(sys.argv[1]), open(sys.argv[2], "rb").read()):
        if k != expected and k:
            print(f"damaged or missing: chunks {expected} to {k - 1}", file=sys.stderr)
        expected, final = k + 1, kind == 2
        if not final:
            sys.stdout.buffer.write(body[24:] if k == 0 else body)
    if not final:
        print("the segment has no end: cut off, or torn and recovered", file=sys.stderr)
