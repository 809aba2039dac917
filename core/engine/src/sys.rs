//! What has no safe wrapper: `sendmmsg` with UDP GSO, which of our addresses a datagram came to, and
//! the processor's prefetch. The one place of this crate with `unsafe`.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

/// One message: bytes `start..end` of the batch's buffer to one address; `segment_bytes` below the
/// length asks the kernel to cut it into datagrams of that size (UDP GSO, Linux 4.18+).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    pub to: SocketAddr,
    /// Which of our addresses it leaves from; `None` where the socket has one.
    pub local: Option<IpAddr>,
    pub start: usize,
    pub end: usize,
    pub segment_bytes: u16,
}

impl Message {
    pub fn len(&self) -> usize {
        self.end - self.start
    }
    pub fn is_segmented(&self) -> bool {
        self.len() > usize::from(self.segment_bytes)
    }
    /// How many datagrams leave for this message.
    pub fn datagrams(&self) -> usize {
        self.len().div_ceil(usize::from(self.segment_bytes).max(1))
    }
}

/// CMSG_SPACE of a u16 and of the larger packet info, on 64-bit Linux; checked where it is used.
const CONTROL_BYTES: usize = 24 + 40;

const LINE_BYTES: usize = 64;
/// A picture of a sub stream: more at once than the processor fetches at a time.
const WRITTEN_BYTES: usize = 2_560;

#[repr(align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL_BYTES]);

impl Control {
    /// Writes one control message at `offset`, which is where the last one ended. Gives its room.
    fn put<T: Copy>(&mut self, offset: usize, level: i32, kind: i32, value: T) -> usize {
        let size = size_of::<T>() as libc::c_uint;
        // SAFETY: these two only compute.
        let (space, length) = unsafe { (libc::CMSG_SPACE(size), libc::CMSG_LEN(size)) };
        let room = &mut self.0[offset..offset + space as usize];
        let cmsg = room.as_mut_ptr().cast::<libc::cmsghdr>();
        // SAFETY: `room` is 8-aligned, for so are the buffer and every CMSG_SPACE, and long enough
        // for a header and the value behind it, which CMSG_DATA points to.
        unsafe {
            (*cmsg).cmsg_level = level;
            (*cmsg).cmsg_type = kind;
            (*cmsg).cmsg_len = length as _;
            std::ptr::write_unaligned(libc::CMSG_DATA(cmsg).cast::<T>(), value);
        }
        space as usize
    }
}

/// Reused between calls so that sending allocates nothing.
#[derive(Default)]
pub struct SendScratch {
    addresses: Vec<(libc::sockaddr_storage, libc::socklen_t)>,
    iovecs: Vec<libc::iovec>,
    controls: Vec<Control>,
    headers: Vec<libc::mmsghdr>,
}

// SAFETY: the raw pointers in `headers` and `iovecs` point into the sibling vectors and the
// caller's buffer, are rebuilt by every call before use and never read after it.
unsafe impl Send for SendScratch {}

/// Sends as many of `messages` as the kernel takes, in order, in one system call.
///
/// Returns how many were taken, at least one.
///
/// # Errors
/// The kernel's verdict on the first message: `WouldBlock` when the socket is full, `EIO` or
/// `EINVAL` when GSO is refused, others for that destination.
pub fn send_messages(
    socket: &UdpSocket,
    scratch: &mut SendScratch,
    buffer: &[u8],
    messages: &[Message],
) -> io::Result<usize> {
    let count = messages.len().min(libc::UIO_MAXIOV as usize);
    scratch.addresses.clear();
    scratch.iovecs.clear();
    scratch.controls.clear();
    scratch.headers.clear();
    for message in &messages[..count] {
        let bytes = &buffer[message.start..message.end];
        scratch.addresses.push(raw_address(&message.to));
        scratch.iovecs.push(libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        });
        scratch.controls.push(Control([0; CONTROL_BYTES]));
    }
    for (i, message) in messages[..count].iter().enumerate() {
        // SAFETY: all-zero is a valid msghdr.
        let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
        let (address, length) = &mut scratch.addresses[i];
        header.msg_hdr.msg_name = std::ptr::from_mut(address).cast();
        header.msg_hdr.msg_namelen = *length;
        header.msg_hdr.msg_iov = &raw mut scratch.iovecs[i];
        header.msg_hdr.msg_iovlen = 1;
        let control = &mut scratch.controls[i];
        let mut written = 0;
        if message.is_segmented() {
            let size = message.segment_bytes;
            written += control.put(written, libc::SOL_UDP, libc::UDP_SEGMENT, size);
        }
        match message.local {
            None => {}
            Some(IpAddr::V4(local)) => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr {
                        s_addr: u32::from(local).to_be(),
                    },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                written += control.put(written, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            Some(IpAddr::V6(local)) => {
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr {
                        s6_addr: local.octets(),
                    },
                    ipi6_ifindex: 0,
                };
                written += control.put(written, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
        }
        if written > 0 {
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = written as _;
        }
        scratch.headers.push(header);
    }
    // SAFETY: `headers` holds `count` headers whose pointers are into live vectors and `buffer`,
    // none of which is touched until the call returns; the kernel only reads through them.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            scratch.headers.as_mut_ptr(),
            count as libc::c_uint,
            libc::MSG_NOSIGNAL,
        )
    };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(sent as usize)
    }
}

