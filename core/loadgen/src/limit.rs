//! `loadgen limit`: the bare loop. Per viewer: copy, seal, one GSO message; nothing of streaming.
//! What the fan-out is measured against.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};
use rustix::event::{Timespec, epoll};
use serde_json::{Value, json};

use crate::args::LimitArgs;
use crate::figures::rounded;
use crate::sys;

const HEADER_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// Receivers may be behind by this many packets each before the sender waits: half of what their
/// buffers hold, so that nothing is dropped, which would be cheaper than delivering it.
const BEHIND_PACKETS: u64 = 1_000;
const WAIT: Duration = Duration::from_micros(200);
const READY_PER_WAKE: usize = 1_024;
const WAKE_SPACING: Duration = Duration::from_millis(1);

/// Rounds before the clock starts: caches, page tables, the receivers' first wakes.
const PRIMER_ROUNDS: u64 = 20;

/// # Errors
/// Sentences for the user.
pub fn run(args: &LimitArgs) -> Result<Value, String> {
    let algorithm: &Algorithm = match args.cipher.as_str() {
        "AEAD_AES_256_GCM" => &AES_256_GCM,
        "AEAD_AES_128_GCM" => &AES_128_GCM,
        other => return Err(format!("there is no bare loop for {other}.")),
    };
    let wrong = |error: std::io::Error| format!("the bare loop can't be set up ({error}).");
    let receivers = receivers(args.viewers).map_err(wrong)?;
    let addresses: Vec<SocketAddr> = receivers
        .iter()
        .map(|socket| socket.local_addr())
        .collect::<Result<_, _>>()
        .map_err(wrong)?;
    let received = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let reader = {
        let (received, stop, core) = (received.clone(), stop.clone(), args.receiver_core);
        std::thread::spawn(move || drain(receivers, core, &received, &stop))
    };
    let sent = send(args, algorithm, &addresses, &received);
    stop.store(true, Ordering::Relaxed);
    let dropped = reader
        .join()
        .map_err(|_| "the receiving thread panicked.".to_owned())?
        .map_err(wrong)?;
    let sent = sent?;
    let packet_bytes = HEADER_BYTES + args.payload_bytes + TAG_BYTES;
    let us_per_packet = sent.cpu.as_secs_f64() * 1e6 / sent.packets as f64;
    Ok(json!({
        "us_per_packet": rounded(us_per_packet),
        "gbps_per_core": rounded(packet_bytes as f64 * 8.0 / us_per_packet / 1e3),
        "viewers": args.viewers,
        "packets_per_message": args.packets,
        "packet_bytes": packet_bytes,
        "packets": sent.packets,
        "cpu_ms": rounded(sent.cpu.as_secs_f64() * 1e3),
        "seconds": rounded(sent.wall.as_secs_f64()),
        "dropped_at_viewer": dropped,
        "srtp_cipher": args.cipher,
        "rate": args.rate,
    }))
}

fn receivers(count: usize) -> std::io::Result<Vec<UdpSocket>> {
    (0..count)
        .map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.set_nonblocking(true)?;
            sys::enlarge_receive_buffer(&socket)?;
            Ok(socket)
        })
        .collect()
}

/// As the load viewers read: wake, drain, not again within a millisecond. Returns the drops.
fn drain(
    sockets: Vec<UdpSocket>,
    core: Option<usize>,
    received: &AtomicU64,
    stop: &AtomicBool,
) -> std::io::Result<u64> {
    if let Some(core) = core {
        sys::pin(core)?;
    }
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (index, socket) in sockets.iter().enumerate() {
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&epoll, socket.as_fd(), data, epoll::EventFlags::IN)?;
    }
    let mut ready = Vec::with_capacity(READY_PER_WAKE);
    let mut batch = sys::Receiver::new();
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: 10_000_000,
    };
    while !stop.load(Ordering::Relaxed) {
        ready.clear();
        // Interrupted or not: what is ready is looked at all the same.
        let _ = epoll::wait(
            &epoll,
            rustix::buffer::spare_capacity(&mut ready),
            Some(&timeout),
        );
        let woken = Instant::now();
        for event in &ready {
            let socket = &sockets[usize::try_from(event.data.u64()).unwrap_or(0)];
            loop {
                let taken = batch.receive(socket, false)?;
                received.fetch_add(taken as u64, Ordering::Relaxed);
                if taken < sys::BATCH {
                    break;
                }
            }
        }
        let spent = woken.elapsed();
        if spent < WAKE_SPACING {
            std::thread::sleep(WAKE_SPACING - spent);
        }
    }
    Ok(sockets.iter().map(sys::dropped_at_socket).sum())
}

