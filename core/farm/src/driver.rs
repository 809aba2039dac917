//! The one thread: epoll, the due times of all cameras, control lines, the way out.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use peer::rtsp_server::{ConnectionSeeds, Credentials, ServerConfig};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::args::Args;
use crate::catalog::Catalog;
use crate::connection::{Connection, Counters, Fate, Moment};
use crate::control::{self, Command, Lines};
use crate::fault::Fault;
use crate::send_log::SendLog;
use crate::signals;
use crate::udp::UdpPorts;

const TOKEN_LISTENER: u64 = u64::MAX;
const TOKEN_SIGNAL: u64 = u64::MAX - 1;
const TOKEN_STDIN: u64 = u64::MAX - 2;
const TOKEN_RTCP: u64 = u64::MAX - 3;
/// A wall of viewers dials within a second; the kernel caps this at `net.core.somaxconn`.
const LISTEN_BACKLOG: i32 = 4096;
const EVENTS_PER_WAKE: usize = 1024;
const ACCEPTS_PER_WAKE: usize = 256;
const READ_SCRATCH_BYTES: usize = 16 * 1024;
/// Due times are served once a millisecond: a wake for each would cost more than the sending.
const WAKE_MIN_US: u64 = 1000;
const TICK_US: u64 = 1_000_000;
/// Files besides the connections.
const SPARE_FILES: u64 = 32;

/// Print a line at once; a closed standard output is no reason to stop.
pub fn say(line: &str) {
    let mut stdout = io::stdout().lock();
    let _nobody_listens = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// Serve until SIGTERM or SIGINT. Errors are sentences for the user.
pub fn run(args: &Args) -> Result<(), String> {
    let signals = signals::stop_signals()
        .map_err(|error| format!("signals cannot be received ({error})."))?;
    let catalog = Catalog::load(&args.clips, args.cameras)?;
    let listener = listen(args)?;
    raise_open_files(args.cameras);
    let send_log = SendLog::open(args)?;
    let ports = UdpPorts::bind(args.listen.ip())
        .map_err(|error| format!("no pair of UDP ports is free ({error})."))?;
    let mut farm = Farm::new(args, catalog, listener, ports, signals)
        .map_err(|error| format!("epoll cannot be set up ({error})."))?;
    farm.send_log = send_log;
    let address = farm.listener.local_addr().unwrap_or(args.listen);
    say(&format!(
        "farm: listening on {address}, cameras={}",
        args.cameras
    ));
    farm.serve()
        .map_err(|error| format!("epoll failed ({error})."))?;
    say("farm: stopped");
    Ok(())
}

fn listen(args: &Args) -> Result<TcpListener, String> {
    use socket2::{Domain, Socket, Type};
    let bind = || {
        let socket = Socket::new(Domain::for_address(args.listen), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&args.listen.into())?;
        socket.listen(LISTEN_BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(TcpListener::from(socket))
    };
    bind().map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{} is taken by another program; stop it, or choose another address with --listen.",
            args.listen
        ),
        _ => format!("{} cannot be listened on ({error}).", args.listen),
    })
}

fn raise_open_files(cameras: u32) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let wanted = u64::from(cameras) + SPARE_FILES;
    if current.is_some_and(|current| current < wanted) {
        eprintln!(
            "farm: only {} files may be open, {wanted} are needed to have every camera watched \
             at once; raise it with `ulimit -n {wanted}`.",
            current.unwrap_or_default()
        );
    }
}

/// Connections in slots; a slot's generation tells a late event of its former connection apart.
#[derive(Default)]
struct Slot {
    generation: u32,
    connection: Option<Connection>,
}

struct Farm {
    // given
    catalog: Catalog,
    config: Arc<ServerConfig>,
    listener: TcpListener,
    ports: UdpPorts,
    signals: OwnedFd,
    // owned
    epoll: OwnedFd,
    slots: Vec<Slot>,
    free: Vec<u32>,
    due: BinaryHeap<Reverse<(u64, u32, u32)>>,
    seeds: SeedSource,
    lines: Lines,
    counters: Counters,
    send_log: Option<SendLog>,
    began: Instant,
    stopping: bool,
    // scratch
    out: Vec<u8>,
    scratch: Vec<u8>,
}

