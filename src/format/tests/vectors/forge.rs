//! Writes segments by hand, from `docs/format.md` and not with the crate's writer: it must be able
//! to write wrong ones.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, XChaCha20Poly1305};
use hearthkeep_format::{Identity, Random, SeededRandom, age};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};

pub const E: [u8; 32] = [0xE0; 32];
pub const M: [u8; 32] = [0x30; 32];
pub const GENERATION: [u8; 32] = [0x60; 32];
const NO_GAP_START: u64 = 1_700_000_000_000_000;

pub fn expand<const N: usize>(key: &[u8; 32], info: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    let hkdf = Hkdf::<Sha256>::from_prk(key).unwrap();
    hkdf.expand(&info.concat(), &mut out).unwrap();
    out
}

fn seal(key: &[u8; 32], msg: &[u8], aad: &[u8]) -> Vec<u8> {
    let cipher = ChaCha20Poly1305::new(key.into());
    cipher
        .encrypt(&[0; 12].into(), Payload { msg, aad })
        .unwrap()
}

pub fn leaf(data: &[u8]) -> [u8; 32] {
    Sha256::new_with_prefix([0])
        .chain_update(data)
        .finalize()
        .into()
}

/// RFC 6962, section 2.1.
fn tree_hash(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
            let both = [tree_hash(left), tree_hash(right)].concat();
            Sha256::new_with_prefix([1])
                .chain_update(both)
                .finalize()
                .into()
        }
    }
}

/// The leaf of a chunk, made right again after a change to it.
pub fn with_right_leaf(mut chunk: Vec<u8>) -> Vec<u8> {
    let at = chunk.len() - 32;
    let right = leaf(&chunk[..at]);
    chunk[at..].copy_from_slice(&right);
    chunk
}

/// What makes a chunk; the defaults of [`Forge::fragment`] are right.
#[derive(Clone)]
pub struct Plan {
    pub k: u32,
    pub is_final: bool,
    pub chunk_type: u8,
    pub body: Vec<u8>,
    pub start_us: u64,
    pub entry_type: u8,
    /// M, unless the entry is to be wrong.
    pub entry_key: [u8; 32],
}

pub struct Forge {
    pub rng: SeededRandom,
    pub header: [u8; 256],
    pub envelope: Vec<u8>,
    pub chunk_0: Vec<u8>,
}

impl Forge {
    /// Header, envelope and chunk 0. `change` may change the header before anything is derived from
    /// it.
    pub fn new(seed: u64, envelope: Vec<u8>, change: impl FnOnce(&mut [u8; 256])) -> Self {
        let mut header = [0; 256];
        header[..8].copy_from_slice(b"\x89HKS\r\n\x1a\n");
        header[8..12].copy_from_slice(&[1, 1, 1, 0]);
        header[12..16].copy_from_slice(&(256 + envelope.len() as u32).to_be_bytes());
        header[16..32].fill(0x11);
        header[32..48].fill(0x22);
        header[48..64].fill(0x33);
        header[64..72].copy_from_slice(&2u64.to_be_bytes());
        header[72..76].copy_from_slice(&5u32.to_be_bytes());
        let mut rng = SeededRandom::new(seed);
        rng.fill(&mut header[76..104]);
        change(&mut header);
        let mut forge = Self {
            rng,
            header,
            envelope,
            chunk_0: Vec::new(),
        };
        let keys = forge.keys();
        forge.header[104..136].copy_from_slice(&keys[32..]);
        forge.seal_start();
        let body = [&[0x44; 16][..], &NO_GAP_START.to_be_bytes(), b"init."].concat();
        let plan = Plan {
            k: 0,
            chunk_type: 0,
            entry_type: 0,
            body,
            ..Self::fragment(0)
        };
        forge.chunk_0 = forge.chunk(&plan);
        forge
    }

    pub fn seal_start(&mut self) {
        let mut start = [0; 64];
        start[..8].copy_from_slice(&NO_GAP_START.to_be_bytes());
        start[15] = 9;
        start[16..32].fill(0x55);
        start[32] = 1;
        start[47] = 7;
        let aad = [b"start", &self.header[..136]].concat();
        let block = self.xseal(&start, &aad);
        self.header[136..240].copy_from_slice(&block);
    }

    pub fn fragment(k: u32) -> Plan {
        Plan {
            k,
            is_final: false,
            chunk_type: 1,
            body: format!("fragment {k}.").repeat(4).into_bytes(),
            start_us: u64::from(k.saturating_sub(1)) * 500_000,
            entry_type: 1,
            entry_key: M,
        }
    }

    pub fn chunk(&mut self, plan: &Plan) -> Vec<u8> {
        let mut chunk = (plan.body.len() as u32 + 17).to_be_bytes().to_vec();
        chunk.extend_from_slice(&plan.k.to_be_bytes());
        chunk[4] = plan.is_final.into();
        let (mut r, k) = ([0; 16], u64::from(plan.k).to_be_bytes());
        self.rng.fill(&mut r);
        chunk.extend_from_slice(&r);

        let mut entry = [0; 16];
        entry[..8].copy_from_slice(&plan.start_us.to_be_bytes());
        let is_fragment = plan.entry_type == 1;
        entry[8..12].copy_from_slice(&(500_000 * u32::from(is_fragment)).to_be_bytes());
        entry[12..14].copy_from_slice(&[(is_fragment && plan.k == 1).into(), plan.entry_type]);
        let index = expand(
            &plan.entry_key,
            &[b"hearthkeep/v1/index", &self.header[..104]],
        );
        let sealed = seal(&expand(&index, &[b"chunk", &r, &k]), &entry, &chunk);
        chunk.extend_from_slice(&sealed);

        let key = self.keys()[..32].try_into().unwrap();
        let label: &[u8] = b"hearthkeep/v1/chunk";
        let key = expand(&key, &[label, &r, &[plan.is_final.into()], &k]);
        let text = [&[plan.chunk_type], plan.body.as_slice()].concat();
        let sealed = seal(&key, &text, &chunk);
        chunk.extend_from_slice(&sealed);
        chunk.extend_from_slice(&leaf(&chunk));
        chunk
    }

