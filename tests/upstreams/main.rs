//! Upstreams against a real broker and a real HTTP server, over a real store.

mod answers;
mod http;
mod mqtt;
mod outages;
mod stand;
mod stream;
