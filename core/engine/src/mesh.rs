//! What the shards of one engine know of each other: which one pulls a stream, which one has a
//! viewer. They share one UDP and one TCP port; what comes in for another is handed over.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use wire::stun;

use crate::command::Command;
use crate::mailbox::Mailbox;
use crate::tcp::StreamAddress;

/// A ufrag's first letter names its viewer's shard; RFC 8445 section 5.3 allows 64 letters.
const SHARD_LETTERS: &[u8; 64] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/";
pub const MAX_SHARDS: usize = SHARD_LETTERS.len();
/// A viewer goes to the shard that pulls its stream, unless that has so many more than the idlest:
/// handing a stream on costs a message for each access unit, less than one viewer's packets.
const SPREAD_VIEWERS: usize = 4;

/// What a ufrag of a viewer of shard `shard` begins with.
pub(crate) fn ufrag_prefix(shard: usize) -> &'static str {
    let letter = &SHARD_LETTERS[shard..=shard];
    std::str::from_utf8(letter).unwrap_or("0")
}

fn shard_of_ufrag(ufrag: &str) -> Option<usize> {
    let letter = *ufrag.as_bytes().first()?;
    SHARD_LETTERS.iter().position(|known| *known == letter)
}

/// The shard that pulls a stream: by its channel, so that main and sub share one (FNV-1a).
pub(crate) fn home_of(stream_id: &str, shards: usize) -> usize {
    let channel_id = stream_id.rsplit_once('/').map_or(stream_id, |(c, _)| c);
    let hash = channel_id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    // The low bits of FNV alone repeat for numbers that end alike.
    usize::try_from((hash >> 32 ^ hash) % shards as u64).unwrap_or(0)
}

/// Where a new viewer goes, by how many each shard has.
pub(crate) fn shard_for(home: usize, viewers: &[usize]) -> usize {
    let idlest = (0..viewers.len()).min_by_key(|shard| viewers[*shard]);
    match idlest {
        Some(idlest) if viewers[home] >= viewers[idlest].saturating_add(SPREAD_VIEWERS) => idlest,
        _ => home,
    }
}

/// One shard's view of all.
#[derive(Clone)]
pub(crate) struct Mesh {
    pub index: usize,
    mailboxes: Arc<[Mailbox]>,
    /// The shards of viewers by their validated UDP addresses: a datagram that is no check names
    /// nobody. Written when an address is validated.
    routes: Arc<RwLock<HashMap<SocketAddr, usize>>>,
}

impl Mesh {
    pub fn of(mailboxes: Vec<Mailbox>) -> Vec<Self> {
        let mailboxes: Arc<[Mailbox]> = mailboxes.into();
        let routes = Arc::default();
        let one = |index| Self {
            index,
            mailboxes: Arc::clone(&mailboxes),
            routes: Arc::clone(&routes),
        };
        (0..mailboxes.len()).map(one).collect()
    }

    pub fn mailboxes(&self) -> &[Mailbox] {
        &self.mailboxes
    }

    pub fn mine(&self) -> &Mailbox {
        &self.mailboxes[self.index]
    }

    /// Does this shard read the UDP socket? The others only send by it.
    pub fn reads(&self) -> bool {
        self.index == 0
    }

    pub fn home_of(&self, stream_id: &str) -> usize {
        home_of(stream_id, self.mailboxes.len())
    }

    /// False when it was not taken: the other shard is too busy or gone.
    pub fn send(&self, shard: usize, command: Command) -> bool {
        self.mailboxes[shard].hand_over(command)
    }

    /// The other shard that a check names, or that has validated the address.
    pub fn other_owner(&self, from: SocketAddr, datagram: &[u8]) -> Option<usize> {
        if self.mailboxes.len() == 1 {
            return None;
        }
        let named = stun::local_ufrag(datagram).and_then(shard_of_ufrag);
        let owner = named.or_else(|| {
            let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
            routes.get(&from).copied()
        })?;
        (owner != self.index && owner < self.mailboxes.len()).then_some(owner)
    }

    pub fn add_route(&self, address: SocketAddr) {
        self.change_routes(address, |routes| {
            routes.insert(address, self.index);
        });
    }

    pub fn remove_route(&self, address: SocketAddr) {
        self.change_routes(address, |routes| {
            if routes.get(&address) == Some(&self.index) {
                routes.remove(&address);
            }
        });
    }

    fn change_routes(
        &self,
        address: SocketAddr,
        change: impl FnOnce(&mut HashMap<SocketAddr, usize>),
    ) {
        // A connection belongs to one shard whole.
        if self.mailboxes.len() > 1 && !StreamAddress::is(&address) {
            change(&mut self.routes.write().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ufrag_names_its_shard() {
        for shard in 0..MAX_SHARDS {
            let ufrag = format!("{}abc", ufrag_prefix(shard));
            assert_eq!(shard_of_ufrag(&ufrag), Some(shard));
        }
        assert_eq!(shard_of_ufrag("=abc"), None);
        assert_eq!(shard_of_ufrag(""), None);
    }

    #[test]
    fn streams_of_a_channel_share_a_shard_and_channels_spread_evenly() {
        for shards in [1, 2, 3, 8] {
            let mut pulled = vec![0usize; shards];
            for channel in 0..3_000 {
                let home = home_of(&format!("ch_{channel:06}/main"), shards);
                assert_eq!(home, home_of(&format!("ch_{channel:06}/sub"), shards));
                pulled[home] += 1;
            }
            let mean = 3_000 / shards;
            assert!(
                pulled.iter().all(|n| n.abs_diff(mean) < mean / 5 + 1),
                "{pulled:?}"
            );
        }
    }

    #[test]
    fn viewers_stay_at_home_until_it_has_many_more_than_another() {
        assert_eq!(shard_for(1, &[0, 3, 1]), 1);
        assert_eq!(shard_for(1, &[0, 4, 1]), 0);
        assert_eq!(shard_for(0, &[9]), 0);
        let mut viewers = [0usize; 3];
        for _ in 0..100 {
            viewers[shard_for(2, &viewers)] += 1;
        }
        assert!(
            viewers.iter().all(|n| n.abs_diff(33) <= SPREAD_VIEWERS),
            "{viewers:?}"
        );
    }
}
