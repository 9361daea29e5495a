// Hearthkeep's age files against typage (npm `age-encryption`), both ways.
//
//   node tests/interop/typage.mjs --check    opens what Rust sealed (tests/data/typage/rust-*.age) and what typage sealed
//   node tests/interop/typage.mjs --write    seals typage-*.age anew, for src/format/tests/typage.rs to open
//
// `rust-*.age` are written by HEARTHKEEP_WRITE_FIXTURES=1 cargo test -p hearthkeep-format --test typage

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { Decrypter, Encrypter, identityToRecipient } from "age-encryption";

const folder = new URL("../data/typage/", import.meta.url);
const manifest = JSON.parse(await readFile(new URL("manifest.json", folder), "utf8"));

const mode = process.argv[2];
if (mode === "--write") {
  await write();
} else if (mode === "--check") {
  await check();
} else {
  console.error("usage: node tests/interop/typage.mjs --check | --write");
  process.exit(2);
}

async function write() {
  for (const file of manifest.files.filter(({ name }) => name.startsWith("typage-"))) {
    const encrypter = new Encrypter();
    for (const index of file.recipients) encrypter.addRecipient(manifest.identities[index].recipient);
    await writeFile(new URL(file.name, folder), await encrypter.encrypt(plaintext(file.length)));
  }
}

async function check() {
  for (const { identity, recipient } of manifest.identities) {
    assert.equal(await identityToRecipient(identity), recipient, "recipient of an identity");
  }
  let opened = 0;
  for (const file of manifest.files) {
    const sealed = new Uint8Array(await readFile(new URL(file.name, folder)));
    for (const [index, { identity }] of manifest.identities.entries()) {
      const decrypter = new Decrypter();
      decrypter.addIdentity(identity);
      if (file.recipients.includes(index)) {
        assert.deepEqual(await decrypter.decrypt(sealed), plaintext(file.length), file.name);
        opened += 1;
      } else {
        await assert.rejects(decrypter.decrypt(sealed), /no identity matched/, file.name);
      }
    }
    const decrypter = new Decrypter();
    decrypter.addIdentity(manifest.identities[file.recipients[0]].identity);
    sealed[sealed.length - 1] ^= 1;
    await assert.rejects(decrypter.decrypt(sealed), undefined, `${file.name}, changed`);
  }
  assert.ok(manifest.files.some(({ name }) => name.startsWith("rust-")));
  console.log(`typage: ${manifest.files.length} files, opened ${opened} times`);
}

function plaintext(length) {
  return Uint8Array.from({ length }, (_, index) => index % 251);
}