    /// The footer for these fragments, in their order.
    pub fn footer(&mut self, fragments: &[Vec<u8>]) -> Plan {
        let duration = fragments.len() as u64 * 500_000;
        let mut body = duration.to_be_bytes().to_vec();
        body.extend_from_slice(&(NO_GAP_START + duration).to_be_bytes());
        body.extend_from_slice(&(fragments.len() as u32).to_be_bytes());
        let mut offset = self.head().len() as u32;
        for (i, chunk) in fragments.iter().enumerate() {
            body.extend_from_slice(&(i as u64 * 500_000).to_be_bytes());
            body.extend_from_slice(&500_000u32.to_be_bytes());
            body.extend_from_slice(&offset.to_be_bytes());
            body.extend_from_slice(&(chunk.len() as u32).to_be_bytes());
            body.extend_from_slice(&[(i == 0).into(), 0, 0, 0]);
            offset += chunk.len() as u32;
        }
        let k = fragments.len() as u32 + 1;
        Plan {
            k,
            is_final: true,
            chunk_type: 2,
            body,
            start_us: duration,
            entry_type: 2,
            entry_key: M,
        }
    }

    pub fn head(&self) -> Vec<u8> {
        [&self.header[..], &self.envelope, &self.chunk_0].concat()
    }

    /// Head and chunks, copy and tail; where the last chunk starts is the footer's offset unless
    /// recovered.
    pub fn file(&mut self, chunks: &[Vec<u8>], is_recovered: bool) -> Vec<u8> {
        let mut bytes = self.head();
        chunks
            .iter()
            .for_each(|chunk| bytes.extend_from_slice(chunk));
        let last = chunks.last().unwrap();
        let has_footer = !is_recovered || last[4] == 1;
        let footer = if has_footer {
            bytes.len() - last.len()
        } else {
            0
        };
        let mut tail = b"HKSEND\r\n".to_vec();
        tail.extend_from_slice(&(footer as u32).to_be_bytes());
        tail.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        tail.extend_from_slice(&(chunks.len() as u32 + 1).to_be_bytes());
        tail.extend_from_slice(&u32::from(is_recovered).to_be_bytes());

        let fragments = chunks.len() as u64 - u64::from(has_footer);
        let mut end = (fragments * 500_000).to_be_bytes().to_vec();
        end.extend_from_slice(&(NO_GAP_START + fragments * 500_000).to_be_bytes());
        end.extend_from_slice(&(chunks.len() as u32 + 1).to_be_bytes());
        end.extend_from_slice(&1u32.to_be_bytes());
        end.extend_from_slice(&[0; 8]);
        let mut leaves = vec![leaf(&[&self.header[..], &self.envelope].concat())];
        for chunk in [&self.chunk_0].into_iter().chain(chunks) {
            leaves.push(*chunk.last_chunk().unwrap());
        }
        end.extend_from_slice(&tree_hash(&leaves));
        let aad = [b"end", &self.header[..136], &tail].concat();
        let block = self.xseal(&end, &aad);
        [bytes, self.head(), tail, block].concat()
    }

    fn keys(&self) -> [u8; 64] {
        let mut link = expand(
            &E,
            &[
                b"hearthkeep/v1/chain",
                &self.header[32..48],
                &[self.header[10]],
            ],
        );
        let step = u64::from_be_bytes(self.header[64..72].try_into().unwrap());
        for _ in 0..step.min(10) {
            link = expand(&link, &[b"hearthkeep/v1/next"]);
        }
        let segment = expand(&link, &[b"hearthkeep/v1/segment"]);
        expand(&segment, &[b"hearthkeep/v1/keys", &self.header[..104]])
    }

    fn xseal(&mut self, msg: &[u8], aad: &[u8]) -> Vec<u8> {
        let mut nonce = [0; 24];
        self.rng.fill(&mut nonce);
        let key: [u8; 32] = expand(&M, &[b"hearthkeep/v1/block", &self.header[..104]]);
        let cipher = XChaCha20Poly1305::new((&key).into());
        let sealed = cipher.encrypt(&nonce.into(), Payload { msg, aad }).unwrap();
        [&nonce[..], &sealed].concat()
    }
}

/// An envelope for the identifiers that [`Forge::new`] writes, to the generation and `others`.
pub fn envelope(store: u8, others: usize) -> Vec<u8> {
    let mut rng = SeededRandom::new(99);
    let generation = Identity::from_seed(GENERATION).recipient();
    let others: Vec<_> = (0..others)
        .map(|_| Identity::generate(&mut rng).recipient())
        .collect();
    let recipients: Vec<_> = [&generation].into_iter().chain(&others).collect();
    let mut plaintext = b"hearthkeep/v1/epoch".to_vec();
    plaintext.extend_from_slice(&[store; 16]);
    plaintext.extend_from_slice(&[0x22; 16]);
    plaintext.push(1);
    plaintext.extend_from_slice(&[0x33; 16]);
    plaintext.extend_from_slice(&5u32.to_be_bytes());
    plaintext.extend_from_slice(&E);
    age::seal(&recipients, &plaintext, &mut rng)
}