/// From now on [`receive`] tells which of our addresses a datagram came to.
///
/// # Errors
/// The kernel's, where it knows no such option.
pub fn tell_local_addresses(socket: &UdpSocket) -> io::Result<()> {
    let is_ipv6 = socket.local_addr()?.is_ipv6();
    let (level, option) = match is_ipv6 {
        true => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        false => (libc::IPPROTO_IP, libc::IP_PKTINFO),
    };
    let on: libc::c_int = 1;
    // SAFETY: `on` is an int that outlives the call, and its size is given.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if set < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// One datagram: its size, where it came from, and to which of our addresses.
///
/// # Errors
/// As `recv_from`.
pub fn receive(
    socket: &UdpSocket,
    datagram: &mut [u8],
) -> io::Result<(usize, SocketAddr, Option<IpAddr>)> {
    let mut control = Control([0; CONTROL_BYTES]);
    let mut slot = libc::iovec {
        iov_base: datagram.as_mut_ptr().cast(),
        iov_len: datagram.len(),
    };
    // SAFETY: all-zero is a valid msghdr; its pointers are to `slot`, `control` and the address's
    // storage, all of which outlive the call with the lengths given. The control messages are read
    // within the length that the kernel gave back.
    let ((size, local), from) = unsafe {
        socket2::SockAddr::try_init(|address, address_bytes| {
            let mut header: libc::msghdr = mem::zeroed();
            header.msg_name = address.cast();
            header.msg_namelen = *address_bytes;
            header.msg_iov = &raw mut slot;
            header.msg_iovlen = 1;
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_BYTES as _;
            let size = libc::recvmsg(socket.as_raw_fd(), &raw mut header, 0);
            if size < 0 {
                return Err(io::Error::last_os_error());
            }
            *address_bytes = header.msg_namelen;
            Ok((size.cast_unsigned(), local_address(&header)))
        })
    }?;
    let from = from.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    Ok((size, from, local))
}

/// SAFETY: of a header that `recvmsg` has filled, with its control buffer alive.
unsafe fn local_address(header: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: the caller's; what CMSG_NXTHDR gives lies within the control buffer, and the kernel
    // writes whole values.
    unsafe {
        let mut cmsg = libc::CMSG_FIRSTHDR(header);
        while !cmsg.is_null() {
            let data = libc::CMSG_DATA(cmsg);
            match ((*cmsg).cmsg_level, (*cmsg).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info: libc::in_pktinfo = std::ptr::read_unaligned(data.cast());
                    return Some(IpAddr::V4(u32::from_be(info.ipi_spec_dst.s_addr).into()));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info: libc::in6_pktinfo = std::ptr::read_unaligned(data.cast());
                    return Some(IpAddr::V6(info.ipi6_addr.s6_addr.into()));
                }
                _ => cmsg = libc::CMSG_NXTHDR(header, cmsg),
            }
        }
    }
    None
}

/// Asks the processor to bring a value's memory near while something else is done: of 3,000
/// cameras none is in the caches any more when its turn comes.
pub fn prefetch<T>(value: &T) {
    bring_near(std::ptr::from_ref(value).cast(), size_of::<T>());
}

