//! Names to addresses, off the shards: a look-up may block for seconds and must stall nobody; and
//! which dial of a stream is the newest.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use crate::guard::{Seam, guarded};

/// Look-ups that wait for the one resolver thread. Cameras are mostly given by address; 1,024
/// names at once is a district that dials all it has.
const RESOLVER_QUEUE: usize = 1_024;

type Done = Box<dyn FnOnce(std::io::Result<SocketAddr>) + Send>;

struct Query {
    host: String,
    port: u16,
    done: Done,
}

/// Resolves in order of asking, on its own thread, which ends when this is dropped.
pub(crate) struct Resolver {
    queries: SyncSender<Query>,
}

impl Resolver {
    pub fn start() -> std::io::Result<Self> {
        let (queries, incoming) = sync_channel::<Query>(RESOLVER_QUEUE);
        std::thread::Builder::new()
            .name("sh-resolver".into())
            .spawn(move || serve(&incoming))?;
        Ok(Self { queries })
    }

    /// Calls `done` with the first address of `host`; at once when it is an address literal.
    pub fn resolve(
        &self,
        host: &str,
        port: u16,
        done: impl FnOnce(std::io::Result<SocketAddr>) + Send + 'static,
    ) {
        if let Ok(ip) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            return done(Ok(SocketAddr::new(ip, port)));
        }
        let query = Query {
            host: host.to_owned(),
            port,
            done: Box::new(done),
        };
        if let Err(TrySendError::Full(query) | TrySendError::Disconnected(query)) =
            self.queries.try_send(query)
        {
            (query.done)(Err(std::io::Error::other("too many name look-ups at once")));
        }
    }
}

fn serve(incoming: &Receiver<Query>) {
    while let Ok(query) = incoming.recv() {
        let found = (query.host.as_str(), query.port)
            .to_socket_addrs()
            .and_then(|mut all| {
                all.next()
                    .ok_or_else(|| std::io::Error::other("no address"))
            });
        // Whoever asked may fail at the answer; the others' look-ups go on.
        let _ = guarded(Seam::LookUp, || (query.done)(found));
    }
}

/// Which dial of a stream is the newest: a slow look-up must not reopen what was closed since.
#[derive(Debug, Default)]
pub(crate) struct Dials {
    newest: HashMap<String, u64>,
    /// Over all streams, so that a stream closed and opened again never meets an old number.
    begun: u64,
}

impl Dials {
    pub fn begin(&mut self, stream_id: &str) -> u64 {
        self.begun += 1;
        self.newest.insert(stream_id.to_owned(), self.begun);
        self.begun
    }

    pub fn is_newest(&self, stream_id: &str, dial: u64) -> bool {
        self.newest.get(stream_id) == Some(&dial)
    }

    pub fn forget(&mut self, stream_id: &str) {
        self.newest.remove(stream_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn literals_and_names_resolve_and_an_unknown_name_is_an_error() {
        let resolver = Resolver::start().unwrap();
        let ask = |host: &str| {
            let (tx, rx) = channel();
            resolver.resolve(host, 554, move |result| tx.send(result).unwrap());
            rx.recv().unwrap()
        };
        assert_eq!(ask("127.0.0.1").unwrap(), "127.0.0.1:554".parse().unwrap());
        assert_eq!(ask("[::1]").unwrap(), "[::1]:554".parse().unwrap());
        assert!(ask("localhost").unwrap().ip().is_loopback());
        assert!(ask("no-such-host.invalid").is_err());
    }

    #[test]
    fn a_look_up_from_before_a_close_is_not_the_newest_dial_after_it() {
        let mut dials = Dials::default();
        let slow = dials.begin("a");
        assert!(dials.is_newest("a", slow));
        dials.forget("a");
        assert!(!dials.is_newest("a", slow));
        let again = dials.begin("a");
        assert!(!dials.is_newest("a", slow) && dials.is_newest("a", again));
        let other = dials.begin("b");
        assert!(dials.is_newest("a", again) && dials.is_newest("b", other));
    }
}
