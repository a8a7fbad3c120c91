//! Devices of another machine, through Burn's remote backend over iroh: encrypted, and addressed by public key.

use std::net::TcpListener;

use burn::remote::{EndpointId, IrohHost, IrohRelays, RemoteHost};
use burn::server::{IrohIdentity, IrohTransport, RemoteServer, TokenAuthorizer};

use super::{Device, DeviceSpec};
use crate::error::{Error, Result};

const TOKEN: &str = "BERT_REMOTE_TOKEN";

fn token() -> Option<String> {
    std::env::var(TOKEN).ok().filter(|token| !token.is_empty())
}

/// Connects device `index` of the server at `address`.
pub(super) fn open(spec: &DeviceSpec, address: &str, index: usize) -> Result<Device> {
    let malformed = |reason: String| Error::DeviceNotFound {
        label: spec.to_string(),
        reason,
    };
    let (key, socket) = address
        .split_once('@')
        .ok_or_else(|| malformed("its address is not KEY@HOST:PORT".to_owned()))?;
    let key: EndpointId = key
        .parse()
        .map_err(|error| malformed(format!("`{key}` is no public key: {error}")))?;
    let socket = socket
        .parse()
        .map_err(|error| malformed(format!("`{socket}` is no address: {error}")))?;
    let mut host = RemoteHost::iroh(
        IrohHost::new(key)
            .with_relays(IrohRelays::Disabled)
            .with_address(socket),
    );
    if let Some(token) = token() {
        host = host.with_credential(token);
    }
    Device::remote_options(&host)
        .device_index(index)
        .init()
        .map_err(|error| Error::DeviceNotFound {
            label: spec.to_string(),
            reason: format!(
                "{error}: start `bert serve` on that machine, and set {TOKEN} here to what it is there"
            ),
        })
}

/// Serves `devices`, which must belong to one backend, on `listener` until the process is told to end (Ctrl-C, SIGTERM).
///
/// # Errors
/// [`Error::Io`] if the socket cannot be served on.
pub fn serve(devices: Vec<Device>, listener: TcpListener) -> Result<()> {
    let address = listener
        .local_addr()
        .map_or_else(|_| "socket".to_owned(), |a| a.to_string());
    let mut server = RemoteServer::new(devices);
    if let Some(token) = token() {
        let authorizer = TokenAuthorizer::new(token).expect("the token is not empty");
        server = server.with_authorizer(authorizer);
    }
    server
        .serve(
            IrohTransport::new(IrohIdentity::random())
                .with_relays(IrohRelays::Disabled)
                .with_port(listener.local_addr().map_or(0, |a| a.port())),
        )
        .map_err(|error| {
            Error::io(
                "serve on",
                address,
                std::io::Error::other(error.to_string()),
            )
        })
}
