//! The iroh endpoints of both ends.

use std::time::Duration;

use iroh::endpoint::{Builder, PortmapperConfig, QuicTransportConfig, presets};
use iroh::{Endpoint, NetReportConfig, RelayMode};
use tokio::runtime::{Builder as RuntimeBuilder, Runtime};

/// Silence after which the other end is given up, while connecting and afterwards; a live one is heard every five seconds.
const SILENCE: Duration = Duration::from_secs(15);

/// An endpoint that talks to its peers and to nothing else: no relay, no look-up of addresses, no probe, and no request to
/// the router for an open port, which iroh makes by default.
pub(super) fn builder() -> Builder {
    let silence = SILENCE.try_into().expect("seconds are an idle timeout");
    let transport = QuicTransportConfig::builder()
        .max_idle_timeout(Some(silence))
        // As Burn's own endpoints have it, for n0-computer/iroh#4555.
        .enable_segmentation_offload(false)
        .build();
    Endpoint::builder(presets::Minimal)
        .relay_mode(RelayMode::Disabled)
        .portmapper_config(PortmapperConfig::Disabled)
        .net_report_config(NetReportConfig::minimal())
        .transport_config(transport)
}

/// A runtime for endpoints, with threads of its own: calls that wait for a device block their own thread.
pub(super) fn runtime() -> Runtime {
    RuntimeBuilder::new_multi_thread()
        .thread_name("remote")
        .enable_all()
        .build()
        .expect("the system has threads")
}
