//! SIGTERM and SIGINT as a readable file descriptor, so that the one thread waits in one place.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Block SIGTERM and SIGINT for this process and return the descriptor that becomes readable
/// when one of them arrives. Call before any thread is started.
#[allow(unsafe_code)] // No safe crate among ours wraps signalfd(2).
pub fn stop_signals() -> io::Result<OwnedFd> {
    // SAFETY: `set` is a plain value that sigemptyset initialises before any other use; signalfd
    // returns a new descriptor that nobody else owns, checked to be valid.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::sigaddset(&raw mut set, libc::SIGINT);
        if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(fd))
    }
}
