//! Sans-IO machines, one per stream: from a camera's RTP to access units, the GOP cache and ring,
//! and each subscriber's cursor and header rewriting. No sockets, clocks, threads or crypto.
#![forbid(unsafe_code)]
