//! The operating system's randomness.

use hearthkeep_format::Random;

/// The kernel's generator, for keys and ids.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    /// Fills `bytes`.
    ///
    /// # Panics
    ///
    /// When the kernel has no randomness to give: going on would seal footage under a guessable key.
    fn fill(&mut self, bytes: &mut [u8]) {
        getrandom::fill(bytes)
            .expect("the kernel's generator works on a machine that may hold keys");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        let (mut a, mut b) = ([0; 32], [0; 32]);
        OsRandom.fill(&mut a);
        OsRandom.fill(&mut b);
        assert_ne!(a, b);
    }
}
