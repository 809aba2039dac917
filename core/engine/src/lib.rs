//! Shards: a thread, epoll, sockets and every system call.
