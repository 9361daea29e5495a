//! The operating system's randomness, and how randomness is handed on.

use std::sync::{Arc, Mutex, PoisonError};

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

/// Randomness that several have: the kernel's, or in a simulation what follows from a seed.
#[derive(Clone)]
pub struct SharedRandom(Arc<Mutex<dyn Random + Send>>);

impl SharedRandom {
    /// Hands on this one.
    pub fn new(random: impl Random + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(random)))
    }
}

impl Default for SharedRandom {
    fn default() -> Self {
        Self::new(OsRandom)
    }
}

impl Random for SharedRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        random.fill(bytes);
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
