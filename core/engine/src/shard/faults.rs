//! A panic at each place where a shard hands something to a machine: who it was about is gone and an
//! event says so, everyone else goes on.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use peer::rtsp_client::ClientConfig;
use peer::webrtc::{DtlsIdentity, Origin, PeerConfig};
use rustix::event::epoll;
use wire::codec::{PayloadType, PayloadTypes, VideoCodec};
use wire::stun::{self, CheckParams, IceRole, IntegrityKey};

use super::{Given, Ports, Shard, new_wake};
use crate::command::{Command, OpenSource, OpenViewer};
use crate::event::{Event, EventBody, EventQueue};
use crate::guard::{Seam, trip_next};
use crate::mailbox::Mailbox;
use crate::mesh::Mesh;
use crate::stats::Figures;

const PWD: &str = "a-server-password-of-32-ice-chars";

const H264: PayloadTypes = PayloadTypes::only(
    VideoCodec::H264,
    PayloadType {
        media: 102,
        rtx: None,
    },
);

pub(super) struct Scene {
    pub shard: Shard,
    pub now: Instant,
    at: SocketAddr,
}

impl Scene {
    /// A shard with two viewers of one stream.
    pub fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let at = listener.local_addr().unwrap();
        let figures = Arc::new(Figures::new(1));
        let wake = new_wake().unwrap();
        let (mailbox, commands) = Mailbox::new(wake.clone(), figures.totals_of(0));
        let mesh = Mesh::of(vec![mailbox]).remove(0);
        let ports = Ports {
            socket,
            listener: Some(listener),
            rtsp: None,
        };
        let given = Given {
            commands,
            wake,
            events: Arc::new(EventQueue::new().unwrap()),
            figures,
        };
        let shard = Shard::new(ports, mesh, given).unwrap();
        let mut scene = Self {
            shard,
            now: Instant::now(),
            at,
        };
        scene.open("v1");
        scene.open("v2");
        scene
    }

    pub fn command(&mut self, command: Command) {
        assert!(self.shard.mesh.mine().send(command).is_ok());
        self.shard.take_commands(self.now);
    }

    fn open(&mut self, id: &str) {
        let command = self.opening_of(id);
        self.command(command);
    }

    pub fn opening_of(&self, id: &str) -> Command {
        static IDENTITY: OnceLock<Arc<DtlsIdentity>> = OnceLock::new();
        let identity = IDENTITY.get_or_init(|| Arc::new(DtlsIdentity::generate().unwrap()));
        let row = self.shard.figures.add_viewer(id, "cam/main", H264);
        Command::OpenViewer(Box::new(OpenViewer {
            viewer_id: id.to_owned(),
            stream_id: "cam/main".to_owned(),
            channel_id: "cam".to_owned(),
            subject_id: "someone".to_owned(),
            until: self.now + Duration::from_secs(600),
            local_ufrag: id.to_owned(),
            peer: PeerConfig {
                local_ufrag: id.to_owned(),
                local_pwd: PWD.to_owned(),
                remote_fingerprints: Vec::new(),
                identity: identity.clone(),
            },
            ssrc: 1,
            payload_types: H264,
            first_seq: 1,
            first_rtp_ts: 1,
            rtx: None,
            audio: None,
            row,
        }))
    }

    fn check(&mut self, id: &str) {
        let from = SocketAddr::from(([127, 0, 0, 1], 9));
        self.shard
            .route(self.now, Origin::from(from), &check_of(id));
    }

    pub fn viewers(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.shard.viewers.iter().map(|v| v.id.as_str()).collect();
        ids.sort_unstable();
        ids
    }

    /// Who an event of a caught panic names.
    fn faults(&self) -> Vec<String> {
        let events = self.shard.events.drain(usize::MAX).into_iter();
        let faults = events.filter(|event| matches!(event.body, EventBody::WorkerFault { .. }));
        faults.map(|event| event.owner).collect()
    }

    fn connection(&mut self) -> TcpStream {
        let stream = TcpStream::connect(self.at).unwrap();
        let before = self.shard.connections.len();
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.shard.connections.len() == before && Instant::now() < deadline {
            self.shard.accept(self.now);
        }
        stream
    }
}

pub(super) fn check_of(ufrag: &str) -> Vec<u8> {
    let params = CheckParams {
        username: &format!("{ufrag}:brow"),
        priority: 1,
        role: IceRole::Controlling(7),
        use_candidate: true,
    };
    stun::binding_request(&[1; 12], &params, &IntegrityKey::new(PWD))
}

