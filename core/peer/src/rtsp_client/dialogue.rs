//! Request by request: what is asked, and what an answer leads to.

use std::time::{Duration, Instant};

use wire::rtcp;
use wire::rtsp::{
    Methods, Request, Response, RtspIdHeader, RtspUrl, Transport, absolute_in, base_url, track_url,
    write_interleaved,
};
use wire::sdp::Sdp;

use super::auth::Attempts;
use super::client::{ClientEvent, Pending, Phase, RtspClient};
use super::failure::{Failure, FailureKind, Step};
use super::reception::Reception;
use super::track::{Track, choose};
use super::transcript::{TranscriptEntry, redact};
use super::udp::{MediaTransport, UdpPath};
use super::{MAX_KEEPALIVES, MAX_REDIRECTS, MAX_TRANSCRIPT, MAX_TRANSMITS, MIN_KEEPALIVE_INTERVAL};

/// Our name in receiver reports. It tells nothing about this machine.
const CNAME: &str = "streamhub";
/// What a camera may ask of us.
const OUR_METHODS: &str = "OPTIONS, ANNOUNCE, GET_PARAMETER, SET_PARAMETER, TEARDOWN";

impl RtspClient {
    /// Sends the request of a step and waits for its answer.
    pub(super) fn request(&mut self, now: Instant, step: Step, attempts: Attempts) {
        self.step = step;
        let control_url = self.track.as_ref().map(|track| track.control_url.clone());
        let request = match step {
            Step::Describe => {
                let request = Request::new("DESCRIBE", &self.target.to_string());
                request.header("Accept", "application/sdp")
            }
            Step::Setup if let Some((url, wanted)) = self.audio_setup() => {
                Request::new("SETUP", &url).header("Transport", &wanted.to_string())
            }
            Step::Setup => {
                let request = Request::new("SETUP", &control_url.unwrap_or_default());
                let by_udp = self.udp.as_deref().map(UdpPath::wanted);
                let wanted = by_udp.unwrap_or_else(|| Transport::tcp(0));
                request.header("Transport", &wanted.to_string())
            }
            Step::Play => {
                // Some firmwares do not start without a Range.
                Request::new("PLAY", &self.base).header("Range", "npt=0.000-")
            }
            _ => Request::new("OPTIONS", &self.target.to_string()),
        };
        let (cseq, credentialed) = self.send(request, true);
        self.pending = Some(Pending {
            cseq,
            deadline: now + self.config.request_deadline,
            attempts: Attempts {
                credentialed,
                ..attempts
            },
        });
    }

    /// Adds the fields every request has and queues it. Returns its CSeq and whether it carries
    /// credentials.
    fn send(&mut self, mut request: Request, must: bool) -> (u32, bool) {
        self.cseq = self.cseq.wrapping_add(1);
        let headers = &mut request.headers;
        headers.push("CSeq", &self.cseq.to_string());
        headers.push("User-Agent", &self.config.user_agent);
        if let Some(id) = &self.rtsp_session_id {
            headers.push("Session", id);
        }
        let authorization = self.auth.authorization(&request.method, &request.uri);
        if let Some(value) = &authorization {
            headers.push("Authorization", value);
        }
        let bytes = request.encode();
        self.note(true, &bytes);
        self.queue(bytes, must);
        (self.cseq, authorization.is_some())
    }

    fn queue(&mut self, bytes: Vec<u8>, must: bool) {
        if must || self.transmits.len() < MAX_TRANSMITS {
            self.transmits.push_back(bytes);
        } else {
            self.note_unsent();
        }
    }

    fn note(&mut self, sent: bool, bytes: &[u8]) {
        if self.config.transcript {
            if self.transcript.len() == MAX_TRANSCRIPT {
                self.transcript.pop_front();
            }
            let text = redact(bytes);
            self.transcript.push_back(TranscriptEntry { sent, text });
        }
    }

