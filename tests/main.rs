//! Process, golden and repository tests: one binary, because linking is what costs.

mod cli;
mod common;
mod golden;
mod invariants;
mod schema;
mod tidy;
//! Process and golden tests.

mod inputs;
