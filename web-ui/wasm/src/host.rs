//! Randomness, which the browser gives.

use hearthkeep_format::Random;

/// `crypto.getRandomValues`, by an import of the module.
pub(crate) struct Browser;

#[cfg(target_arch = "wasm32")]
impl Random for Browser {
    // SAFETY: the import writes `length` bytes at `address`, which are the slice's own; it keeps no reference.
    #[allow(unsafe_code)]
    fn fill(&mut self, bytes: &mut [u8]) {
        #[link(wasm_import_module = "host")]
        unsafe extern "C" {
            fn random(address: *mut u8, length: usize);
        }
        // getRandomValues gives at most 65,536 bytes at once.
        for part in bytes.chunks_mut(65_536) {
            unsafe { random(part.as_mut_ptr(), part.len()) }
        }
    }
}

/// Built for another target only to be checked and tested there.
#[cfg(not(target_arch = "wasm32"))]
impl Random for Browser {
    fn fill(&mut self, _bytes: &mut [u8]) {
        panic!("only a browser gives randomness here");
    }
}
