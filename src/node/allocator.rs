//! The C library's allocator, set for a process of many short-lived threads' worth of small buffers.

/// Makes all threads share one arena. glibc gives each thread its own (up to eight a core), and what one
/// thread frees does not serve another: under a thousand clients that was a quarter of the member's memory
/// (docs/performance.md). Must be called before other threads start. Elsewhere than on glibc it does nothing.
pub fn share_one_arena() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    set_one_arena();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "mallopt has no safe wrapper")]
fn set_one_arena() {
    // SAFETY: mallopt only sets a number in the allocator, and no other thread runs yet.
    let accepted = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    debug_assert_eq!(accepted, 1, "M_ARENA_MAX is known to every glibc since 2.10");
}
