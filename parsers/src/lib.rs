//! Reads what an Istio mesh writes about itself into typed events. Pure: no clock, no files, no sockets.

#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

mod about;
pub mod access;
pub mod errors;
pub mod event;
pub mod frame;
pub mod origin;
mod parse;
pub mod signature;
pub mod state;
pub mod time;
pub mod ztunnel;

pub use about::{connection_things, request_things};
pub use parse::{parse, signatures};
