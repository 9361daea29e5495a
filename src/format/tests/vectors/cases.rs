//! The cases: one fault each.

use super::forge::{E, Forge, Plan, envelope, with_right_leaf};

pub struct Case {
    pub name: &'static str,
    pub comment: &'static str,
    /// What a reader with the generation's identity and M says.
    pub expect: &'static str,
    /// What one with E alone says, where that is something else.
    pub expect_with_e: Option<&'static str>,
    /// The fragments that open, found by walking.
    pub footage: &'static [u32],
    /// Whether the footer's offsets lead to fewer of them.
    pub footer_misleads: bool,
    pub bytes: Vec<u8>,
}

/// A good segment in parts, for a case to spoil one of them.
struct Parts {
    forge: Forge,
    one: Vec<u8>,
    two: Vec<u8>,
    footer: Vec<u8>,
}

impl Parts {
    fn new() -> Self {
        Self::with(Forge::new(7, envelope(0x11, 0), |_| {}))
    }

    fn with(mut forge: Forge) -> Self {
        let one = forge.chunk(&Forge::fragment(1));
        let two = forge.chunk(&Forge::fragment(2));
        let plan = forge.footer(&[one.clone(), two.clone()]);
        let footer = forge.chunk(&plan);
        Self {
            forge,
            one,
            two,
            footer,
        }
    }

    fn file(&mut self) -> Vec<u8> {
        let chunks = [self.one.clone(), self.two.clone(), self.footer.clone()];
        self.forge.file(&chunks, false)
    }

    /// Other chunks between the same head, copy and tail: what somebody without a key can do.
    fn rearranged(&mut self, chunks: &[&[u8]]) -> Vec<u8> {
        let file = self.file();
        let head = self.forge.head().len();
        [
            &file[..head],
            &chunks.concat(),
            &file[file.len() - head - 128..],
        ]
        .concat()
    }

    fn refit(&mut self) -> Vec<u8> {
        let plan = self.forge.footer(&[self.one.clone(), self.two.clone()]);
        self.footer = self.forge.chunk(&plan);
        self.file()
    }
}

/// A good file with some bytes changed.
fn changed(change: impl FnOnce(&mut Vec<u8>, &Parts)) -> Vec<u8> {
    let mut parts = Parts::new();
    let mut bytes = parts.file();
    change(&mut bytes, &parts);
    bytes
}

/// A good file but for the header, from which everything else follows.
fn with_header(change: fn(&mut [u8; 256])) -> Vec<u8> {
    Parts::with(Forge::new(7, envelope(0x11, 0), change)).file()
}

fn with_envelope(envelope: Vec<u8>) -> Vec<u8> {
    Parts::with(Forge::new(7, envelope, |_| {})).file()
}

/// A good file but for the plan of chunk 1, sealed by somebody who knows E.
fn with_first(change: fn(&mut Plan)) -> Vec<u8> {
    let mut parts = Parts::new();
    let mut plan = Forge::fragment(1);
    change(&mut plan);
    parts.one = parts.forge.chunk(&plan);
    parts.refit()
}

/// Chunk 1 with a byte changed and its leaf made right again.
fn first_with(at: usize, bit: u8) -> Vec<u8> {
    let mut parts = Parts::new();
    let mut one = parts.one.clone();
    let at = if at == usize::MAX { one.len() - 33 } else { at };
    one[at] ^= bit;
    let (two, footer) = (parts.two.clone(), parts.footer.clone());
    parts.rearranged(&[&with_right_leaf(one), &two, &footer])
}

fn foreign() -> Parts {
    Parts::with(Forge::new(8, envelope(0x11, 0), |_| {}))
}

const REFUSED: &str = "refused";
const ONE: &str = "whole, tampered at chunk 1";

