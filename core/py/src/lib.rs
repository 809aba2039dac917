//! The PyO3 crate: converts, and nothing else. Imported as `streamhub._core` by
//! `streamhub.media.native` alone; the stub beside it is `streamhub/_core.pyi`.

/// The core's memory: some hundred thousand small blocks a second come and go, of all sizes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::command::Select;
use engine::event::EventBody;
use engine::stats::{SourceState, ViewerRow, ViewerTransport, unix_ms};
use engine::{
    Engine, EngineConfig, EngineError, IdentityError, RtspConfig, RtspRequest, RtspTls,
    SourceRequest, TicketKey, TlsIdentity, ViewerRequest,
};
use pyo3::create_exception;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

create_exception!(_core, MalformedOffer, PyValueError);
create_exception!(_core, NoCommonCodec, PyValueError);
create_exception!(_core, OverCapacity, PyRuntimeError);
create_exception!(_core, CoreClosed, PyRuntimeError);
create_exception!(_core, BadIdentity, PyValueError);

fn to_py(error: EngineError) -> PyErr {
    let sentence = error.to_string();
    match error {
        EngineError::MalformedOffer(_) => MalformedOffer::new_err(sentence),
        EngineError::NoCommonCodec(camera) => {
            NoCommonCodec::new_err((sentence, camera.map(|codec| codec.name())))
        }
        EngineError::OverCapacity(_) => OverCapacity::new_err(sentence),
        EngineError::Closed => CoreClosed::new_err(sentence),
        EngineError::BadUrl(_) => PyValueError::new_err(sentence),
        EngineError::Start(_) => PyOSError::new_err(sentence),
    }
}

fn address(text: &str) -> PyResult<SocketAddr> {
    text.parse()
        .map_err(|_| PyValueError::new_err(format!("{text} is no address:port")))
}

fn bad_identity(error: IdentityError) -> PyErr {
    BadIdentity::new_err(error.to_string())
}

/// `None` where neither door listens.
fn rtsp_config(
    listen: Option<&str>,
    tls_listen: Option<&str>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    key: Option<&[u8]>,
) -> PyResult<Option<RtspConfig>> {
    if listen.is_none() && tls_listen.is_none() {
        return Ok(None);
    }
    let tls = tls_listen
        .map(|listen| {
            let (certificate, key) = identity
                .ok_or_else(|| PyValueError::new_err("TLS needs a certificate and its key"))?;
            let identity = TlsIdentity::from_pem(&certificate, &key).map_err(bad_identity)?;
            let listen = address(listen)?;
            PyResult::Ok(RtspTls { listen, identity })
        })
        .transpose()?;
    let key = key.and_then(|key| key.try_into().ok());
    let key = key.ok_or_else(|| PyValueError::new_err("the key of tickets has 32 bytes"))?;
    Ok(Some(RtspConfig {
        listen: listen.map(address).transpose()?,
        tls,
        key: Arc::new(TicketKey::new(key)),
    }))
}

fn from_unix_s(at: f64) -> SystemTime {
    UNIX_EPOCH + Duration::try_from_secs_f64(at).unwrap_or_default()
}

fn age_ms(at_unix_ms: u64) -> Option<u64> {
    (at_unix_ms != 0).then(|| unix_ms(SystemTime::now()).saturating_sub(at_unix_ms))
}

/// The packet plane of one process.
#[pyclass(frozen)]
struct Core {
    engine: Engine,
}

