//! A worker: devices of this machine for programs on others.

use std::fs::{self, File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use burn::server::{
    AllowAll, AuthorizationRequest, BURN_REMOTE_ALPN, IrohIdentity, PeerAuthorizer, RemoteServer,
    ServeError, TokenAuthorizer,
};
use iroh::SecretKey;
use iroh::protocol::Router;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::token::open_to_others;
use super::{RemoteError, RemoteToken, WorkerAddress, endpoint};
use crate::device::{Device, DeviceSpec};
use crate::files::cache_dir;

/// Time between two looks at whether the worker is to end.
const TICK: Duration = Duration::from_millis(100);
/// Time that clients get to hear of the worker's end.
const FAREWELL: Duration = Duration::from_secs(3);

/// A worker's address, key and token.
pub struct WorkerOptions {
    /// Address and UDP port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// File with the secret key, made where there is none. The public key, and so every label, is the same as long as the
    /// file is.
    pub key_file: PathBuf,
    /// Secret that clients must present. Without one the worker listens on loopback alone.
    pub token: Option<RemoteToken>,
    /// Receives what happens to clients.
    pub observer: Arc<dyn Fn(WorkerEvent) + Send + Sync>,
}

/// A client that asks for a device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerEvent {
    /// A session on the device of this number.
    Admitted {
        /// The client as its transport identifies it.
        client: String,
        /// Number of the device.
        device: u32,
    },
    /// A client without the right token.
    Refused {
        /// The client as its transport identifies it.
        client: String,
    },
}

/// A file in the cache directory where [`WorkerOptions::key_file`] is not given; `None` without a home directory.
pub fn default_key_file() -> Option<PathBuf> {
    Some(cache_dir()?.join("worker.key"))
}

/// A worker that listens, from [`start`](Self::start) until [`run_until`](Self::run_until) returns.
pub struct Worker {
    address: WorkerAddress,
    router: Router,
    runtime: Runtime,
    // Locked: a key is one worker's, by which clients tell workers apart.
    _key: File,
}

impl Worker {
    /// Starts to offer `devices`, which must belong to one backend; clients number them in their order.
    ///
    /// # Errors
    ///
    /// [`RemoteError::OpenWorker`] without a token on an address that is not loopback. [`RemoteError::KeyFile`],
    /// [`RemoteError::Listen`] and [`RemoteError::Devices`] where key, address or devices do not serve.
    pub fn start(devices: Vec<Device>, options: WorkerOptions) -> Result<Self, RemoteError> {
        let listen = options.listen;
        if options.token.is_none() && !listen.ip().is_loopback() {
            return Err(RemoteError::OpenWorker { listen });
        }
        let (secret, key) = secret_key(&options.key_file)?;
        let runtime = endpoint::runtime();
        let unbound = |source| RemoteError::Listen { listen, source };
        let endpoint = runtime
            .block_on(async {
                endpoint::builder()
                    .secret_key(secret)
                    .clear_ip_transports()
                    .bind_addr(listen)?
                    .bind()
                    .await
                    .map_err(Box::<dyn std::error::Error + Send + Sync>::from)
            })
            .map_err(unbound)?;
        let port = endpoint
            .bound_sockets()
            .first()
            .map_or(listen.port(), SocketAddr::port);
        let host = match listen.ip() {
            ip if ip.is_unspecified() => endpoint
                .addr()
                .ip_addrs()
                .map(SocketAddr::ip)
                .find(|found| found.is_ipv4() == ip.is_ipv4() && !found.is_loopback())
                .unwrap_or(ip),
            ip => ip,
        };
        let address = WorkerAddress {
            key: endpoint.id().to_string(),
            host: host.to_string(),
            port,
        };
        // Handler and router start tasks.
        let entered = runtime.enter();
        let protocol = RemoteServer::new(devices)
            .with_authorizer(authorizer(options.token.as_ref(), options.observer))
            .into_protocol(&endpoint)
            .map_err(unserved)?;
        let router = Router::builder(endpoint)
            .accept(BURN_REMOTE_ALPN, protocol)
            .spawn();
        drop(entered);
        Ok(Self {
            address,
            router,
            runtime,
            _key: key,
        })
    }

    /// The address that clients reach it at. Where it listens on all addresses, one of this machine's own stands for them.
    pub fn address(&self) -> &WorkerAddress {
        &self.address
    }

    /// The label of device `index` for clients.
    pub fn label(&self, index: usize) -> DeviceSpec {
        DeviceSpec::Remote {
            worker: self.address.clone(),
            index,
        }
    }

    /// Works until `stopped` returns true, and then takes leave of its clients.
    ///
    /// # Errors
    ///
    /// [`RemoteError::Closed`] if the network fails for good.
    pub fn run_until(self, stopped: impl Fn() -> bool) -> Result<(), RemoteError> {
        let endpoint = self.router.endpoint().clone();
        let closed = self.runtime.block_on(async {
            while !stopped() {
                if timeout(TICK, endpoint.closed()).await.is_ok() {
                    return true;
                }
            }
            // What does not end in time ends with the process.
            let _ = timeout(FAREWELL, self.router.shutdown()).await;
            false
        });
        // A session in the midst of an operation would be waited for.
        self.runtime.shutdown_background();
        match closed {
            true => Err(RemoteError::Closed),
            false => Ok(()),
        }
    }
}

