//! Descriptors that cross an exec, and memory files that carry data to the other side. It must
//! never let a descriptor of the caller reach the sandbox (CVE-2024-21626 is that mistake).
#![expect(unsafe_code, reason = "close_range and the adoption of inherited numbers")]

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};

const SEALS: SealFlags =
    SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

/// Marks every descriptor above standard error close-on-exec, whoever opened it.
///
/// # Errors
/// When neither `close_range(2)` with its flag (Linux 5.11) nor `/proc/self/fd` can be used.
pub fn cloexec_above_stderr() -> io::Result<()> {
    // SAFETY: takes three integers; with CLOEXEC no descriptor is closed under its owner.
    let done = unsafe { libc::close_range(3, libc::c_uint::MAX, CLOEXEC_RANGE) };
    if done == 0 {
        return Ok(());
    }
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(fd) = name.to_str().and_then(|name| name.parse::<RawFd>().ok()) else { continue };
        if fd > 2 {
            // SAFETY: takes integers; a number that is closed meanwhile answers EBADF.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

const CLOEXEC_RANGE: libc::c_int = libc::CLOSE_RANGE_CLOEXEC.cast_signed();

/// Takes over a descriptor that was inherited under this number, and marks it close-on-exec.
/// To be called once for a number, by the program that was started with it.
///
/// # Errors
/// When the number is that of a standard stream or is not open.
pub fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: only borrowed for the next call, which fails if it is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl_setfd(borrowed, FdFlags::CLOEXEC)?;
    // SAFETY: it is open (just seen); our parent handed it to us under this number, and nothing
    // in this process opened it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Lets the next exec inherit a descriptor. Only for a child between fork and exec.
///
/// # Errors
/// When it is not open.
pub fn inherit(fd: BorrowedFd<'_>) -> io::Result<()> {
    // There is no other flag, F_GETFD(2const).
    Ok(fcntl_setfd(fd, FdFlags::empty())?)
}

/// Closes every descriptor but these, and puts `/dev/null` in the place of the standard streams.
///
/// # Safety
/// Whoever owns what is closed must never use it again, nor drop it: only for a child that is a copy
/// of its parent, and ends without going back to where it was copied.
///
/// # Errors
/// When there is no `/dev/null`, or the kernel has no `close_range(2)` (Linux 5.9).
pub(super) unsafe fn keep_only(kept: &[OwnedFd]) -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    drop(null);
    let mut numbers: Vec<libc::c_uint> =
        kept.iter().map(|fd| fd.as_raw_fd().cast_unsigned()).filter(|number| *number > 2).collect();
    numbers.sort_unstable();
    let mut first = 3;
    for number in numbers.into_iter().chain([libc::c_uint::MAX]) {
        let last = number - 1;
        // SAFETY: takes three integers; what is closed is not used any more, by the caller's word.
        if first <= last && unsafe { libc::close_range(first, last, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
        first = number.saturating_add(1);
    }
    Ok(())
}

/// Closes every descriptor but this one, the standard streams among them. Only makes system calls.
///
/// # Safety
/// As for [`keep_only`]; and what is opened later may be taken for a standard stream.
///
/// # Errors
/// When the kernel has no `close_range(2)` (Linux 5.9).
pub(super) unsafe fn close_all_but(kept: BorrowedFd<'_>) -> io::Result<()> {
    let kept = kept.as_raw_fd().cast_unsigned();
    let below = kept.checked_sub(1).map(|last| (0, last));
    for (first, last) in below.into_iter().chain([(kept + 1, libc::c_uint::MAX)]) {
        // SAFETY: takes three integers; what is closed is not used any more, by the caller's word.
        if unsafe { libc::close_range(first, last, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// A memory file with these bytes that nobody can change any more, to be read from its start.
///
/// # Errors
/// When the kernel refuses memory.
pub fn sealed(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.write_all(bytes)?;
    file.rewind()?;
    fcntl_add_seals(&file, SEALS)?;
    Ok(file.into())
}

/// Reads a memory file that must be sealed against every change.
///
/// # Errors
/// When it is not sealed: then somebody else could still write to it.
pub fn read_sealed(fd: OwnedFd) -> io::Result<Vec<u8>> {
    if !fcntl_get_seals(&fd)?.contains(SEALS) {
        return Err(io::Error::other("the memory file is not sealed"));
    }
    let mut bytes = Vec::new();
    File::from(fd).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A memory file that takes what another program writes as its standard error.
#[derive(Debug)]
pub struct Captured(File);

impl Captured {
    /// An empty one.
    ///
    /// # Errors
    /// When the kernel refuses memory.
    pub fn new() -> io::Result<Self> {
        Ok(Self(File::from(memfd_create("stderr", MemfdFlags::CLOEXEC)?)))
    }

    /// The end that the other program writes to.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The first 64 KiB of what was written; empty where it cannot be read.
    pub fn text(&self) -> Vec<u8> {
        use std::os::unix::fs::FileExt as _;
        let mut bytes = vec![0; 64 * 1024];
        let length = self.0.read_at(&mut bytes, 0).unwrap_or(0);
        bytes.truncate(length);
        bytes
    }
}

/// A path that leads to what a descriptor is open on, for calls that take no descriptor. By the name
/// that was opened, a link could have taken its place.
pub fn proc_path(fd: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

/// The number of a descriptor, as an argument for the program that inherits it.
pub fn number(fd: &impl AsFd) -> String {
    fd.as_fd().as_raw_fd().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_file_is_read_back_and_cannot_be_written() {
        let fd = sealed("test", b"plan").unwrap();
        let mut writer = File::from(fd.try_clone().unwrap());
        assert!(writer.write_all(b"x").is_err());
        assert_eq!(read_sealed(fd).unwrap(), b"plan");
    }

    #[test]
    fn an_unsealed_file_is_refused() {
        let fd = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        assert!(read_sealed(fd).is_err());
    }

    #[test]
    fn a_standard_stream_cannot_be_adopted() {
        assert!(adopt(2).is_err());
        assert!(adopt(9_999).is_err());
    }
}
