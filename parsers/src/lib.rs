//! Reads what an Istio mesh writes about itself into typed events. Pure: no clock, no files, no sockets.

#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod access;
pub mod admin;
pub mod agent;
pub mod cert;
pub mod cni;
pub mod command;
pub mod debug;
pub mod document;
pub mod dump;
pub mod envoy;
pub mod errors;
pub mod event;
pub mod frame;
pub mod hand;
pub mod header;
pub mod istiod;
pub mod kube;
pub mod objects;
pub mod origin;
pub mod scan;
pub mod signature;
pub mod sniff;
pub mod state;
pub mod table;
pub mod time;
pub mod transcript;
pub mod ztunnel;

mod about;
mod parse;

pub use about::{connection_things, request_things, way_to};
pub use parse::{parse, signatures, time_of};
