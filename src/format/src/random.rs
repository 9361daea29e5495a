//! Randomness as an input.

/// A source of random bytes fit for keys.
///
/// The application passes the operating system's generator, a test a seeded one.
pub trait Random {
    /// Fills `bytes` with random ones. A source that fails must not return.
    fn fill(&mut self, bytes: &mut [u8]);
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
