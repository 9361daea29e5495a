//! What the allocator does with memory that is not needed any more.

/// Allocations from here on are the kernel's own, and go back to it when they are freed.
#[cfg(target_env = "gnu")]
const MAPPED_BYTES_MIN: i32 = 1 << 20;

/// Has large buffers go back to the kernel as soon as they are freed, as one that a camera filled with nonsense. Left to itself glibc
/// raises what counts as large to as much as was ever freed, up to 32 MiB, keeps twice that, and copies what grows below it
/// (mallopt(3), `M_MMAP_THRESHOLD`). To be called before there are other threads.
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    #[allow(
        unsafe_code,
        reason = "the C library's own settings have no other door"
    )]
    // SAFETY: it takes two numbers and keeps neither.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN);
    }
}