/// The memory behind a value, where the next of its kind will lie.
pub fn prefetch_behind<T>(value: &T) {
    let behind = std::ptr::from_ref(value).wrapping_add(1);
    bring_near(behind.cast(), size_of::<T>());
}

/// The first [`WRITTEN_BYTES`] of memory that is to be written.
pub fn prefetch_room(room: &[mem::MaybeUninit<u8>]) {
    bring_near(room.as_ptr().cast(), room.len().min(WRITTEN_BYTES));
}

fn bring_near(start: *const i8, size_bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..size_bytes).step_by(LINE_BYTES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint reads nothing, and does nothing where there is no memory.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(offset)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, size_bytes, LINE_BYTES);
}

fn raw_address(address: &SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    let address = socket2::SockAddr::from(*address);
    // SAFETY: all-zero is a valid sockaddr_storage, and SockAddr's bytes fit into it.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    unsafe {
        std::ptr::copy_nonoverlapping(
            address.as_ptr().cast::<u8>(),
            std::ptr::from_mut(&mut storage).cast::<u8>(),
            address.len() as usize,
        );
    }
    (storage, address.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segmented_message_arrives_as_datagrams_of_one_size_and_a_shorter_last() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let buffer: Vec<u8> = (0..250u8).collect();
        let to = receiver.local_addr().unwrap();
        let messages = [
            Message {
                to,
                local: None,
                start: 0,
                end: 230,
                segment_bytes: 100,
            },
            Message {
                to,
                local: None,
                start: 230,
                end: 250,
                segment_bytes: 20,
            },
        ];
        let sent = send_messages(&sender, &mut SendScratch::default(), &buffer, &messages).unwrap();
        assert_eq!(sent, 2);
        let mut sizes = Vec::new();
        let mut datagram = [0u8; 512];
        for _ in 0..4 {
            sizes.push(receiver.recv(&mut datagram).unwrap());
        }
        assert_eq!(sizes, [100, 100, 30, 20]);
    }

    /// What comes to `at` on a socket bound to `all` is answered from there, in runs and alone.
    fn answered_from(all: &str, at: &str) {
        let server = UdpSocket::bind(all).unwrap();
        tell_local_addresses(&server).unwrap();
        let at: SocketAddr = (
            at.parse::<IpAddr>().unwrap(),
            server.local_addr().unwrap().port(),
        )
            .into();
        let any = if at.is_ipv6() {
            "[::1]:0"
        } else {
            "127.0.0.1:0"
        };
        let viewer = UdpSocket::bind(any).unwrap();
        // Connected: it takes datagrams from there alone.
        viewer.connect(at).unwrap();
        viewer.send(b"check").unwrap();
        let mut datagram = [0; 2_048];
        let (size, to, local) = receive(&server, &mut datagram).unwrap();
        assert_eq!(
            (&datagram[..size], to.port()),
            (&b"check"[..], viewer.local_addr().unwrap().port())
        );
        let local = local.unwrap();
        assert_eq!(local.to_canonical(), at.ip());
        let buffer: Vec<u8> = (0..250u8).collect();
        let message = |start, end, segment_bytes| Message {
            to,
            local: Some(local),
            start,
            end,
            segment_bytes,
        };
        let messages = [message(0, 230, 100), message(230, 250, 20)];
        let sent = send_messages(&server, &mut SendScratch::default(), &buffer, &messages);
        assert_eq!(sent.unwrap(), 2);
        viewer
            .set_read_timeout(Some(std::time::Duration::from_secs(10)))
            .unwrap();
        for expected in [
            &buffer[..100],
            &buffer[100..200],
            &buffer[200..230],
            &buffer[230..],
        ] {
            let size = viewer.recv(&mut datagram).unwrap();
            assert_eq!(&datagram[..size], expected);
        }
    }

    #[test]
    fn what_came_to_one_of_our_addresses_is_answered_from_it() {
        answered_from("0.0.0.0:0", "127.0.0.1");
        answered_from("0.0.0.0:0", "127.0.0.2");
    }

    #[test]
    fn a_socket_of_both_families_answers_from_the_address_too() {
        answered_from("[::]:0", "127.0.0.2");
        answered_from("[::]:0", "::1");
    }
}
