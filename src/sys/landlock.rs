//! Asks the kernel which Landlock it has. The `landlock` crate keeps this question to itself, so
//! that nobody bends a ruleset to the answer; here it is only shown, and demanded by profiles.
#![expect(unsafe_code, reason = "the version query is not offered by any crate")]

/// The Landlock ABI of the running kernel, 0 where there is none or it is switched off
/// (`landlock_create_ruleset(2)`, since Linux 5.13).
pub fn abi() -> u32 {
    /// `LANDLOCK_CREATE_RULESET_VERSION`
    const VERSION: u32 = 1;
    // SAFETY: with a null attribute of size 0 and the version flag the call reads and writes no
    // memory of ours, and creates no descriptor.
    let abi = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<()>(), 0_usize, VERSION)
    };
    u32::try_from(abi).unwrap_or(0)
}