macro_rules! cases {
    ($($name:literal, $expect:expr, [$($k:literal)*] $(, e: $with_e:expr)?; $comment:literal => $bytes:expr;)*) => {
        vec![$(Case {
            name: $name,
            comment: $comment,
            expect: $expect,
            expect_with_e: None$(.or(Some($with_e)))?,
            footage: &[$($k),*],
            footer_misleads: $name == "chunks-swapped",
            bytes: $bytes,
        }),*]
    };
}

pub fn all() -> Vec<Case> {
    [whole(), heads(), chunks(), moved(), ends()]
        .into_iter()
        .flatten()
        .collect()
}

fn whole() -> Vec<Case> {
    cases! {
        "good", "whole", [1 2]; "two fragments, nothing wrong" => Parts::new().file();
        "good-no-fragments", "whole", []; "preamble and footer only" => {
            let mut forge = Forge::new(7, envelope(0x11, 0), |_| {});
            let plan = forge.footer(&[]);
            let footer = forge.chunk(&plan);
            forge.file(&[footer], false)
        };
        "recovered", "recovered", [1]; "torn after fragment 1 and given a tail" => {
            let mut parts = Parts::new();
            parts.forge.file(&[parts.one], true)
        };
        "recovered-with-footer", "recovered", [1 2]; "torn after the footer and given a tail" => {
            let mut parts = Parts::new();
            parts.forge.file(&[parts.one, parts.two, parts.footer], true)
        };
        "torn-at-edge", "torn", [1]; "ends with fragment 1" => changed(|bytes, parts| {
            bytes.truncate(parts.forge.head().len() + parts.one.len());
        });
        "torn-in-chunk", "torn", [1]; "ends within fragment 2" => changed(|bytes, parts| {
            bytes.truncate(parts.forge.head().len() + parts.one.len() + parts.two.len() - 1);
        });
        "torn-in-copy", "torn", [1 2]; "everything but the end of the copy and the tail" => {
            changed(|bytes, _| bytes.truncate(bytes.len() - 129))
        };
        "torn-in-tail", "torn", [1 2]; "the last byte is missing" => {
            changed(|bytes, _| bytes.truncate(bytes.len() - 1))
        };
    }
}

fn heads() -> Vec<Case> {
    let in_both = |bytes: &mut Vec<u8>, parts: &Parts, at: usize| {
        let copy = bytes.len() - 128 - parts.forge.head().len();
        bytes[at] ^= 1;
        bytes[copy + at] ^= 1;
    };
    let head = "whole, tampered at head";
    cases! {
        "header-damaged", head, [1 2]; "a flipped bit in the salt; the copy is good" => {
            changed(|bytes, _| bytes[80] ^= 1)
        };
        "header-length-damaged", head, [1 2]; "a flipped bit in the offset of chunk 0" => {
            changed(|bytes, _| bytes[15] ^= 1)
        };
        "start-block-damaged", head, [1 2], e: "whole, tampered at copy";
            "a flipped bit in the start block: without M there is no telling which head is right"
            => changed(|bytes, _| bytes[200] ^= 1);
        "envelope-damaged", head, [1 2], e: "whole, tampered at copy";
            "a flipped bit in the envelope: somebody who has E does not open it"
            => changed(|bytes, _| bytes[1500] ^= 1);
        "chunk-0-damaged", head, [1 2]; "a flipped bit in chunk 0; the copy is good" => {
            changed(|bytes, parts| bytes[256 + parts.forge.envelope.len() + 60] ^= 1)
        };
        "copy-damaged", "whole, tampered at copy", [1 2]; "a flipped bit in the copy's header" => {
            changed(|bytes, parts| {
                let at = bytes.len() - 128 - parts.forge.head().len() + 80;
                bytes[at] ^= 1;
            })
        };
        "both-heads-damaged", REFUSED, []; "a flipped bit in the salt of both" => {
            changed(|bytes, parts| in_both(bytes, parts, 80))
        };
        "commitment-wrong", REFUSED, []; "another commitment, everything else right" => {
            let mut parts = Parts::new();
            parts.forge.header[104] ^= 1;
            parts.forge.seal_start();
            parts.file()
        };
        "unknown-version", REFUSED, []; "version 2" => with_header(|header| header[8] = 2);
        "unknown-suite", REFUSED, []; "suite 2" => with_header(|header| header[9] = 2);
        "unknown-kind", REFUSED, []; "kind 4" => with_header(|header| header[10] = 4);
        "reserved-11", REFUSED, []; "byte 11 of the header is not zero" => {
            with_header(|header| header[11] = 1)
        };
        "reserved-240", REFUSED, []; "byte 240 of the header is not zero" => {
            with_header(|header| header[240] = 1)
        };
        "envelope-too-long", REFUSED, []; "chunk 0 is said to start after 65 KiB" => {
            with_header(|header| header[13] = 1)
        };
        "step-too-large", REFUSED, []; "step 2^20 of the chain" => {
            with_header(|header| header[64..72].copy_from_slice(&(1u64 << 20).to_be_bytes()))
        };
        "two-stanzas", REFUSED, []; "the envelope is sealed to somebody else as well" => {
            with_envelope(envelope(0x11, 1))
        };
        "wrong-store", REFUSED, [], e: "whole";
            "the envelope is of another store, with the same E" => {
            assert_eq!(E, [0xE0; 32]);
            with_envelope(envelope(0x12, 0))
        };
    }
}

