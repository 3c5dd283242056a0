//! The JSON Schema of the NDJSON records.

/// JSON Schema 2020-12 of one record; a run prints one record a line, the summary last.
pub const SCHEMA: &str = include_str!("schema.json");
