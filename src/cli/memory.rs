//! Memory of programs that run for months.

/// Threads come and go with cameras and recordings, and glibc gives each new one a heap of its own, up to eight
/// for each core, none of which shrinks again. With two heaps resident memory stays flat over reconnections.
/// To be called before threads are started.
pub fn keep_flat() {
    #[cfg(target_env = "gnu")]
    // SAFETY: a call without pointers, which glibc allows at any time.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
