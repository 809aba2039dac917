//! `loadgen limit-ingest`: the bare loop that reads the same interleaved bytes as the service:
//! wake, read every ready connection, walk the `$` headers, not again within a millisecond.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use serde_json::{Value, json};
use wire::rtsp::{INTERLEAVED_HEADER_BYTES, INTERLEAVED_MAGIC, Message, Request};
use wire::sdp::Sdp;

use crate::args::LimitIngestArgs;
use crate::figures::rounded;
use crate::sys;

/// As much as the service reads of one connection in one wake.
const READ_BYTES: usize = 256 * 1024;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const READY_PER_WAKE: usize = 1_024;
const WAKE_SPACING: Duration = Duration::from_millis(1);
/// Before the clock starts: first pictures are keyframes of all cameras at once.
const PRIMER: Duration = Duration::from_secs(3);
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// # Errors
/// Sentences for the user.
pub fn run(args: &LimitIngestArgs) -> Result<Value, String> {
    let wrong = |error: io::Error| format!("the bare loop can't read ({error}).");
    if let Some(core) = args.core {
        sys::pin(core).map_err(wrong)?;
    }
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| wrong(e.into()))?;
    let mut cameras = Vec::new();
    for number in 1..=args.cameras {
        let url = format!("rtsp://{}/cam/{number}/{}", args.farm, args.profile);
        let camera = Camera::play(&args.farm, &url)
            .map_err(|error| format!("camera {number} does not play ({error})."))?;
        let data = epoll::EventData::new_u64(cameras.len() as u64);
        epoll::add(&epoll, camera.stream.as_fd(), data, epoll::EventFlags::IN)
            .map_err(|e| wrong(e.into()))?;
        cameras.push(camera);
    }
    let mut scratch = vec![0; READ_BYTES];
    read_for(&epoll, &mut cameras, &mut scratch, PRIMER).map_err(wrong)?;
    let packets = |cameras: &[Camera]| cameras.iter().map(|c| c.frames.packets).sum::<u64>();
    let (before, cpu) = (packets(&cameras), sys::thread_cpu());
    let wakes = read_for(&epoll, &mut cameras, &mut scratch, args.seconds).map_err(wrong)?;
    let cpu = sys::thread_cpu() - cpu;
    let count = packets(&cameras) - before;
    let seconds = args.seconds.as_secs_f64();
    Ok(json!({
        "us_per_packet": rounded(cpu.as_secs_f64() * 1e6 / count.max(1) as f64),
        "packets": count,
        "cameras": args.cameras,
        "cores": rounded(cpu.as_secs_f64() / seconds),
        "wakes_per_s": rounded(wakes as f64 / seconds),
        "seconds": seconds,
    }))
}

fn read_for(
    epoll: &std::os::fd::OwnedFd,
    cameras: &mut [Camera],
    scratch: &mut [u8],
    span: Duration,
) -> io::Result<u64> {
    let mut ready = Vec::with_capacity(READY_PER_WAKE);
    let deadline = Instant::now() + span;
    let mut wakes = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(wakes);
        }
        let timeout = Timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        ready.clear();
        // Interrupted or not: what is ready is looked at all the same.
        let _ = epoll::wait(
            epoll,
            rustix::buffer::spare_capacity(&mut ready),
            Some(&timeout),
        );
        wakes += 1;
        let woken = Instant::now();
        for event in &ready {
            let camera = &mut cameras[usize::try_from(event.data.u64()).unwrap_or(0)];
            match camera.stream.read(scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => camera.frames.walk(&scratch[..count])?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        let spent = woken.elapsed();
        if spent < WAKE_SPACING {
            std::thread::sleep(WAKE_SPACING - spent);
        }
    }
}

struct Camera {
    stream: TcpStream,
    frames: Frames,
}

impl Camera {
    /// DESCRIBE, SETUP, PLAY; then the socket no longer blocks.
    fn play(address: &str, url: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let (body, _, _) = ask(
            &mut stream,
            &Request::new("DESCRIBE", url).header("CSeq", "1"),
        )?;
        let sdp = Sdp::parse(&String::from_utf8_lossy(&body)).map_err(io::Error::other)?;
        let control = sdp.media.first().and_then(|media| media.control());
        let track = format!("{url}/{}", control.unwrap_or_default());
        let setup = Request::new("SETUP", &track)
            .header("CSeq", "2")
            .header("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1");
        let (_, id, _) = ask(&mut stream, &setup)?;
        let play = Request::new("PLAY", url)
            .header("CSeq", "3")
            .header("Session", &id);
        let (_, _, rest) = ask(&mut stream, &play)?;
        let mut frames = Frames::default();
        frames.walk(&rest)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, frames })
    }
}

/// Gives the body, the RTSP session id, and what came behind the answer.
fn ask(stream: &mut TcpStream, request: &Request) -> io::Result<(Vec<u8>, String, Vec<u8>)> {
    stream.write_all(&request.encode())?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let (message, _) = Message::parse_head(&bytes[..end + 4]).map_err(io::Error::other)?;
            let Message::Response(response) = &message else {
                return Err(io::Error::other("a request came instead of an answer"));
            };
            if !response.is_success() {
                return Err(io::Error::other(format!("answered {}", response.status)));
            }
            let body_end = end + 4 + message.headers().content_length();
            if bytes.len() >= body_end {
                let id = message.headers().get("Session").unwrap_or_default();
                let id = id.split(';').next().unwrap_or_default().to_owned();
                let body = bytes[end + 4..body_end].to_vec();
                return Ok((body, id, bytes[body_end..].to_vec()));
            }
        } else if bytes.len() > MAX_HEAD_BYTES {
            return Err(io::Error::other("an endless answer"));
        }
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

/// Interleaved packets counted over reads that cut them anywhere.
#[derive(Debug, Default)]
struct Frames {
    packets: u64,
    /// Bytes of the present packet that have yet to come.
    missing: usize,
    head: Vec<u8>,
}

impl Frames {
    fn walk(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let body = self.missing.min(bytes.len());
            bytes = &bytes[body..];
            self.missing -= body;
            if bytes.is_empty() {
                break;
            }
            let wanted = (INTERLEAVED_HEADER_BYTES - self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..wanted]);
            bytes = &bytes[wanted..];
            if let [magic, _, high, low] = self.head[..] {
                if magic != INTERLEAVED_MAGIC {
                    return Err(io::Error::other(
                        "no interleaved packet where one should begin",
                    ));
                }
                self.missing = usize::from(u16::from_be_bytes([high, low]));
                self.packets += 1;
                self.head.clear();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_counted_wherever_reads_cut_them() {
        let mut bytes = Vec::new();
        for size in [0usize, 1, 3, 500] {
            bytes.extend_from_slice(&[b'$', 0, (size >> 8) as u8, size as u8]);
            bytes.extend(std::iter::repeat_n(b'$', size));
        }
        for cut in 1..bytes.len() {
            let mut frames = Frames::default();
            for part in bytes.chunks(cut) {
                frames.walk(part).unwrap();
            }
            assert_eq!((frames.packets, frames.missing), (4, 0), "cut {cut}");
        }
        assert!(Frames::default().walk(b"RTSP/1.0").is_err());
    }
}
