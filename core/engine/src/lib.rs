//! Shards: a thread, epoll, sockets and every system call. It drives the sans-IO machines of
//! `peer` and `fanout` and holds no protocol rule of its own.
//!
//! What does not belong here: parsing (that is `wire`), what one remote end remembers (`peer`),
//! what one stream remembers (`fanout`), and any policy (Python's control plane).
//! Who calls it: `core/py` alone, through [`Engine`].

pub mod command;
mod contract;
mod dial;
pub mod event;
mod guard;
mod handle;
mod mailbox;
mod mesh;
mod outbox;
mod shard;
mod slots;
mod source;
mod start;
pub mod stats;
mod stream;
mod sys;
mod tcp;
mod timers;
#[cfg(test)]
#[path = "../../peer/tests/support/tls.rs"]
mod tls_client;
mod udp_pair;
mod viewer;

pub use contract::{
    EngineConfig, EngineError, RtspConfig, RtspRequest, RtspTls, SourceRequest, ViewerRequest,
};
pub use handle::Engine;
pub use peer::tls::{IdentityError, TlsIdentity};
pub use wire::ticket::TicketKey;