#[pymethods]
impl Core {
    #[new]
    #[allow(clippy::too_many_arguments)] // all by name
    #[pyo3(signature = (*, udp_bind="127.0.0.1:0", tcp_port=Some(0), advertise=None, max_viewers=4000, shards=1, remb=false, rtsp_listen=None, rtsp_key=None, rtsps_listen=None, rtsps_identity=None))]
    fn new(
        udp_bind: &str,
        tcp_port: Option<u16>,
        advertise: Option<Vec<String>>,
        max_viewers: usize,
        shards: usize,
        remb: bool,
        rtsp_listen: Option<&str>,
        rtsp_key: Option<&[u8]>,
        rtsps_listen: Option<&str>,
        rtsps_identity: Option<(Vec<u8>, Vec<u8>)>,
    ) -> PyResult<Self> {
        let udp_bind = address(udp_bind)?;
        let advertise = advertise
            .unwrap_or_else(|| vec![udp_bind.ip().to_string()])
            .iter()
            .map(|text| {
                let bare = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
                bare.or_else(|_| text.parse::<SocketAddr>()).map_err(|_| {
                    PyValueError::new_err(format!(
                        "{text} is no IP address, with or without a port"
                    ))
                })
            })
            .collect::<PyResult<Vec<_>>>()?;
        let rtsp = rtsp_config(rtsp_listen, rtsps_listen, rtsps_identity, rtsp_key)?;
        let engine = Engine::start(EngineConfig {
            udp_bind,
            advertise,
            tcp_port,
            max_viewers,
            shards,
            remb,
            rtsp,
        })
        .map_err(to_py)?;
        Ok(Self { engine })
    }

    #[getter]
    fn udp_port(&self) -> u16 {
        self.engine.udp_port()
    }

    #[getter]
    fn rtsp_port(&self) -> Option<u16> {
        self.engine.rtsp_port()
    }

    #[getter]
    fn rtsps_port(&self) -> Option<u16> {
        self.engine.rtsps_port()
    }

    #[getter]
    fn event_fd(&self) -> RawFd {
        self.engine.events().raw_fd()
    }

    fn open_source(
        &self,
        stream_id: String,
        url: String,
        username: Option<String>,
        password: Option<String>,
    ) -> PyResult<()> {
        let request = SourceRequest {
            stream_id,
            url,
            username,
            password,
        };
        self.engine.open_source(request).map_err(to_py)
    }

    fn close_source(&self, stream_id: String) -> PyResult<()> {
        self.engine.close_source(stream_id).map_err(to_py)
    }

    fn open_viewer(
        &self,
        viewer_id: String,
        stream_id: String,
        channel_id: String,
        subject_id: String,
        offer_sdp: String,
        until: f64,
    ) -> PyResult<String> {
        let request = ViewerRequest {
            viewer_id,
            stream_id,
            channel_id,
            subject_id,
            offer_sdp,
            until: from_unix_s(until),
        };
        self.engine.open_viewer(request).map_err(to_py)
    }

    fn accept_rtsp(
        &self,
        connection_id: String,
        viewer_id: String,
        stream_id: String,
        channel_id: String,
        subject_id: String,
        until: f64,
    ) -> PyResult<()> {
        let request = RtspRequest {
            connection_id,
            viewer_id,
            stream_id,
            channel_id,
            subject_id,
            until: from_unix_s(until),
        };
        self.engine.accept_rtsp(request).map_err(to_py)
    }

    fn refuse_rtsp(&self, connection_id: String, status: u16, retry_after_s: u32) -> PyResult<()> {
        let refused = self
            .engine
            .refuse_rtsp(connection_id, status, retry_after_s);
        refused.map_err(to_py)
    }

    fn set_rtsp_identity(&self, certificate: &[u8], key: &[u8]) -> PyResult<()> {
        let identity = TlsIdentity::from_pem(certificate, key).map_err(bad_identity)?;
        self.engine.set_rtsp_identity(identity).map_err(to_py)
    }

    fn renew_viewers(&self, leases: Vec<(String, f64)>) -> PyResult<()> {
        let leases = leases
            .into_iter()
            .map(|(id, until)| (id, from_unix_s(until)))
            .collect();
        self.engine.renew_viewers(leases).map_err(to_py)
    }

    fn set_viewer_audio(&self, viewer_id: String, on: bool) -> PyResult<()> {
        self.engine.set_viewer_audio(viewer_id, on).map_err(to_py)
    }

    fn switch_viewer(&self, viewer_id: String, stream_id: String) -> PyResult<()> {
        self.engine
            .switch_viewer(viewer_id, stream_id)
            .map_err(to_py)
    }

