//! Devices of other machines, which a worker there offers: Burn's remote backend over iroh, encrypted and addressed by
//! public key.
//!
//! Both ends bind endpoints of their own that use no relay, look nothing up and ask no router for an open port, so that all
//! traffic is between the two machines.

mod address;
mod lost;
mod token;

#[cfg(feature = "remote")]
mod client;
#[cfg(feature = "remote")]
mod endpoint;
#[cfg(feature = "remote")]
mod worker;

pub use crate::error::RemoteError;
pub use address::WorkerAddress;
pub use lost::lost_session;
pub use token::{RemoteToken, remote_token_environment, set_remote_token_file};

#[cfg(feature = "remote")]
pub use client::close_remote_devices;
#[cfg(feature = "remote")]
pub(super) use client::open;
#[cfg(feature = "remote")]
pub use worker::{Worker, WorkerEvent, WorkerOptions, default_key_file};
