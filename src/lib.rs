//! meshwhy: names why an Istio multicluster mesh fails, from its logs and its state.

pub mod cli;
pub mod config;
pub mod doctor;
pub mod explain;
pub mod run;
pub mod sink;

pub mod inputs;

pub mod redact;

pub mod signatures;

pub mod engine;

pub mod causes;

pub mod checks;

pub mod trace;

pub mod outputs;