/// Lets in clients with `token`, or all without one, and reports each to `observer`.
fn authorizer(
    token: Option<&RemoteToken>,
    observer: Arc<dyn Fn(WorkerEvent) + Send + Sync>,
) -> impl PeerAuthorizer {
    let authorizer: Box<dyn PeerAuthorizer> = match token {
        Some(token) => {
            Box::new(TokenAuthorizer::new(token.secret()).expect("a token is not empty"))
        }
        None => Box::new(AllowAll),
    };
    move |request: AuthorizationRequest<'_>| {
        let (client, device) = (request.client.to_string(), request.device_index);
        let admitted = authorizer.authorize(request);
        observer(match admitted {
            Ok(()) => WorkerEvent::Admitted { client, device },
            Err(_) => WorkerEvent::Refused { client },
        });
        admitted
    }
}

/// The secret key in the file at `path`, made there if need be, and the file, locked.
fn secret_key(path: &Path) -> Result<(SecretKey, File), RemoteError> {
    let refused = |reason: String| RemoteError::KeyFile {
        path: path.to_owned(),
        reason,
    };
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(|error| {
            refused(format!(
                "its directory cannot be made ({error}): name another file with --key-file"
            ))
        })?;
    }
    let identity = IrohIdentity::load_or_create(path).map_err(|error| {
        refused(format!(
            "{error}: name another file with --key-file, or remove it for a new key"
        ))
    })?;
    let file = File::open(path).map_err(|error| refused(error.to_string()))?;
    if let Some(mode) = open_to_others(&file) {
        return Err(refused(format!(
            "others can read it (mode {mode:04o}) and pose as this worker: remove it for a new key"
        )));
    }
    match file.try_lock() {
        Ok(()) => Ok((SecretKey::from_bytes(&identity.to_bytes()), file)),
        Err(TryLockError::WouldBlock) => Err(refused(
            "another worker runs with it: give each its own with --key-file".to_owned(),
        )),
        // A file system without locks.
        Err(TryLockError::Error(_)) => Ok((SecretKey::from_bytes(&identity.to_bytes()), file)),
    }
}

fn unserved(error: ServeError) -> RemoteError {
    let reason = match error {
        ServeError::MixedBackends => {
            "they belong to several backends: start a worker for each, with its own --listen and --key-file".to_owned()
        }
        ServeError::UnsupportedDevice { reason } => {
            format!("{reason}: offer flex, ndarray, wgpu, cuda, rocm or cpu")
        }
        other => other.to_string(),
    };
    RemoteError::Devices { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(listen: &str, key_file: PathBuf) -> WorkerOptions {
        WorkerOptions {
            listen: listen.parse().unwrap(),
            key_file,
            token: None,
            observer: Arc::new(|_| {}),
        }
    }

    fn devices() -> Vec<Device> {
        vec![crate::device::test_devices().swap_remove(0).1]
    }

    #[test]
    fn without_a_token_loopback_alone_is_listened_on() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.7:3000"] {
            let error = Worker::start(devices(), options(listen, key.clone()))
                .err()
                .unwrap();
            assert!(matches!(error, RemoteError::OpenWorker { .. }), "{error}");
            assert!(error.to_string().contains("--token-file"), "{error}");
        }
        assert!(!key.exists());
        Worker::start(devices(), options("127.0.0.1:0", key)).unwrap();
    }

    #[test]
    fn a_key_outlives_its_worker_and_belongs_to_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("cache/key");
        let first = Worker::start(devices(), options("127.0.0.1:0", key.clone())).unwrap();
        let id = first.address().key.clone();
        let error = Worker::start(devices(), options("127.0.0.1:0", key.clone()))
            .err()
            .unwrap();
        assert!(matches!(error, RemoteError::KeyFile { .. }), "{error}");
        assert!(error.to_string().contains("--key-file"), "{error}");
        first.run_until(|| true).unwrap();
        let second = Worker::start(devices(), options("127.0.0.1:0", key.clone())).unwrap();
        assert_eq!(second.address().key, id);
        second.run_until(|| true).unwrap();

        fs::write(&key, "short").unwrap();
        let error = Worker::start(devices(), options("127.0.0.1:0", key))
            .err()
            .unwrap();
        assert!(error.to_string().contains("32-byte"), "{error}");
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let listen = taken.local_addr().unwrap().to_string();
        let dir = tempfile::tempdir().unwrap();
        let error = Worker::start(devices(), options(&listen, dir.path().join("key")))
            .err()
            .unwrap();
        assert!(matches!(error, RemoteError::Listen { .. }), "{error}");
        assert!(error.to_string().contains(&listen), "{error}");
    }
}
