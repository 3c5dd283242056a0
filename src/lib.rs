//! meshwhy: names why an Istio multicluster mesh fails, from its logs and its state.

pub mod causes;
pub mod cli;
pub mod engine;
pub mod outputs;
pub mod run;