    #[pyo3(signature = (viewer_ids, channel_id, subject_id, cause))]
    fn close_viewers(
        &self,
        viewer_ids: Option<Vec<String>>,
        channel_id: Option<String>,
        subject_id: Option<String>,
        cause: &str,
    ) -> PyResult<()> {
        let selects = [
            viewer_ids.map(Select::Ids),
            channel_id.map(Select::Channel),
            subject_id.map(Select::Subject),
        ];
        for select in selects.into_iter().flatten() {
            self.engine.close_viewers(select, cause).map_err(to_py)?;
        }
        Ok(())
    }

    /// Cameras over RTSP cannot be asked for a keyframe: nothing happens, and no error.
    #[pyo3(signature = (_stream_id))]
    fn request_keyframe(&self, _stream_id: &str) {}

    fn take_keyframe(&self, request_id: String, stream_id: String) -> PyResult<()> {
        self.engine
            .take_keyframe(request_id, stream_id)
            .map_err(to_py)
    }

    fn drain_events<'py>(
        &self,
        py: Python<'py>,
        max: usize,
    ) -> PyResult<Vec<(&'static str, String, Bound<'py, PyDict>)>> {
        self.engine
            .events()
            .drain(max)
            .into_iter()
            .map(|event| {
                let fields = PyDict::new(py);
                fields.set_item("at_ms", unix_ms(event.at))?;
                let kind = event_fields(py, event.body, &fields)?;
                Ok((kind, event.owner, fields))
            })
            .collect()
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let figures = self.engine.figures();
        let counters = PyDict::new(py);
        for (name, value) in figures.totals() {
            counters.set_item(name, value)?;
        }
        let row = PyDict::new(py);
        row.set_item("sources", figures.count_sources())?;
        row.set_item("viewers", figures.count_viewers())?;
        row.set_item("counters", counters)?;
        Ok(row)
    }

    #[pyo3(signature = (stream_ids=None))]
    fn source_stats<'py>(
        &self,
        py: Python<'py>,
        stream_ids: Option<Vec<String>>,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let rows = self.engine.figures().sources(stream_ids.as_deref());
        rows.into_iter()
            .map(|(id, figures)| {
                let row = PyDict::new(py);
                for (name, value) in figures.read() {
                    row.set_item(name, value)?;
                }
                row.set_item("cause", self.engine.figures().lost_cause(&id))?;
                row.set_item("stream_id", id)?;
                row.set_item("state", SourceState::name(figures.state.get()))?;
                row.set_item(
                    "transport",
                    ["tcp", "udp"][usize::from(figures.by_udp.get() != 0)],
                )?;
                row.set_item("codec", figures.codec().map(|codec| codec.name()))?;
                row.set_item("received_bytes", figures.bytes.get())?;
                row.set_item(
                    "last_packet_age_ms",
                    age_ms(figures.last_packet_unix_ms.get()),
                )?;
                Ok(row)
            })
            .collect()
    }

    #[pyo3(signature = (viewer_ids=None))]
    fn viewer_stats<'py>(
        &self,
        py: Python<'py>,
        viewer_ids: Option<Vec<String>>,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let rows = self.engine.figures().viewers(viewer_ids.as_deref());
        rows.into_iter()
            .map(|(id, viewer)| {
                let row = PyDict::new(py);
                viewer_fields(&viewer, &row)?;
                row.set_item("viewer_id", id)?;
                Ok(row)
            })
            .collect()
    }

    /// Says goodbye to every viewer and source and joins the threads; waits up to the deadline.
    fn shutdown(&self, py: Python<'_>, deadline_ms: u64) {
        py.detach(|| self.engine.shutdown(Duration::from_millis(deadline_ms)));
    }
}

fn viewer_fields(viewer: &ViewerRow, to: &Bound<'_, PyDict>) -> PyResult<()> {
    let figures = &viewer.figures;
    for (name, value) in figures.read() {
        to.set_item(name, value)?;
    }
    let transport = ViewerTransport::name(figures.transport.get());
    to.set_item("stream_id", viewer.stream_id())?;
    to.set_item("connected", figures.connected.get() != 0)?;
    to.set_item("transport", transport)?;
    to.set_item("sent_bytes", figures.bytes.get())?;
    to.set_item("dropped_units", figures.units_dropped.get())?;
    let last_packet_age_ms = age_ms(figures.last_sent_unix_ms.get());
    to.set_item("last_packet_age_ms", last_packet_age_ms)?;
    to.set_item("until", figures.until_unix_ms.get() as f64 / 1000.0)
}

