//! WHEP's HTTP side: a few threads that post offers and delete views, and tell the driver.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};

use crate::sys::unix_ns;

/// Requests under way at once: above what one core of a Python service answers in parallel.
const THREADS: usize = 16;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// No answer is longer.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

enum Job {
    Post {
        index: usize,
        url: String,
        offer: String,
    },
    Delete {
        url: String,
    },
}

/// What became of a viewer's POST.
pub struct Posted {
    pub index: usize,
    /// Just before the request was written, in [`unix_ns`].
    pub posted_ns: u64,
    pub answered_ns: u64,
    /// The answer's SDP, and the view's URL when the server gave one.
    pub answer: Result<(String, Option<String>), String>,
}

pub struct Signalling {
    jobs: Option<Sender<Job>>,
    pub results: Receiver<Posted>,
    /// Readable when a result waits.
    pub ready: Arc<OwnedFd>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Signalling {
    /// # Errors
    /// The kernel's.
    pub fn start(token: Option<&str>) -> io::Result<Self> {
        let ready = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        let (done, results) = channel();
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(ANSWER_TIMEOUT))
            .http_status_as_error(false)
            .max_idle_connections(THREADS)
            .max_idle_connections_per_host(THREADS)
            .build();
        let agent = ureq::Agent::new_with_config(config);
        let threads = (0..THREADS).map(|_| {
            let worker = Worker {
                agent: agent.clone(),
                authorization: token.map(|token| format!("Bearer {token}")),
                queue: queue.clone(),
                done: done.clone(),
                ready: ready.clone(),
            };
            std::thread::Builder::new()
                .name("signalling".to_owned())
                .spawn(move || worker.run())
        });
        Ok(Self {
            threads: threads.collect::<io::Result<_>>()?,
            jobs: Some(jobs),
            results,
            ready,
        })
    }

    pub fn post(&self, index: usize, url: &str, offer: String) {
        self.send(Job::Post {
            index,
            url: url.to_owned(),
            offer,
        });
    }

    pub fn delete(&self, url: String) {
        self.send(Job::Delete { url });
    }

    /// Waits until all that was asked is done.
    pub fn finish(mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing to hand over.
            let _ = thread.join();
        }
    }

    fn send(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // Workers only leave when the sender is dropped.
            let _ = jobs.send(job);
        }
    }
}

struct Worker {
    agent: ureq::Agent,
    authorization: Option<String>,
    queue: Arc<Mutex<Receiver<Job>>>,
    done: Sender<Posted>,
    ready: Arc<OwnedFd>,
}

impl Worker {
    fn run(self) {
        loop {
            let job = {
                let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                queue.recv()
            };
            match job {
                Ok(Job::Post { index, url, offer }) => {
                    let posted_ns = unix_ns();
                    let answer = self.post(&url, &offer);
                    let posted = Posted {
                        index,
                        posted_ns,
                        answered_ns: unix_ns(),
                        answer,
                    };
                    // The driver may have given up.
                    let _ = self.done.send(posted);
                    let _ = rustix::io::write(&self.ready, &1u64.to_ne_bytes());
                }
                Ok(Job::Delete { url }) => {
                    let mut request = self.agent.delete(&url);
                    if let Some(value) = &self.authorization {
                        request = request.header("Authorization", value);
                    }
                    // Gone already is as good.
                    let _ = request.call();
                }
                Err(_) => return,
            }
        }
    }

    fn post(&self, url: &str, offer: &str) -> Result<(String, Option<String>), String> {
        let mut request = self.agent.post(url).content_type("application/sdp");
        if let Some(value) = &self.authorization {
            request = request.header("Authorization", value);
        }
        let mut response = request
            .send(offer)
            .map_err(|error| format!("POST failed: {error}"))?;
        let status = response.status().as_u16();
        let location = response
            .headers()
            .get("location")
            .and_then(|value| value.to_str().ok())
            .map(|location| resolve(url, location));
        let body = response
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER_BYTES)
            .read_to_string()
            .map_err(|error| format!("the answer can't be read: {error}"))?;
        if status == 201 || status == 200 {
            Ok((body, location))
        } else {
            let first = body.lines().next().unwrap_or_default();
            Err(format!("POST was answered {status}: {first:.200}"))
        }
    }
}

/// A Location may be absolute, or a path on the server that was asked.
fn resolve(url: &str, location: &str) -> String {
    if !location.starts_with('/') {
        return location.to_owned();
    }
    let host_at = url.find("://").map_or(0, |at| at + 3);
    let path_at = url[host_at..]
        .find('/')
        .map_or(url.len(), |at| host_at + at);
    format!("{}{location}", &url[..path_at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// Answers one request after the other with `answers`; gives what was asked.
    fn serve(answers: &'static [&'static str]) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/whep", listener.local_addr().unwrap());
        let served = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut text = Vec::new();
                let mut byte = [0; 1];
                while !text.ends_with(b"\r\n\r\n") {
                    stream.read_exact(&mut byte).unwrap();
                    text.push(byte[0]);
                }
                let head = String::from_utf8(text).unwrap().to_lowercase();
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "));
                let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
                stream.read_exact(&mut body).unwrap();
                asked.push(head + &String::from_utf8(body).unwrap());
                stream.write_all(answer.as_bytes()).unwrap();
            }
            asked
        });
        (url, served)
    }

    fn posted(signalling: &Signalling, url: &str) -> Posted {
        signalling.post(3, url, "the offer".to_owned());
        signalling.results.recv_timeout(ANSWER_TIMEOUT).unwrap()
    }

    #[test]
    fn offers_are_posted_answers_come_back_and_views_are_deleted() {
        let (url, served) = serve(&[
            "HTTP/1.1 201 Created\r\nLocation: /whep/v1\r\nContent-Length: 3\r\nConnection: close\r\n\r\nsdp",
            "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nConnection: close\r\n\r\nnot\nthere",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ]);
        let signalling = Signalling::start(Some("a token")).unwrap();
        let first = posted(&signalling, &url);
        assert!(0 < first.posted_ns && first.posted_ns <= first.answered_ns);
        let location = url.clone() + "/v1";
        assert_eq!(first.index, 3);
        assert_eq!(first.answer, Ok(("sdp".to_owned(), Some(location.clone()))));
        let refused = posted(&signalling, &url).answer.unwrap_err();
        assert_eq!(refused, "POST was answered 404: not");
        signalling.delete(location);
        signalling.finish();
        let asked = served.join().unwrap();
        assert!(asked[0].starts_with("post /whep ") && asked[0].ends_with("the offer"));
        assert!(asked[0].contains("content-type: application/sdp"));
        assert!(asked[2].starts_with("delete /whep/v1 "));
        assert!(
            asked
                .iter()
                .all(|head| head.contains("authorization: bearer a token"))
        );
    }

    #[test]
    fn nobody_there_is_an_error() {
        let gone = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let signalling = Signalling::start(None).unwrap();
        let answer = posted(&signalling, &format!("http://{gone}/whep")).answer;
        assert!(answer.unwrap_err().starts_with("POST failed"));
        signalling.finish();
    }

    #[test]
    fn a_path_is_resolved_on_the_server_that_was_asked() {
        let url = "http://127.0.0.1:80/whep/a?profile=main";
        assert_eq!(resolve(url, "/whep/a/1"), "http://127.0.0.1:80/whep/a/1");
        assert_eq!(resolve("http://h", "/x"), "http://h/x");
        assert_eq!(resolve(url, "http://o/x"), "http://o/x");
    }
}
