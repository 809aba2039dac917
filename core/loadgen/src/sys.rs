//! The system calls that have no safe wrapper: `recvmmsg` with kernel times, `sendmsg` with UDP
//! GSO, socket options. The one place of this crate with `unsafe`.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Datagrams taken by one `recvmmsg`: more would only push the buffers out of the first cache.
pub const BATCH: usize = 32;
/// Above every datagram of a WebRTC peer (1,200 bytes of payload by convention).
pub const DATAGRAM_BYTES: usize = 1_600;
/// A keyframe burst of a 4 Mbit/s camera fits ten times; the kernel doubles it for its overhead.
pub const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
/// `CMSG_SPACE(sizeof(timespec))` on 64-bit Linux is 32.
const CONTROL_BYTES: usize = 64;
/// Index of the count of dropped datagrams in `SO_MEMINFO`'s answer (`SK_MEMINFO_DROPS`).
const MEMINFO_DROPS: usize = 8;
const MEMINFO_VARS: usize = 9;

/// Nanoseconds since the Unix epoch, on the clock of the kernel's receive times.
pub fn unix_ns() -> u64 {
    nanoseconds(ClockId::Realtime)
}

/// CPU time of the calling thread.
pub fn thread_cpu() -> Duration {
    Duration::from_nanos(nanoseconds(ClockId::ThreadCPUTime))
}

