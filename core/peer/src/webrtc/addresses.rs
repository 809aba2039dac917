//! Which addresses a viewer has proven, and which one is sent to (ICE-lite, RFC 8445 section 7.3).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// IPv4, IPv6, a VPN and NAT rebindings of each; beyond it the one longest unheard is forgotten.
pub const MAX_ADDRESSES: usize = 8;
/// Nothing is sent to an address this long after its last check (RFC 7675 section 5.1).
const ADDRESS_LIFETIME: Duration = Duration::from_secs(30);

/// A remote address, and which of our own it is reached from: a candidate pair (RFC 8445 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    pub remote: SocketAddr,
    /// None where the socket has one address.
    pub local: Option<IpAddr>,
}

impl From<SocketAddr> for Way {
    fn from(remote: SocketAddr) -> Self {
        let local = None;
        Self { remote, local }
    }
}

struct Entry {
    addr: SocketAddr,
    /// Which of ours its check came to: of the first one, then of the nominated one.
    local: Option<IpAddr>,
    last_check: Instant,
}

/// What a check has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// The address was not known before.
    pub(super) validated: bool,
    /// To make room for it, this one is no longer known.
    pub(super) forgotten: Option<SocketAddr>,
    /// Media goes elsewhere from now on.
    pub(super) moved: bool,
}

#[derive(Default)]
pub(super) struct AddressBook {
    entries: Vec<Entry>,
    selected: Option<SocketAddr>,
}

impl AddressBook {
    pub(super) fn contains(&self, addr: SocketAddr) -> bool {
        self.entries.iter().any(|entry| entry.addr == addr)
    }

    pub(super) fn selected(&self) -> Option<SocketAddr> {
        self.selected
    }

    pub(super) fn selected_way(&self) -> Option<Way> {
        let remote = self.selected?;
        let entry = self.entries.iter().find(|entry| entry.addr == remote)?;
        let local = entry.local;
        Some(Way { remote, local })
    }

    pub(super) fn all(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.entries.iter().map(|entry| entry.addr)
    }

    /// Records an authenticated check. The first address is selected until one is nominated; a
    /// nomination moves at once.
    pub(super) fn checked(&mut self, now: Instant, way: Way, nominated: bool) -> Change {
        let Way {
            remote: addr,
            local,
        } = way;
        let mut change = Change::default();
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.addr == addr) {
            entry.last_check = now;
            if nominated {
                entry.local = local;
            }
        } else {
            if self.entries.len() == MAX_ADDRESSES {
                change.forgotten = self.forget_one();
            }
            self.entries.push(Entry {
                addr,
                local,
                last_check: now,
            });
            change.validated = true;
        }
        if self.selected.is_none() || (nominated && self.selected != Some(addr)) {
            change.moved = self.selected.is_some();
            self.selected = Some(addr);
        }
        change
    }

    /// Forgets one address whose last check is too long ago.
    pub(super) fn expire_one(&mut self, now: Instant) -> Option<Change> {
        let expired = |entry: &Entry| now >= entry.last_check + ADDRESS_LIFETIME;
        let addr = self.entries.iter().find(|entry| expired(entry))?.addr;
        self.forget(addr)
    }

    /// Forgets an address. Where it was the selected one, the most recently checked takes over.
    pub(super) fn forget(&mut self, addr: SocketAddr) -> Option<Change> {
        let index = self.entries.iter().position(|entry| entry.addr == addr)?;
        self.entries.swap_remove(index);
        let mut change = Change {
            forgotten: Some(addr),
            ..Change::default()
        };
        if self.selected == Some(addr) {
            let newest = self.entries.iter().max_by_key(|entry| entry.last_check);
            self.selected = newest.map(|entry| entry.addr);
            change.moved = self.selected.is_some();
        }
        Some(change)
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let oldest = self.entries.iter().map(|entry| entry.last_check).min()?;
        Some(oldest + ADDRESS_LIFETIME)
    }

    /// The one longest unheard, but never the one that media goes to.
    fn forget_one(&mut self) -> Option<SocketAddr> {
        let selected = self.selected;
        let (index, _) = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| Some(entry.addr) != selected)
            .min_by_key(|(_, entry)| entry.last_check)?;
        Some(self.entries.swap_remove(index).addr)
    }
}
