//! Failures between a worker and its clients.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A fault of a remote device, of a worker or of what they share.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// A key with 64 digits that no worker can have.
    #[error(
        "device `{label}`: its key is no public key: copy the label that `bert worker` prints when it starts"
    )]
    Key {
        /// The device.
        label: String,
    },
    /// A host without an address.
    #[error(
        "device `{label}`: the host {host} has no address: correct its name, or give its address"
    )]
    UnknownHost {
        /// The device.
        label: String,
        /// The host name.
        host: String,
        /// The resolver's reason.
        source: io::Error,
    },
    /// A worker that does not answer.
    #[error(
        "device `{label}`: no worker with this key answers: check that `bert worker` runs there and prints this label, that \
         its --listen address can be reached from here, and that firewalls let its UDP port through"
    )]
    Unreachable {
        /// The device.
        label: String,
        /// Outcome of the attempt.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A worker with another token.
    #[error(
        "device `{label}`: the worker refuses the token: give the one that it was started with (--token-file, or the \
         environment variable BERT_REMOTE_TOKEN_FILE)"
    )]
    WrongToken {
        /// The device.
        label: String,
    },
    /// A worker that demands a token where none was given.
    #[error(
        "device `{label}`: the worker demands a token: name the file with it (--token-file, or the environment variable \
         BERT_REMOTE_TOKEN_FILE)"
    )]
    MissingToken {
        /// The device.
        label: String,
    },
    /// A device number that the worker does not have.
    #[error(
        "device `{label}`: the worker offers no such device: it has {count}, numbered from 0 in the order of its --device"
    )]
    NoSuchDevice {
        /// The device.
        label: String,
        /// Number of devices that the worker offers.
        count: usize,
    },
    /// A worker of another release of Burn.
    #[error(
        "device `{label}`: the worker speaks version {worker} of Burn's protocol, this program version {client}: run one \
         release of bert on both machines"
    )]
    Protocol {
        /// The device.
        label: String,
        /// This program's version.
        client: u16,
        /// The worker's version.
        worker: u16,
    },
    /// A session that ended before it began.
    #[error(
        "device `{label}`: the worker broke off: run one release of bert on both machines, and look what the worker says"
    )]
    Handshake {
        /// The device.
        label: String,
        /// Outcome of the attempt.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No socket for the client's end.
    #[error(
        "device `{label}`: no UDP socket can be opened on this machine: allow this program the network"
    )]
    NoSocket {
        /// The device.
        label: String,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file that holds no usable token.
    #[error("token file {path}: {reason}", path = path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// Fault and remedy.
        reason: String,
    },
    /// A worker that anybody on the network could use.
    #[error(
        "a worker without a token listens on loopback alone, and {listen} is reached from other machines: give it a token \
         with --token-file, or listen on 127.0.0.1:{port}", port = listen.port()
    )]
    OpenWorker {
        /// The address that it was to listen on.
        listen: SocketAddr,
    },
    /// An address that a worker cannot listen on.
    #[error(
        "the worker cannot listen on {listen}: take a free UDP port and an address of this machine"
    )]
    Listen {
        /// The address that it was to listen on.
        listen: SocketAddr,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A key file that cannot be read or made.
    #[error("key file {path}: {reason}", path = path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Fault and remedy.
        reason: String,
    },
    /// Devices that cannot be offered.
    #[error("a worker cannot offer these devices: {reason}")]
    Devices {
        /// Lack and remedy.
        reason: String,
    },
    /// A worker whose network failed while it was at work.
    #[error("the worker's network endpoint closed: start it again")]
    Closed,
}