struct Sent {
    packets: u64,
    cpu: Duration,
    wall: Duration,
}

fn send(
    args: &LimitArgs,
    algorithm: &'static Algorithm,
    addresses: &[SocketAddr],
    received: &AtomicU64,
) -> Result<Sent, String> {
    let wrong = |error: std::io::Error| format!("the bare loop can't send ({error}).");
    if let Some(core) = args.sender_core {
        sys::pin(core).map_err(wrong)?;
    }
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(wrong)?;
    // A key of its own for each, as viewers have.
    let keys: Vec<LessSafeKey> = (0..addresses.len())
        .map(|number| {
            let mut key = vec![7; algorithm.key_len()];
            key[..8].copy_from_slice(&(number as u64).to_be_bytes());
            UnboundKey::new(algorithm, &key).map(LessSafeKey::new)
        })
        .collect::<Result<_, _>>()
        .map_err(|_| "the cipher refuses its key.".to_owned())?;
    let plain = vec![0x5a; args.packets * args.payload_bytes];
    let segment = HEADER_BYTES + args.payload_bytes + TAG_BYTES;
    let mut message = Vec::with_capacity(segment * args.packets);
    let segment = u16::try_from(segment).map_err(|_| "such packets do not exist.".to_owned())?;
    let per_round = (args.packets * addresses.len()) as u64;
    let allowed_behind = (BEHIND_PACKETS * addresses.len() as u64).min(per_round * 4);
    let mut packets = 0u64;
    let mut start = (Instant::now(), sys::thread_cpu(), 0);
    let mut round = 0u64;
    let interval = (args.rate > 0.0).then(|| Duration::from_secs_f64(1.0 / args.rate));
    let mut next = Instant::now();
    loop {
        if round == PRIMER_ROUNDS {
            start = (Instant::now(), sys::thread_cpu(), packets);
        }
        if round > PRIMER_ROUNDS && start.0.elapsed() >= args.seconds {
            break;
        }
        for (key, to) in keys.iter().zip(addresses) {
            message.clear();
            for (number, payload) in plain.chunks(args.payload_bytes).enumerate() {
                let index = round * args.packets as u64 + number as u64;
                seal(key, index, payload, &mut message).ok_or("the cipher refuses to seal.")?;
            }
            sys::send_segmented(&socket, to, &message, segment).map_err(wrong)?;
        }
        packets += per_round;
        round += 1;
        if let Some(interval) = interval {
            // At the pace of pictures the processor has slept in between, as the service's has.
            next += interval;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        while packets - received.load(Ordering::Relaxed).min(packets) > allowed_behind {
            std::thread::sleep(WAIT);
        }
    }
    Ok(Sent {
        packets: packets - start.2,
        cpu: sys::thread_cpu() - start.1,
        wall: start.0.elapsed(),
    })
}

/// A header, the sealed payload and the tag, as SRTP lays them out (RFC 7714).
fn seal(key: &LessSafeKey, index: u64, payload: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut header = [0x80, 108, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    header[2..4].copy_from_slice(&(index as u16).to_be_bytes());
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&index.to_be_bytes());
    out.extend_from_slice(&header);
    let at = out.len();
    out.extend_from_slice(payload);
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = key
        .seal_in_place_separate_tag(nonce, Aad::from(header), &mut out[at..])
        .ok()?;
    out.extend_from_slice(tag.as_ref());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_delivers_what_it_counts() {
        let args = LimitArgs {
            viewers: 3,
            packets: 4,
            payload_bytes: 200,
            seconds: Duration::ZERO,
            cipher: "AEAD_AES_256_GCM".to_owned(),
            rate: 0.0,
            sender_core: None,
            receiver_core: None,
        };
        let result = run(&args).unwrap();
        assert_eq!(result["packets"], 12);
        assert_eq!(result["dropped_at_viewer"], 0);
    }
}
