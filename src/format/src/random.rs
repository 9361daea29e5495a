//! Randomness as an input.

/// A source of random bytes fit for keys.
///
/// The application passes the operating system's generator, a test a seeded one.
pub trait Random {
    /// Fills `bytes` with random ones. A source that fails must not return.
    fn fill(&mut self, bytes: &mut [u8]);
}

/// Bytes that follow from a seed: the same in each run. For tests and vectors only.
///
/// Block i is SHA-256(seed in 8 bytes || i in 8 bytes), so that other languages can make the same.
#[cfg(any(test, feature = "test-util"))]
#[derive(Debug, Clone)]
pub struct SeededRandom {
    seed: u64,
    next_block: u64,
    block: [u8; 32],
    used: usize,
}

#[cfg(any(test, feature = "test-util"))]
impl SeededRandom {
    /// The bytes of this seed, from the first.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            next_block: 0,
            block: [0; 32],
            used: 32,
        }
    }
}

#[cfg(any(test, feature = "test-util"))]
impl Random for SeededRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        use sha2::{Digest, Sha256};
        for byte in bytes {
            if self.used == self.block.len() {
                let input = [self.seed.to_be_bytes(), self.next_block.to_be_bytes()].concat();
                self.block = Sha256::digest(input).into();
                self.next_block += 1;
                self.used = 0;
            }
            *byte = self.block[self.used];
            self.used += 1;
        }
    }
}

/// Lends a [`Random`] to crates that ask for `rand_core`'s traits.
pub(crate) struct RandCore<'a>(pub &'a mut dyn Random);

impl rand_core::TryRng for RandCore<'_> {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for RandCore<'_> {}