fn chunks() -> Vec<Case> {
    cases! {
        "ciphertext-damaged", ONE, [2]; "a flipped bit in fragment 1" => {
            changed(|bytes, parts| bytes[parts.forge.head().len() + 60] ^= 1)
        };
        "leaf-damaged", ONE, [2]; "a flipped bit in the leaf of fragment 1" => {
            changed(|bytes, parts| bytes[parts.forge.head().len() + parts.one.len() - 1] ^= 1)
        };
        "length-too-large", ONE, [2]; "fragment 1 is said to have 16 MiB more" => {
            changed(|bytes, parts| bytes[parts.forge.head().len()] = 1)
        };
        "length-damaged", ONE, [2]; "fragment 1 is said to be 8 bytes longer" => {
            changed(|bytes, parts| bytes[parts.forge.head().len() + 3] ^= 8)
        };
        "tag-forged", ONE, [2];
            "a flipped bit in the tag, the leaf made right" => first_with(usize::MAX, 1);
        "text-forged", ONE, [2];
            "a flipped bit in the ciphertext, the leaf made right" => first_with(60, 1);
        "r-forged", ONE, [2]; "a flipped bit in r, the leaf made right" => first_with(8, 1);
        "flags-forged", ONE, [2]; "a reserved flag, the leaf made right" => first_with(4, 2);
        "final-forged", ONE, [2];
            "FINAL set on fragment 1, the leaf made right" => first_with(4, 1);
        "number-forged", ONE, [2]; "fragment 1 numbered 5, the leaf made right" => first_with(7, 4);
        "entry-forged", ONE, [2];
            "a flipped bit in the index entry, the leaf made right" => first_with(30, 1);
        "entry-of-another-key", ONE, [2], e: "whole"; "the index entry sealed under another M" => {
            with_first(|plan| plan.entry_key = [0x31; 32])
        };
        "entry-of-another-type", ONE, [2], e: "whole"; "the index entry says preview" => {
            with_first(|plan| plan.entry_type = 3)
        };
        "fragment-final", ONE, [2]; "fragment 1 sealed as the final chunk" => {
            with_first(|plan| plan.is_final = true)
        };
        "fragment-of-no-type", ONE, [2]; "type 9" => with_first(|plan| plan.chunk_type = 9);
        "fragment-is-preamble", ONE, [2];
            "type 0 in chunk 1" => with_first(|plan| plan.chunk_type = 0);
        "footer-damaged", "whole, tampered at chunk 3", [1 2]; "a flipped bit in the footer" => {
            changed(|bytes, parts| {
                let at = bytes.len() - 128 - parts.forge.head().len() - 40;
                bytes[at] ^= 1;
            })
        };
        "final-cleared", "whole, tampered at chunk 3", [1 2];
            "FINAL cleared in the footer, the leaf made right" => {
            let mut parts = Parts::new();
            let (one, two) = (parts.one.clone(), parts.two.clone());
            let mut footer = parts.footer.clone();
            footer[4] = 0;
            parts.rearranged(&[&one, &two, &with_right_leaf(footer)])
        };
        "footer-not-final", "whole, tampered at chunk 3", [1 2];
            "the footer sealed without FINAL" => {
            let mut parts = Parts::new();
            let mut plan = parts.forge.footer(&[parts.one.clone(), parts.two.clone()]);
            plan.is_final = false;
            parts.footer = parts.forge.chunk(&plan);
            parts.file()
        };
    }
}