fn nanoseconds(clock: ClockId) -> u64 {
    let at = clock_gettime(clock);
    u64::try_from(at.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(at.tv_nsec).unwrap_or(0)
}

/// As many files as the hard limit allows: a socket per viewer.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // Refused: opening the sockets will say which one was too many.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// Keeps the calling thread (and threads it starts later) on one core.
///
/// # Errors
/// The kernel's, when there is no such core.
pub fn pin(core: usize) -> io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

/// Gives a socket [`RECEIVE_BUFFER_BYTES`], over `net.core.rmem_max` where we may.
///
/// Returns what the kernel granted, its doubling included.
///
/// # Errors
/// The kernel's.
pub fn enlarge_receive_buffer(socket: &UdpSocket) -> io::Result<usize> {
    let bytes = libc::c_int::try_from(RECEIVE_BUFFER_BYTES).unwrap_or(libc::c_int::MAX);
    if set_option(socket.as_raw_fd(), libc::SO_RCVBUFFORCE, bytes).is_err() {
        set_option(socket.as_raw_fd(), libc::SO_RCVBUF, bytes)?;
    }
    socket2::SockRef::from(socket).recv_buffer_size()
}

/// Asks for the kernel's receive time with each datagram.
///
/// # Errors
/// The kernel's.
pub fn enable_kernel_times(socket: &UdpSocket) -> io::Result<()> {
    set_option(socket.as_raw_fd(), libc::SO_TIMESTAMPNS, 1)
}

fn set_option(fd: RawFd, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: `value` lives through the call and its size is given.
    let done = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            name,
            (&raw const value).cast(),
            mem::size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Datagrams the kernel dropped at this socket because its receive buffer was full.
pub fn dropped_at_socket(socket: &UdpSocket) -> u64 {
    let mut info = [0u32; MEMINFO_VARS];
    let mut length = mem::size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `info`.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if done == 0 {
        info[MEMINFO_DROPS].into()
    } else {
        0
    }
}

#[repr(align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL_BYTES]);

/// Room for one batch of datagrams, reused between calls.
pub struct Receiver {
    buffer: Vec<u8>,
    controls: Vec<Control>,
    headers: Vec<libc::mmsghdr>,
    iovecs: Vec<libc::iovec>,
}

impl Receiver {
    pub fn new() -> Self {
        // SAFETY: all-zero is a valid mmsghdr and a valid iovec.
        let (header, iovec) = unsafe { (mem::zeroed(), mem::zeroed()) };
        Self {
            buffer: vec![0; BATCH * DATAGRAM_BYTES],
            controls: vec![Control([0; CONTROL_BYTES]); BATCH],
            headers: vec![header; BATCH],
            iovecs: vec![iovec; BATCH],
        }
    }

    /// Takes up to [`BATCH`] waiting datagrams; 0 when none waits.
    ///
    /// # Errors
    /// The kernel's, also ICMP refusals of what was sent before.
    pub fn receive(&mut self, socket: &UdpSocket, kernel_times: bool) -> io::Result<usize> {
        for i in 0..BATCH {
            self.iovecs[i] = libc::iovec {
                iov_base: self.buffer[i * DATAGRAM_BYTES..].as_mut_ptr().cast(),
                iov_len: DATAGRAM_BYTES,
            };
            let header = &mut self.headers[i].msg_hdr;
            header.msg_iov = &raw mut self.iovecs[i];
            header.msg_iovlen = 1;
            header.msg_control = std::ptr::null_mut();
            header.msg_controllen = 0;
            if kernel_times {
                header.msg_control = self.controls[i].0.as_mut_ptr().cast();
                header.msg_controllen = CONTROL_BYTES as _;
            }
        }
        // SAFETY: every header points at its own iovec, buffer slice and control buffer, all of
        // this struct and of the sizes given; names are not asked for.
        let taken = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        if let Ok(taken) = usize::try_from(taken) {
            return Ok(taken);
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock => Ok(0),
            _ => Err(error),
        }
    }

    /// Datagram `i` of the last batch.
    pub fn datagram(&self, i: usize) -> &[u8] {
        let length = (self.headers[i].msg_len as usize).min(DATAGRAM_BYTES);
        &self.buffer[i * DATAGRAM_BYTES..i * DATAGRAM_BYTES + length]
    }

    /// When the kernel received datagram `i`, in [`unix_ns`]; `None` when it was not asked.
    pub fn kernel_time_ns(&self, i: usize) -> Option<u64> {
        let header = &self.headers[i].msg_hdr;
        // SAFETY: the control buffer was filled by the kernel, which set its length; CMSG_FIRSTHDR
        // gives null when no header fits.
        let cmsg = unsafe { libc::CMSG_FIRSTHDR(header) };
        if cmsg.is_null() {
            return None;
        }
        // SAFETY: not null, so a whole header lies in the control buffer; its data is read only
        // when it is the time that was asked for, which is a timespec.
        unsafe {
            if (*cmsg).cmsg_level != libc::SOL_SOCKET || (*cmsg).cmsg_type != libc::SO_TIMESTAMPNS {
                return None;
            }
            let at: libc::timespec = std::ptr::read_unaligned(libc::CMSG_DATA(cmsg).cast());
            Some(at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64)
        }
    }
}

/// Sends `bytes` to one address, cut by the kernel into datagrams of `segment_bytes` (UDP GSO).
///
/// # Errors
/// The kernel's.
pub fn send_segmented(
    socket: &UdpSocket,
    to: &SocketAddr,
    bytes: &[u8],
    segment_bytes: u16,
) -> io::Result<()> {
    let to = socket2::SockAddr::from(*to);
    let mut control = Control([0; CONTROL_BYTES]);
    let mut iovec = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: all-zero is a valid msghdr. The control buffer is 8-aligned and longer than
    // CMSG_SPACE(2), so the first header and its two bytes lie in it. Every pointer outlives the
    // call, and the kernel only reads through them.
    let sent = unsafe {
        let mut header: libc::msghdr = mem::zeroed();
        header.msg_name = to.as_ptr().cast_mut().cast();
        header.msg_namelen = to.len();
        header.msg_iov = &raw mut iovec;
        header.msg_iovlen = 1;
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = libc::CMSG_SPACE(2) as _;
        let cmsg = libc::CMSG_FIRSTHDR(&raw const header);
        (*cmsg).cmsg_level = libc::SOL_UDP;
        (*cmsg).cmsg_type = libc::UDP_SEGMENT;
        (*cmsg).cmsg_len = libc::CMSG_LEN(2) as _;
        std::ptr::write_unaligned(libc::CMSG_DATA(cmsg).cast::<u16>(), segment_bytes);
        libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL)
    };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segmented_send_arrives_with_kernel_times_in_one_batch() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_nonblocking(true).unwrap();
        enable_kernel_times(&receiver).unwrap();
        assert!(enlarge_receive_buffer(&receiver).unwrap() > 100_000);
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let before = unix_ns();
        let to = receiver.local_addr().unwrap();
        send_segmented(&sender, &to, &[7; 250], 100).unwrap();
        let mut batch = Receiver::new();
        assert_eq!(batch.receive(&receiver, true).unwrap(), 3);
        let sizes: Vec<usize> = (0..3).map(|i| batch.datagram(i).len()).collect();
        assert_eq!(sizes, [100, 100, 50]);
        let at = batch.kernel_time_ns(2).unwrap();
        assert!(before <= at && at <= unix_ns());
        assert_eq!(batch.receive(&receiver, true).unwrap(), 0);
        assert_eq!(dropped_at_socket(&receiver), 0);
    }
}
