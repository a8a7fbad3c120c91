//! `bert worker` and devices of other machines, as a shell sees them: each test has a worker of its own on this machine.

#![cfg(feature = "remote")]

mod refusals;
mod training;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;

use serde_json::Value;
use tempfile::TempDir;

fn bert(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bert"));
    command
        .args(arguments)
        .env_remove("BERT_DEVICE")
        .env_remove("BERT_REMOTE_TOKEN")
        .env_remove("BERT_REMOTE_TOKEN_FILE")
        .env("HF_HUB_OFFLINE", "1")
        .stdin(Stdio::null());
    command
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{stderr}");
    output
}

/// The one line that a command which must fail at run time prints.
fn fail(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{command:?}\n{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{command:?}\n{stderr}");
    assert!(stderr.starts_with("error: "), "{stderr}");
    assert!(output.stdout.is_empty(), "{:?}", output.stdout);
    stderr
}

fn assert_names(message: &str, needles: &[&str]) {
    for needle in needles {
        assert!(message.contains(needle), "`{needle}` is not in: {message}");
    }
}

/// A device whose backend can be served, which that of LibTorch cannot.
fn served_device() -> String {
    let devices = bert_core::device::test_devices();
    let label = devices
        .into_iter()
        .map(|(label, _)| label)
        .find(|label| !label.starts_with("libtorch"));
    label.expect("a device to serve")
}

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bert-core/fixtures/tiny-pretraining")
}

/// A directory with token files and a worker's key.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn token(&self, name: &str, token: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, token).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;

            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        path
    }

    /// `bert worker` with the key of this desk.
    fn worker(&self, listen: &str, token: Option<&Path>) -> Command {
        let mut command = bert(&["worker", "--json", "--listen", listen]);
        command.args(["--device", &served_device()]);
        command.arg("--key-file").arg(self.path("worker.key"));
        if let Some(token) = token {
            command.arg("--token-file").arg(token);
        }
        command
    }

    fn start(&self, listen: &str, token: Option<&Path>) -> Worker {
        Worker::start(self.worker(listen, token))
    }
}

/// A worker at work, which ends with its test.
struct Worker {
    child: Child,
    listening: Value,
    stderr: Option<JoinHandle<String>>,
}

impl Worker {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        if line.is_empty() {
            child.wait().unwrap();
            panic!("no worker: {}", stderr.join().unwrap());
        }
        Self {
            child,
            listening: serde_json::from_str(&line).unwrap(),
            stderr: Some(stderr),
        }
    }

    /// The label of its first device.
    fn label(&self) -> String {
        self.listening["devices"][0]["label"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn address(&self) -> SocketAddr {
        self.listening["address"].as_str().unwrap().parse().unwrap()
    }

    /// Ends it as Ctrl-C does; what it printed on standard error.
    #[cfg(unix)]
    fn interrupt(mut self) -> String {
        succeed(Command::new("kill").args(["-INT", &self.child.id().to_string()]));
        let status = self.child.wait().unwrap();
        let stderr = self.stderr.take().unwrap().join().unwrap();
        assert!(status.success(), "{status}: {stderr}");
        stderr
    }

    /// Ends it without warning.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `bert embed` of two texts on `device`, to be run once.
fn embed(device: &str) -> Command {
    let (texts, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"a river\nan old house by it\n").unwrap();
    let mut command = bert(&["embed", "--device", device, "--model"]);
    command.arg(model()).stdin(texts);
    command
}

/// The numbers of two vectors.
fn vectors(output: &Output) -> Vec<f64> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let numbers: Vec<f64> = lines
        .flat_map(|line| line["embedding"].as_array().unwrap().clone())
        .map(|number| number.as_f64().unwrap())
        .collect();
    assert!(numbers.len() > 2);
    numbers
}

#[test]
fn a_device_of_a_worker_embeds_as_the_device_itself() {
    let desk = Desk::new();
    let token = desk.token("token", "an open secret\n");
    let worker = desk.start("127.0.0.1:0", Some(&token));
    let own = vectors(&succeed(&mut embed(&served_device())));

    let remote = succeed(embed(&worker.label()).arg("--token-file").arg(&token));
    let stderr = String::from_utf8(remote.stderr.clone()).unwrap();
    let device = format!("device: {}", worker.label());
    assert_eq!(stderr.lines().next(), Some(device.as_str()));
    for (remote, own) in vectors(&remote).iter().zip(&own) {
        assert!((remote - own).abs() < 1e-5, "{remote} instead of {own}");
    }
    // The environment names the token as well, and a name of the machine stands for its address.
    let label = worker.label().replace("127.0.0.1", "localhost");
    succeed(embed(&label).env("BERT_REMOTE_TOKEN_FILE", &token));
    succeed(embed(&label).env("BERT_REMOTE_TOKEN", "an open secret"));
    // A process of its own for the device gets the token too.
    let mut doctor = bert(&["doctor", "--devices", &worker.label()]);
    succeed(doctor.arg("--token-file").arg(&token));
}

#[cfg(unix)]
#[test]
fn a_worker_keeps_its_labels_and_ends_with_ctrl_c() {
    let desk = Desk::new();
    let first = desk.start("127.0.0.1:0", None);
    let (label, address) = (first.label(), first.address());
    assert_eq!(first.listening["token"], false);
    succeed(&mut embed(&label));
    let stderr = first.interrupt();
    assert_names(
        &stderr,
        &[&format!("{} is {label}", served_device()), "uses device 0"],
    );
    assert_eq!(stderr.lines().last(), Some("worker: stopped"));

    let second = desk.start(&address.to_string(), None);
    assert_eq!(second.label(), label);
    succeed(&mut embed(&label));
    // The key belongs to the worker that runs.
    let message = fail(&mut desk.worker("127.0.0.1:0", None));
    assert_names(&message, &["worker.key", "another worker", "--key-file"]);
    second.interrupt();
}

#[test]
fn with_a_token_a_worker_listens_to_the_network() {
    let desk = Desk::new();
    let token = desk.token("token", "an open secret");
    let mut listens = vec!["0.0.0.0:0"];
    if std::net::UdpSocket::bind("[::1]:0").is_ok() {
        listens.extend(["[::1]:0", "[::]:0"]);
    }
    for listen in listens {
        let worker = desk.start(listen, Some(&token));
        assert_eq!(worker.listening["token"], true);
        succeed(embed(&worker.label()).arg("--token-file").arg(&token));
    }
}
