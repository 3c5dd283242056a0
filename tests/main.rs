//! Process, golden and repository tests: one binary, because linking is what costs.

mod asked;
mod bundle;
mod cli;
mod common;
mod deploy;
mod direct;
mod doctor;
mod documents;
mod envoy;
mod gentle;
mod golden;
mod inputs;
mod invariants;
mod kubectl;
mod live;
mod live_causes;
mod live_faults;
mod live_pipes;
mod live_samples;
mod repaired;
mod schema;
mod secrets;
mod tape;
mod tidy;
mod xds;
mod xds_server;