fn moved() -> Vec<Case> {
    let rearranged = |choose: fn(&[Vec<u8>; 4]) -> Vec<&[u8]>| {
        let mut parts = Parts::new();
        let theirs = foreign();
        let have = [
            parts.one.clone(),
            parts.two.clone(),
            parts.footer.clone(),
            theirs.one,
        ];
        parts.rearranged(&choose(&have))
    };
    cases! {
        "chunk-removed", ONE, [2];
            "fragment 1 taken out" => rearranged(|have| vec![&have[1], &have[2]]);
        "footer-removed", "whole, tampered at chunk 3", [1 2];
            "the footer taken out: FINAL is missing" => {
            rearranged(|have| vec![&have[0], &have[1]])
        };
        "end-removed", "whole, tampered at chunks 2 to 3", [1];
            "fragment 2 and the footer taken out" => {
            rearranged(|have| vec![&have[0]])
        };
        "chunk-doubled", "whole, tampered at stray bytes before chunk 2", [1 2];
            "fragment 1 stands twice" => {
            rearranged(|have| vec![&have[0], &have[0], &have[1], &have[2]])
        };
        "chunks-swapped", "whole, tampered at chunk 1, tampered at stray bytes before chunk 3", [2];
            "fragments 1 and 2 exchanged"
            => rearranged(|have| vec![&have[1], &have[0], &have[2]]);
        "chunk-foreign", ONE, [2]; "fragment 1 of another segment of the epoch" => {
            rearranged(|have| vec![&have[3], &have[1], &have[2]])
        };
        "bytes-inserted", "whole, tampered at stray bytes before chunk 2", [1 2];
            "three zeros after fragment 1" => {
            rearranged(|have| vec![&have[0], &[0; 3], &have[1], &have[2]])
        };
    }
}

fn ends() -> Vec<Case> {
    let tail = "whole, tampered at tail";
    cases! {
        "end-block-damaged", tail, [1 2], e: "whole"; "a flipped bit in the end block" => {
            changed(|bytes, _| *bytes.last_mut().unwrap() ^= 1)
        };
        "tail-magic-damaged", tail, [1 2]; "a flipped bit in the tail's first byte" => {
            changed(|bytes, _| {
                let at = bytes.len() - 128;
                bytes[at] ^= 1;
            })
        };
        "tail-copy-offset-damaged", tail, [1 2]; "a flipped bit in the offset of the copy" => {
            changed(|bytes, _| {
                let at = bytes.len() - 128 + 15;
                bytes[at] ^= 1;
            })
        };
        "tail-footer-offset-damaged", tail, [1 2]; "a flipped bit in the offset of the footer" => {
            changed(|bytes, _| {
                let at = bytes.len() - 128 + 11;
                bytes[at] ^= 1;
            })
        };
        "tail-foreign", tail, [1 2], e: "whole";
            "the tail of another segment of the same sizes" => {
            changed(|bytes, _| {
                let at = bytes.len() - 128;
                let theirs = foreign().file();
                bytes.splice(at.., theirs[at..].iter().copied());
            })
        };
        "byte-appended", "torn", [1 2];
            "a byte after the tail" => changed(|bytes, _| bytes.push(0));
    }
}