#[test]
fn a_panic_at_a_viewers_datagram_ends_that_viewer_alone() {
    for seam in [Seam::Receive, Seam::Settle, Seam::Pump] {
        let mut scene = Scene::new();
        trip_next(seam);
        scene.check("v1");
        assert_eq!(scene.viewers(), ["v2"], "{seam:?}");
        assert_eq!(scene.faults(), ["v1"], "{seam:?}");
        scene.check("v2");
        assert!(
            scene
                .shard
                .viewers
                .iter()
                .all(|v| v.leg.remote_addr().is_some())
        );
        assert_eq!(scene.shard.totals.worker_faults.get(), 1);
    }
}

#[test]
fn a_panic_at_a_viewers_deadline_or_goodbye_ends_that_viewer_alone() {
    let mut scene = Scene::new();
    scene.now += Duration::from_secs(20);
    trip_next(Seam::Timeout);
    scene.shard.take_timers(scene.now, Duration::MAX);
    assert_eq!(
        scene.faults().len(),
        1,
        "the other one ends by its own deadline"
    );
    assert!(scene.viewers().is_empty());

    let mut scene = Scene::new();
    trip_next(Seam::Goodbye);
    let cause = "revoked".to_owned();
    let select = crate::command::Select::Ids(vec!["v1".to_owned()]);
    scene.command(Command::CloseViewers { select, cause });
    assert_eq!(scene.viewers(), ["v2"]);
}

#[test]
fn a_panic_before_a_datagram_is_routed_drops_the_datagram_alone() {
    let mut scene = Scene::new();
    trip_next(Seam::Route);
    scene.check("v1");
    assert_eq!(scene.viewers(), ["v1", "v2"]);
    assert_eq!(scene.shard.totals.worker_faults.get(), 1);
    scene.check("v1");
    assert!(
        scene
            .shard
            .viewers
            .iter()
            .any(|v| v.leg.remote_addr().is_some())
    );
}

#[test]
fn a_panic_at_a_connections_bytes_closes_that_connection_alone() {
    let mut scene = Scene::new();
    let _other = scene.connection();
    let mut stream = scene.connection();
    stream.write_all(&[0, 1, 0]).unwrap();
    trip_next(Seam::TcpRead);
    scene.shard.serve_tcp(scene.now, 1, epoll::EventFlags::IN);
    assert_eq!(scene.shard.connections.len(), 1);
    assert_eq!(scene.viewers(), ["v1", "v2"]);
    assert_eq!(scene.shard.totals.worker_faults.get(), 1);
}

#[test]
fn a_panic_at_a_cameras_bytes_or_events_loses_that_camera_and_keeps_its_viewers() {
    for seam in [Seam::Source, Seam::SourceSettle] {
        let mut scene = Scene::new();
        let camera = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect_to = camera.local_addr().unwrap();
        let figures = scene.shard.figures.add_source("cam/main");
        scene.command(Command::OpenSource(Box::new(OpenSource {
            stream_id: "cam/main".to_owned(),
            connect_to,
            client: ClientConfig::new("rtsp://127.0.0.1/live").unwrap(),
            figures,
        })));
        let key = scene.shard.stream_keys["cam/main"];
        let (_stream, _) = camera.accept().unwrap();
        assert!(scene.shard.streams[key].source.is_some());
        trip_next(seam);
        scene
            .shard
            .serve_source(scene.now, key, epoll::EventFlags::OUT);
        assert!(scene.shard.streams[key].source.is_none(), "{seam:?}");
        assert_eq!(scene.faults(), ["cam/main"], "{seam:?}");
        assert_eq!(scene.viewers(), ["v1", "v2"]);
    }
}

#[test]
fn a_shard_that_ends_says_so_and_its_viewers_are_closed() {
    let Scene { shard, .. } = Scene::new();
    let (events, totals, mesh) = (
        shard.events.clone(),
        shard.totals.clone(),
        shard.mesh.clone(),
    );
    events.drain(usize::MAX);
    trip_next(Seam::Shard);
    shard.run_guarded();
    assert_eq!(totals.shards_ended.get(), 1);
    assert!(mesh.mine().has_ended());
    assert_eq!(
        mesh.mine().load(),
        usize::MAX,
        "nobody is sent to it any more"
    );
    let told = events.drain(usize::MAX);
    let fault = |event: &&Event| matches!(event.body, EventBody::WorkerFault { .. });
    let closed = |event: &&Event| matches!(event.body, EventBody::ViewerClosed { .. });
    assert_eq!(told.iter().filter(fault).count(), 1);
    assert_eq!(told.iter().filter(closed).count(), 2);
}
