//! Runs of pretraining, on every device.

#[path = "../common/mod.rs"]
mod common;
mod curves;
mod devices;
mod families;
mod replaced_tokens;
mod resume;
