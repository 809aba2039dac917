//! What an engine is made of before its threads run: ports, descriptors, shards.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use crate::contract::{EngineConfig, EngineError};
use crate::event::EventQueue;
use crate::mailbox::Mailbox;
use crate::mesh::Mesh;
use crate::shard::{Given, Ports, RtspPorts, Shard, TlsPort, new_wake};
use crate::stats::Figures;

/// All shards of an engine, and the mesh as who is none of them sees it.
pub(crate) fn shards(
    config: &EngineConfig,
    socket: &UdpSocket,
    listener: Option<TcpListener>,
    rtsp: Option<RtspPorts>,
    events: &Arc<EventQueue>,
    figures: &Arc<Figures>,
) -> std::io::Result<(Mesh, Vec<Shard>)> {
    let mut mailboxes = Vec::new();
    let mut incoming = Vec::new();
    for index in 0..config.shards {
        let wake = new_wake()?;
        let (mailbox, commands) = Mailbox::new(wake.clone(), figures.totals_of(index));
        mailboxes.push(mailbox);
        incoming.push((wake, commands));
    }
    let meshes = Mesh::of(mailboxes);
    let outside = meshes[0].clone();
    let (mut listener, mut rtsp) = (listener, rtsp);
    let made = meshes
        .into_iter()
        .zip(incoming)
        .map(|(mesh, (wake, commands))| {
            let ports = Ports {
                socket: socket.try_clone()?,
                listener: listener.take(),
                rtsp: rtsp.take(),
            };
            let given = Given {
                commands,
                wake,
                events: events.clone(),
                figures: figures.clone(),
            };
            Shard::new(ports, mesh, given)
        });
    Ok((outside, made.collect::<std::io::Result<_>>()?))
}

/// The one UDP socket, and beside it the TCP port.
pub(crate) fn bind(config: &EngineConfig) -> Result<(UdpSocket, Option<TcpListener>), EngineError> {
    let taken = |what: &str, at: SocketAddr, error: &std::io::Error| {
        EngineError::Start(format!("{what} {at}: {error}"))
    };
    // The number of a free UDP port may be taken for TCP: then another is asked for.
    let tries = if config.udp_bind.port() == 0 { 16 } else { 1 };
    let mut tried = 0;
    loop {
        tried += 1;
        let socket = UdpSocket::bind(config.udp_bind)
            .map_err(|error| taken("UDP", config.udp_bind, &error))?;
        let Some(tcp_port) = config.tcp_port else {
            return Ok((socket, None));
        };
        let mut at = config.udp_bind;
        at.set_port(match tcp_port {
            0 => socket
                .local_addr()
                .map_err(|error| taken("UDP", config.udp_bind, &error))?
                .port(),
            port => port,
        });
        match TcpListener::bind(at) {
            Ok(listener) => {
                listener
                    .set_nonblocking(true)
                    .map_err(|error| taken("TCP", at, &error))?;
                return Ok((socket, Some(listener)));
            }
            Err(_) if tried < tries => {}
            Err(error) => return Err(taken("TCP", at, &error)),
        }
    }
}

/// The RTSP door's ports, those that are wanted.
pub(crate) fn bind_rtsp(config: &EngineConfig) -> Result<Option<RtspPorts>, EngineError> {
    let Some(rtsp) = &config.rtsp else {
        return Ok(None);
    };
    let listen = |what: &str, at: SocketAddr| {
        let failed = |error: std::io::Error| EngineError::Start(format!("{what} {at}: {error}"));
        let listener = TcpListener::bind(at).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(listener)
    };
    let plain = rtsp.listen.map(|at| listen("RTSP", at)).transpose()?;
    let tls = (rtsp.tls.as_ref())
        .map(|tls| {
            let listener = listen("RTSP by TLS", tls.listen)?;
            Ok(TlsPort::new(listener, tls.identity.clone()))
        })
        .transpose()?;
    let key = rtsp.key.clone();
    Ok(Some(RtspPorts::new(plain, tls, key)))
}

/// A watched stream is a socket, so 3,000 cameras pass the usual soft limit of 1,024.
pub(crate) fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Refused: the limit stays, and `streamhub doctor` says how to raise it.
    let _ = setrlimit(Resource::Nofile, raised);
}