    pub(super) fn on_response(&mut self, now: Instant, response: Response) {
        if self.config.transcript {
            self.note(false, &response.encode());
        }
        // 1xx: the answer itself is still to come.
        if response.status < 200 {
            return;
        }
        let oldest = self.keepalives.front().map(|(cseq, _)| *cseq);
        let waiting = self.pending.as_ref().map(|pending| pending.cseq);
        // Without a CSeq, or with one that was never sent, it answers the oldest request.
        let spoken = response.headers.cseq();
        let spoken = spoken.filter(|cseq| (1..=self.cseq).contains(cseq));
        let cseq = spoken.or(oldest).or(waiting);
        if cseq.is_some() && cseq == waiting {
            if let Some(pending) = self.pending.take() {
                self.on_answer(now, response, pending.attempts);
            }
        } else if let Some(at) = self.keepalives.iter().position(|(c, _)| Some(*c) == cseq) {
            // Those before it will not be answered any more.
            let attempts = self.keepalives.drain(..=at).next_back().map(|(_, a)| a);
            self.on_keepalive_answer(now, &response, attempts.unwrap_or_default());
        } else {
            self.note_stray();
        }
    }

    fn on_answer(&mut self, now: Instant, response: Response, attempts: Attempts) {
        let step = self.step;
        match response.status {
            // Cameras that want no OPTIONS, or sign-in for it, are asked for what matters.
            _ if step == Step::Options && !(300..400).contains(&response.status) => {
                self.on_options(now, &response);
            }
            status if self.setting_up_audio && status != 401 => {
                self.on_audio_setup(now, &response);
            }
            200..=299 => {
                self.auth.on_success(attempts);
                let done = match step {
                    Step::Describe => self.on_describe(now, &response),
                    Step::Setup => self.on_setup(now, &response),
                    _ => {
                        self.start_playing(now);
                        Ok(())
                    }
                };
                if let Err(failure) = done {
                    self.fail(failure);
                }
            }
            300..=399 if step <= Step::Describe => {
                if let Err(failure) = self.on_redirect(now, &response) {
                    self.fail(failure);
                }
            }
            401 => match self.auth.on_unauthorized(&response, attempts) {
                Ok(attempts) => self.request(now, step, attempts),
                Err(detail) => self.fail(Failure {
                    status: Some(401),
                    ..Failure::new(FailureKind::AuthFailed, step, detail)
                }),
            },
            // 400 and 451: said by some of a Transport that they do not know.
            400 | 451 | 461 if step == Step::Setup && self.change_transport(now) => {}
            status => self.fail(Failure::from_status(status, &response.reason, step)),
        }
    }

    fn on_options(&mut self, now: Instant, response: &Response) {
        if response.is_success() {
            let public = response.headers.get("Public").unwrap_or_default();
            self.get_parameter = Methods::parse(public).contains("GET_PARAMETER");
        }
        self.events.push_back(ClientEvent::Step(Step::Options));
        self.request(now, Step::Describe, Attempts::default());
    }

    fn on_describe(&mut self, now: Instant, response: &Response) -> Result<(), Failure> {
        let bad = |detail: &str| Failure::new(FailureKind::BadResponse, Step::Describe, detail);
        let text = String::from_utf8_lossy(&response.body);
        let content_type = response.headers.get("Content-Type").unwrap_or_default();
        let named_sdp = content_type.to_ascii_lowercase().contains("sdp");
        if !named_sdp && !text.trim_start().starts_with("v=") {
            return Err(bad("the camera's answer is no stream description (SDP)"));
        }
        let sdp = Sdp::parse(&text).map_err(|error| bad(&error.to_string()))?;
        let mut track =
            choose(&sdp).map_err(|(kind, detail)| Failure::new(kind, Step::Describe, detail))?;
        let headers = &response.headers;
        self.base = base_url(
            &self.target,
            sdp.control(),
            headers.get("Content-Base"),
            headers.get("Content-Location"),
        );
        track.control_url = track_url(&self.target, &self.base, Some(&track.control_url));
        self.reception = Reception::new(track.clock_rate);
        self.track = Some(track);
        self.note_audio(&sdp);
        self.events.push_back(ClientEvent::Step(Step::Describe));
        self.set_up(now);
        Ok(())
    }

