#!/usr/bin/env python3
"""Reads a Hearthkeep signed log (docs/format.md, 9): read_log.py M-IN-HEX FOLDER, a folder log/<log id> of a disk

M is the last 32 bytes of what opens the keyring's sealed M. Needs python3 and its package `cryptography`. Says a line for
each entry, and at the end whether the entries are those that the checkpoint was signed for.
"""
import base64, hashlib, hmac, pathlib, sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

NAMES = ["", "begun", "started", "epoch opened", "segment closed", "deleted", "gap", "hold", "unhold", "clock anchor", "audit"]


def h(data):
    return hashlib.sha256(data).digest()


def read_key(text):
    """Name, store, log id, key id and public key of the file `key`; ValueError where they do not belong together."""
    name, key_id, key = text.strip().split("+", 2)
    key = base64.b64decode(key, validate=True)
    _, _, store, log = name.split("/")
    store, log = bytes.fromhex(store), bytes.fromhex(log)
    right = len(key) == 33 and key[0] == 1 and bytes.fromhex(key_id) == h(name.encode() + b"\n" + key)[:4]
    if not right or log != h(b"hearthkeep/v1/log-id" + store + key[1:])[:16]:
        raise ValueError("key")
    return name, store, log, bytes.fromhex(key_id), key[1:]


def read_checkpoint(note, key):
    """Size and root, where the log's key has signed them."""
    name, _, _, key_id, public = key
    end = note.rindex("\n\n") + 1
    lines = note[:end].split("\n")
    if lines[0] != name or lines[1] != str(int(lines[1])):
        raise ValueError("checkpoint")
    for line in note[end + 1:].splitlines():
        signer, signature = line.removeprefix("\u2014 ").split(" ")
        signature = base64.b64decode(signature)
        if line.startswith("\u2014 ") and signer == name and signature[:4] == key_id:
            Ed25519PublicKey.from_public_bytes(public).verify(signature[4:], note[:end].encode())
            return int(lines[1]), base64.b64decode(lines[2], validate=True)
    raise ValueError("checkpoint")


def read_entries(m, log, data):
    """Index, leaf and record of each entry; the record is None where it does not open."""
    at = index = 0
    while at + 24 <= len(data):
        n = int.from_bytes(data[at:at + 4], "big")
        end = at + 24 + n
        if not 17 <= n <= 65536 or end > len(data):
            return
        head, sealed = data[at:at + 24], data[at + 24:end]
        info = b"hearthkeep/v1/log" + log + head[8:] + index.to_bytes(8, "big") + b"\x01"
        try:
            record = ChaCha20Poly1305(hmac.digest(m, info, "sha256")).decrypt(bytes(12), sealed, head)
        except Exception:
            record = None
        yield index, h(b"\0" + data[at:end]), record
        at, index = end, index + 1


def tree_hash(leaves):
    if len(leaves) < 2:
        return leaves[0] if leaves else h(b"")
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return h(b"\1" + tree_hash(leaves[:split]) + tree_hash(leaves[split:]))


def main():
    m, folder = bytes.fromhex(sys.argv[1]), pathlib.Path(sys.argv[2])
    key = read_key((folder / "key").read_text())
    size, root = read_checkpoint((folder / "checkpoint").read_text(), key)
    leaves = []
    for index, leaf, record in read_entries(m, key[2], (folder / "entries").read_bytes()):
        leaves.append(leaf)
        kind = record and (NAMES[record[0]] if record[0] < len(NAMES) else f"type {record[0]}")
        print(index, kind or "does not open", record[16:].hex() if record else "")
    print("as it was signed" if tree_hash(leaves[:size]) == root and len(leaves) >= size else "NOT as it was signed")


if __name__ == "__main__":
    main()