fn event_fields(py: Python<'_>, body: EventBody, to: &Bound<'_, PyDict>) -> PyResult<&'static str> {
    let kind = match body {
        EventBody::Step { step } => {
            to.set_item("step", step)?;
            "step"
        }
        EventBody::SourceLive {
            codec,
            width,
            height,
            profile,
        } => {
            to.set_item("codec", codec)?;
            to.set_item("width", width)?;
            to.set_item("height", height)?;
            to.set_item("profile", profile)?;
            "source_live"
        }
        EventBody::SourceHasBSlices => "source_has_b_slices",
        EventBody::SourceLost {
            cause,
            retryable,
            detail,
        } => {
            to.set_item("cause", cause)?;
            to.set_item("retryable", retryable)?;
            to.set_item("detail", detail)?;
            "source_lost"
        }
        EventBody::ViewerConnected { srtp_cipher } => {
            to.set_item("srtp_cipher", srtp_cipher)?;
            "viewer_connected"
        }
        EventBody::RtspAsked { asked, remote } => {
            let ticket = &asked.ticket;
            to.set_item("channel_id", &asked.channel_id)?;
            to.set_item("profile", &asked.profile)?;
            to.set_item("subject_id", &ticket.subject_id)?;
            to.set_item("subject_version", ticket.subject_version)?;
            to.set_item("ticket_id", &ticket.ticket_id)?;
            to.set_item("expires", ticket.expires_unix_s)?;
            to.set_item("remote", remote.ip().to_string())?;
            "rtsp_asked"
        }
        EventBody::RtspTicketRefused { remote, cause } => {
            to.set_item("remote", remote.to_string())?;
            to.set_item("cause", cause)?;
            "rtsp_ticket_refused"
        }
        EventBody::ViewerSwitched { stream_id } => {
            to.set_item("stream_id", stream_id)?;
            "viewer_switched"
        }
        EventBody::SwitchRefused { stream_id, cause } => {
            to.set_item("stream_id", stream_id)?;
            to.set_item("cause", cause)?;
            "switch_refused"
        }
        EventBody::ViewerClosed { cause, row } => {
            viewer_fields(&row, to)?;
            to.set_item("cause", cause)?;
            "viewer_closed"
        }
        EventBody::ViewerLagging { dropped } => {
            to.set_item("dropped_units", dropped)?;
            "viewer_lagging"
        }
        EventBody::KeyframeTaken {
            request_id,
            codec,
            annexb,
            age_ms,
            width,
            height,
        } => {
            to.set_item("request_id", request_id)?;
            to.set_item("codec", codec)?;
            to.set_item("annexb", PyBytes::new(py, &annexb))?;
            to.set_item("age_ms", age_ms)?;
            to.set_item("width", width)?;
            to.set_item("height", height)?;
            "keyframe_taken"
        }
        EventBody::GsoRefused { detail } => {
            to.set_item("detail", detail)?;
            "gso_refused"
        }
        EventBody::WorkerFault { detail } => {
            to.set_item("detail", detail)?;
            "worker_fault"
        }
        EventBody::EventsLost { count } => {
            to.set_item("count", count)?;
            "events_lost"
        }
    };
    Ok(kind)
}

#[pymodule(gil_used = false)]
fn _core(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    let build_profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    m.add("build_profile", build_profile)?;
    m.add("MalformedOffer", m.py().get_type::<MalformedOffer>())?;
    m.add("NoCommonCodec", m.py().get_type::<NoCommonCodec>())?;
    m.add("OverCapacity", m.py().get_type::<OverCapacity>())?;
    m.add("CoreClosed", m.py().get_type::<CoreClosed>())?;
    m.add("BadIdentity", m.py().get_type::<BadIdentity>())?;
    m.add_class::<Core>()
}