    fn on_setup(&mut self, now: Instant, response: &Response) -> Result<(), Failure> {
        if let Some(value) = response.headers.get("Session")
            && let Some(header) = RtspIdHeader::parse(value)
        {
            self.rtsp_session_id = Some(header.rtsp_session_id);
            let announced = header.timeout_s.filter(|timeout_s| *timeout_s > 0);
            self.timeout_s = announced.unwrap_or(RtspIdHeader::DEFAULT_TIMEOUT_S);
        }
        let transport = response.headers.get("Transport").and_then(Transport::parse);
        let transport = transport.unwrap_or_default();
        let unsupported =
            |detail: &str| Failure::new(FailureKind::UnsupportedTransport, Step::Setup, detail);
        if transport.is_interleaved() {
            self.transport = MediaTransport::Tcp;
            self.udp = None;
        } else if self.transport == MediaTransport::Tcp && transport.server_port.is_some() {
            // Some answer RTP/AVP to a request for TCP and send over TCP all the same; one that
            // names its UDP port means it, and lacks ours.
            if self.change_transport(now) {
                return Ok(());
            }
            let detail = "the camera answered with UDP where TCP was asked for";
            return Err(unsupported(detail));
        } else if self.transport == MediaTransport::Udp && transport.multicast {
            let detail = "the camera answered with multicast where unicast was asked for";
            return Err(unsupported(detail));
        }
        let channels = transport.interleaved.unwrap_or((0, 1));
        self.channels = Some(channels);
        if let Some(path) = &mut self.udp {
            path.set_answer(&transport);
            self.punch_holes();
        }
        if let Some(track) = &mut self.track {
            *track = Track {
                rtp_channel: channels.0,
                rtcp_channel: channels.1,
                ssrc: transport.ssrc,
                ..track.clone()
            };
            let tracks = vec![track.clone()];
            self.events.push_back(ClientEvent::Step(Step::Setup));
            self.events.push_back(ClientEvent::Tracks(tracks));
        }
        self.set_up_audio(now);
        Ok(())
    }

    fn on_redirect(&mut self, now: Instant, response: &Response) -> Result<(), Failure> {
        let failure = |kind, detail: &str| Failure {
            status: Some(response.status),
            ..Failure::new(kind, self.step, detail)
        };
        if self.redirects == MAX_REDIRECTS {
            let detail = "the camera sends us on and on";
            return Err(failure(FailureKind::TooManyRedirects, detail));
        }
        let location = response.headers.get("Location").unwrap_or_default();
        let absolute = match RtspUrl::parse(location) {
            Err(_) if location.starts_with('/') => absolute_in(&self.target, location),
            _ => location.to_owned(),
        };
        let mut target = RtspUrl::parse(&absolute).map_err(|error| {
            let detail = format!("the camera sends us to a bad address: {error}");
            failure(FailureKind::BadResponse, &detail)
        })?;
        target.userinfo = None;
        self.redirects += 1;
        let same_host = target.host.eq_ignore_ascii_case(&self.target.host);
        let same_port = target.port == self.target.port;
        *self.target = target;
        if same_host && same_port {
            self.request(now, Step::Describe, Attempts::default());
            return Ok(());
        }
        if !same_host {
            self.auth.forget();
        }
        self.leave_connection();
        self.phase = Phase::Dialling;
        self.step = Step::Dial;
        self.events.push_back(ClientEvent::Redial {
            host: self.target.host.clone(),
            port: self.target.port,
        });
        Ok(())
    }

