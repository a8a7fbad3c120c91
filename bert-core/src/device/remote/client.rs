//! Opening a device of a worker.

use std::net::ToSocketAddrs;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use burn::remote::{ConnectError, EndpointId, IrohHost, RemoteHost};
use iroh::Endpoint;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::lost::opened;
use super::{RemoteError, RemoteToken, WorkerAddress, endpoint};
use crate::device::{Device, DeviceSpec};

/// Time that workers get to hear of the end.
const FAREWELL: Duration = Duration::from_millis(300);

/// Opens device `index` of the worker at `address`, for the label `spec`.
pub(in crate::device) fn open(
    spec: &DeviceSpec,
    address: &WorkerAddress,
    index: usize,
) -> Result<Device, RemoteError> {
    let label = || spec.to_string();
    let key: EndpointId = address
        .key
        .parse()
        .map_err(|_| RemoteError::Key { label: label() })?;
    // Every address of the name: the worker may listen on one of them alone.
    let sockets = (address.host.as_str(), address.port)
        .to_socket_addrs()
        .map_err(|source| RemoteError::UnknownHost {
            label: label(),
            host: address.host.clone(),
            source,
        })?;
    let own_end = own_end().map_err(|source| RemoteError::NoSocket {
        label: label(),
        source,
    })?;
    let host = sockets.fold(
        IrohHost::new(key).with_endpoint(own_end),
        IrohHost::with_address,
    );
    let token = RemoteToken::of_process()?;
    let mut host = RemoteHost::iroh(host);
    if let Some(token) = &token {
        host = host.with_credential(token.secret());
    }
    Device::remote_options(&host)
        .device_index(index)
        .init()
        .inspect(|_| opened(label()))
        .map_err(|error| refusal(error, label(), token.is_some()))
}

fn refusal(error: ConnectError, label: String, has_token: bool) -> RemoteError {
    match error {
        ConnectError::Unauthorized if has_token => RemoteError::WrongToken { label },
        ConnectError::Unauthorized => RemoteError::MissingToken { label },
        ConnectError::NoSuchDevice { device_count } => RemoteError::NoSuchDevice {
            label,
            count: device_count,
        },
        ConnectError::IncompatibleProtocol {
            client_version,
            server_version,
        } => RemoteError::Protocol {
            label,
            client: client_version,
            worker: server_version,
        },
        ConnectError::Handshake { .. } => RemoteError::Handshake {
            label,
            source: error.into(),
        },
        // Burn's text speaks of relays, which are not used.
        ConnectError::Unreachable { reason } if reason.starts_with("timed out") => {
            RemoteError::Unreachable {
                label,
                source: "nothing came back for 15 seconds".into(),
            }
        }
        other => RemoteError::Unreachable {
            label,
            source: other.into(),
        },
    }
}

// Sessions live on them for the rest of the process.
static RUNTIME: OnceLock<Runtime> = OnceLock::new();
static ENDPOINT: Mutex<Option<Endpoint>> = Mutex::new(None);

/// The endpoint that this process reaches all workers from, under a key of the moment.
fn own_end() -> Result<Endpoint, Box<dyn std::error::Error + Send + Sync>> {
    let mut endpoint = ENDPOINT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(endpoint) = &*endpoint {
        return Ok(endpoint.clone());
    }
    let runtime = RUNTIME.get_or_init(endpoint::runtime);
    let bound = runtime.block_on(endpoint::builder().bind())?;
    *endpoint = Some(bound.clone());
    Ok(bound)
}

/// Ends the sessions of this process, so that workers free the memory at once and not after a silence. Remote devices are of
/// no use afterwards.
pub fn close_remote_devices() {
    let mut endpoint = ENDPOINT.lock().unwrap_or_else(PoisonError::into_inner);
    if let (Some(endpoint), Some(runtime)) = (endpoint.take(), RUNTIME.get()) {
        // A worker that is gone does not answer.
        let _ = runtime.block_on(async { timeout(FAREWELL, endpoint.close()).await });
    }
}
