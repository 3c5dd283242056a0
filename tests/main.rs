//! Process and golden tests.