    /// No answer within the deadline.
    pub(super) fn on_deadline(&mut self, now: Instant) {
        let kind = match self.step {
            Step::Options => FailureKind::OptionsTimeout,
            Step::Describe => FailureKind::DescribeTimeout,
            Step::Setup if self.setting_up_audio => return self.go_without_audio(now),
            Step::Setup => FailureKind::SetupTimeout,
            // It sends: that is answer enough.
            _ if self.has_media() => return self.start_playing(now),
            _ => FailureKind::PlayTimeout,
        };
        let seconds = self.config.request_deadline.as_secs();
        let detail = format!(
            "the camera did not answer {} within {seconds} s",
            self.step.code().to_ascii_uppercase()
        );
        self.fail(Failure::new(kind, self.step, detail));
    }

    pub(super) fn keepalive_interval(&self) -> Duration {
        let half = Duration::from_secs(u64::from(self.timeout_s)) / 2;
        let most = self.config.max_keepalive_interval;
        half.min(most).max(MIN_KEEPALIVE_INTERVAL)
    }

    /// Nobody waits for the answer: some cameras never give one.
    pub(super) fn send_keepalive(&mut self, now: Instant, attempts: Attempts) {
        self.keepalive_at = Some(now + self.keepalive_interval());
        let method = if self.get_parameter {
            "GET_PARAMETER"
        } else {
            "OPTIONS"
        };
        let (cseq, credentialed) = self.send(Request::new(method, &self.base), false);
        if self.keepalives.len() == MAX_KEEPALIVES {
            self.keepalives.pop_front();
        }
        let attempts = Attempts {
            credentialed,
            ..attempts
        };
        self.keepalives.push_back((cseq, attempts));
    }

    fn on_keepalive_answer(&mut self, now: Instant, response: &Response, attempts: Attempts) {
        match response.status {
            401 => {
                if let Ok(attempts) = self.auth.on_unauthorized(response, attempts) {
                    self.send_keepalive(now, attempts);
                }
            }
            454 => self.fail(Failure::from_status(454, &response.reason, self.step)),
            200..=299 => self.auth.on_success(attempts),
            // It lists GET_PARAMETER and does not know it.
            _ => self.get_parameter = false,
        }
    }

    pub(super) fn send_receiver_report(&mut self, now: Instant) {
        let Some((_, rtcp_channel)) = self.channels else {
            return;
        };
        let block = self.reception.report(now);
        let mut packet = Vec::new();
        rtcp::write_receiver_report(self.config.ssrc, block.as_slice(), CNAME, &mut packet);
        if self.transport == MediaTransport::Udp {
            return self.send_report_datagram(packet);
        }
        let mut bytes = Vec::with_capacity(packet.len() + 4);
        if write_interleaved(&mut bytes, rtcp_channel, &packet) {
            self.queue(bytes, false);
        }
    }

    /// Only where there is something to tear down.
    pub(super) fn send_teardown(&mut self) {
        if self.rtsp_session_id.is_some() {
            let request = Request::new("TEARDOWN", &self.base);
            self.send(request, true);
        }
    }

    /// Cameras ask too: they are answered, and believed in nothing but their goodbye.
    pub(super) fn on_request(&mut self, request: &Request) {
        self.note_camera_request();
        if self.config.transcript {
            self.note(false, &request.encode());
        }
        let mut response = match request.method.to_ascii_uppercase().as_str() {
            "OPTIONS" => Response::new(200).header("Public", OUR_METHODS),
            "ANNOUNCE" | "GET_PARAMETER" | "SET_PARAMETER" | "TEARDOWN" => Response::new(200),
            _ => Response::new(405).header("Allow", OUR_METHODS),
        };
        if let Some(cseq) = request.headers.get("CSeq") {
            response.headers.push("CSeq", cseq);
        }
        let bytes = response.encode();
        self.note(true, &bytes);
        self.queue(bytes, false);
        if request.method.eq_ignore_ascii_case("TEARDOWN") {
            let detail = "the camera ended the stream (TEARDOWN)";
            self.fail(Failure::new(FailureKind::ClosedByPeer, self.step, detail));
        }
    }
}