impl Farm {
    fn new(
        args: &Args,
        catalog: Catalog,
        listener: TcpListener,
        ports: UdpPorts,
        signals: OwnedFd,
    ) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let readable = EventFlags::IN;
        epoll::add(
            &epoll,
            &listener,
            EventData::new_u64(TOKEN_LISTENER),
            readable,
        )?;
        epoll::add(&epoll, &signals, EventData::new_u64(TOKEN_SIGNAL), readable)?;
        let token = EventData::new_u64(TOKEN_RTCP);
        epoll::add(&epoll, &ports.rtcp, token, readable)?;
        // A file or /dev/null as standard input cannot be waited for, and has nothing to say.
        let _no_control = epoll::add(
            &epoll,
            io::stdin(),
            EventData::new_u64(TOKEN_STDIN),
            readable,
        );
        let credentials = args.password.clone().map(|password| Credentials {
            username: args.username.clone(),
            password,
        });
        Ok(Self {
            catalog,
            config: Arc::new(ServerConfig {
                server_name: concat!("StreamHub-farm/", env!("CARGO_PKG_VERSION")).to_owned(),
                realm: "StreamHub farm".to_owned(),
                credentials,
                rtsp_session_timeout: args.rtsp_session_timeout,
                server_port: Some(ports.numbers),
            }),
            listener,
            ports,
            signals,
            epoll,
            slots: Vec::new(),
            free: Vec::new(),
            due: BinaryHeap::new(),
            seeds: SeedSource::open()?,
            lines: Lines::default(),
            counters: Counters::default(),
            send_log: None,
            began: Instant::now(),
            stopping: false,
            out: Vec::with_capacity(512 * 1024),
            scratch: vec![0; READ_SCRATCH_BYTES],
        })
    }

    fn moment(&self) -> Moment {
        let now = Instant::now();
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Moment {
            now,
            now_us: micros(now - self.began),
            wall_unix_us: micros(wall),
        }
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS_PER_WAKE);
        let mut next_tick_us = TICK_US;
        while !self.stopping {
            self.send_due();
            let now_us = self.moment().now_us;
            if now_us >= next_tick_us {
                next_tick_us = now_us + TICK_US;
                self.tick_all();
            }
            let wake_us = self
                .due
                .peek()
                .map_or(next_tick_us, |Reverse((due_us, ..))| {
                    (*due_us).min(next_tick_us)
                });
            let wait_us = wake_us.saturating_sub(now_us).max(WAKE_MIN_US);
            let timeout = Timespec {
                tv_sec: (wait_us / 1_000_000) as _,
                tv_nsec: (wait_us % 1_000_000 * 1000) as _,
            };
            events.clear();
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&timeout),
            ) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                let (flags, token) = (event.flags, event.data.u64());
                self.on_event(token, flags)?;
            }
        }
        let at = self.moment();
        for slot in &mut self.slots {
            if let Some(connection) = &mut slot.connection {
                connection.on_stop(at, &self.ports);
            }
        }
        Ok(())
    }

    fn on_event(&mut self, token: u64, flags: EventFlags) -> io::Result<()> {
        match token {
            TOKEN_LISTENER => self.accept(),
            TOKEN_SIGNAL => {
                let mut taken = [0; 128];
                let _any = rustix::io::read(self.signals.as_fd(), &mut taken);
                self.stopping = true;
            }
            TOKEN_STDIN => self.read_control()?,
            TOKEN_RTCP => {
                self.counters.receiver_reports += self.ports.take_reports(&mut self.scratch);
            }
            _ => {
                let (index, generation) = ((token >> 32) as u32, token as u32);
                let at = self.moment();
                if flags.contains(EventFlags::OUT) {
                    self.with(index, generation, |connection, _| connection.on_writable());
                }
                if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                    self.with(index, generation, |connection, farm| {
                        connection.on_readable(at, farm.catalog, farm.counters, farm.scratch)
                    });
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS_PER_WAKE {
            // Out of files: the connection waits in the backlog until one is free again.
            let Ok((stream, _)) = self.listener.accept() else {
                return;
            };
            if stream.set_nonblocking(true).is_err() || stream.set_nodelay(true).is_err() {
                continue;
            }
            let index = self.free.pop().unwrap_or_else(|| {
                self.slots.push(Slot::default());
                (self.slots.len() - 1) as u32
            });
            let slot = &mut self.slots[index as usize];
            let token = u64::from(index) << 32 | u64::from(slot.generation);
            let data = EventData::new_u64(token);
            if epoll::add(&self.epoll, &stream, data, EventFlags::IN).is_err() {
                self.free.push(index);
                continue;
            }
            self.counters.accepted += 1;
            let config = Arc::clone(&self.config);
            let seeds = self.seeds.connection();
            slot.connection = Some(Connection::new(stream, config, seeds, Instant::now()));
        }
    }

    fn send_due(&mut self) {
        let at = self.moment();
        while let Some(&Reverse((due_us, index, generation))) = self.due.peek() {
            if due_us > at.now_us {
                break;
            }
            self.due.pop();
            let slot = &mut self.slots[index as usize];
            match &mut slot.connection {
                Some(connection)
                    if slot.generation == generation && connection.scheduled_us == Some(due_us) =>
                {
                    connection.scheduled_us = None;
                }
                _ => continue,
            }
            self.with(index, generation, |connection, farm| {
                connection.on_due(at, farm.counters, farm.out, farm.ports)
            });
        }
    }

    fn tick_all(&mut self) {
        let at = self.moment();
        for index in 0..self.slots.len() {
            let generation = self.slots[index].generation;
            self.with(index as u32, generation, |connection, farm| {
                connection.on_tick(at, farm.catalog, farm.counters)
            });
        }
    }

    /// Let one connection act, then close it or note what it waits for.
    fn with(
        &mut self,
        index: u32,
        generation: u32,
        act: impl FnOnce(&mut Connection, Parts<'_>) -> Fate,
    ) {
        let slot = &mut self.slots[index as usize];
        let Some(connection) = slot
            .connection
            .as_mut()
            .filter(|_| slot.generation == generation)
        else {
            return;
        };
        let fate = act(
            connection,
            Parts {
                catalog: &self.catalog,
                ports: &self.ports,
                counters: &mut self.counters,
                out: &mut self.out,
                scratch: &mut self.scratch,
            },
        );
        if let Some((unit, at)) = connection.take_left()
            && let Some(log) = &mut self.send_log
        {
            log.note(unit, at);
        }
        if fate != Fate::Lives {
            if fate == Fate::Reset {
                let lingers = Some(Duration::ZERO);
                let _closed_anyway =
                    rustix::net::sockopt::set_socket_linger(&connection.stream, lingers);
            }
            slot.connection = None; // Closing takes it out of epoll.
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(index);
            return;
        }
        if connection.has_pending() != connection.wants_write {
            connection.wants_write = !connection.wants_write;
            let mut flags = EventFlags::IN;
            flags.set(EventFlags::OUT, connection.wants_write);
            let data = EventData::new_u64(u64::from(index) << 32 | u64::from(generation));
            let _shown_by_reading = epoll::modify(&self.epoll, &connection.stream, data, flags);
        }
        let due_us = connection.due_us();
        if due_us != connection.scheduled_us {
            connection.scheduled_us = due_us;
            if let Some(due_us) = due_us {
                self.due.push(Reverse((due_us, index, generation)));
            }
        }
    }

    fn read_control(&mut self) -> io::Result<()> {
        let mut bytes = [0; 1024];
        // Level-triggered and read once, so that a blocking standard input never blocks us.
        let count = rustix::io::read(io::stdin(), &mut bytes).unwrap_or(0);
        if count == 0 {
            epoll::delete(&self.epoll, io::stdin())?;
            return Ok(());
        }
        let mut commands = Vec::new();
        self.lines
            .push(&bytes[..count], |line| commands.push(control::parse(line)));
        for command in commands {
            match command {
                Ok(command) => self.obey(command),
                Err(sentence) => say(&format!("error: {sentence}")),
            }
        }
        Ok(())
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Fault { camera, fault } => {
                let named = camera.map_or(0..=self.catalog.cameras(), |camera| camera..=camera);
                for camera in named {
                    self.catalog.set_fault(camera, fault);
                }
                self.apply_fault(camera, fault);
                say("ok");
            }
            Command::Stats => say(&self.stats()),
        }
    }

    fn apply_fault(&mut self, camera: Option<u32>, fault: Option<Fault>) {
        let at = self.moment();
        for index in 0..self.slots.len() {
            let generation = self.slots[index].generation;
            self.with(index as u32, generation, |connection, _| {
                connection.on_fault(at, camera, fault)
            });
        }
    }

    fn stats(&self) -> String {
        let connections = self
            .slots
            .iter()
            .filter_map(|slot| slot.connection.as_ref());
        let playing = connections.clone().filter(|c| c.is_playing()).count();
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let counters = &self.counters;
        format!(
            "stats connections={} playing={playing} accepted={} units={} packets={} \
             dropped_units={} bytes={} cpu_us={} elapsed_us={} receiver_reports={}",
            connections.count(),
            counters.accepted,
            counters.units,
            counters.packets,
            counters.dropped_units,
            counters.bytes,
            cpu.tv_sec as i128 * 1_000_000 + cpu.tv_nsec as i128 / 1000,
            self.moment().now_us,
            counters.receiver_reports,
        )
    }
}

/// What a connection may use of the farm while it acts.
struct Parts<'a> {
    catalog: &'a Catalog,
    ports: &'a UdpPorts,
    counters: &'a mut Counters,
    out: &'a mut Vec<u8>,
    scratch: &'a mut [u8],
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Random values for connections, from the kernel.
struct SeedSource(File);

impl SeedSource {
    fn open() -> io::Result<Self> {
        File::open("/dev/urandom").map(Self)
    }

    fn connection(&mut self) -> ConnectionSeeds {
        let mut bytes = [0_u8; 16 + 8 + 4 + 2 + 4];
        // /dev/urandom does not fail once it is open; zeros would only make dull numbers.
        let _filled = self.0.read_exact(&mut bytes);
        let mut rest = bytes.as_slice();
        let mut take = |count: usize| {
            let (head, tail) = rest.split_at(count);
            rest = tail;
            head.iter()
                .fold(0_u128, |value, &byte| value << 8 | u128::from(byte))
        };
        ConnectionSeeds {
            nonce: take(16),
            rtsp_session_id: take(8) as u64,
            ssrc: take(4) as u32,
            first_seq: take(2) as u16,
            first_rtp_ts: take(4) as u32,
        }
    }
}
