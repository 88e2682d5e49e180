//! Memory of programs that run for months.

/// Blocks of this size and more are given back to the system when they are freed.
#[cfg(target_env = "gnu")]
const GIVEN_BACK: i32 = 256 * 1024;

/// Threads come and go with cameras and recordings, and glibc gives each new one a heap of its own, none of which shrinks
/// again; and after the first large block that is freed it keeps such blocks in those heaps. Two heaps, and pictures
/// outside them, let resident memory settle over reconnections. To be called before threads are started.
pub fn keep_flat() {
    #[cfg(target_env = "gnu")]
    // SAFETY: calls without pointers, which glibc allows at any time.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
        libc::mallopt(libc::M_MMAP_THRESHOLD, GIVEN_BACK);
    }
}
