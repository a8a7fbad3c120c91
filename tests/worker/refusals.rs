//! Workers and clients that refuse, each with one message and its remedy.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::*;

#[test]
fn a_wrong_or_missing_token_is_one_error() {
    let desk = Desk::new();
    let token = desk.token("token", "an open secret\n");
    let wrong = desk.token("wrong", "open sesame\n");
    let worker = desk.start("127.0.0.1:0", Some(&token));
    let label = worker.label();

    let message = fail(embed(&label).arg("--token-file").arg(&wrong));
    assert_names(&message, &[&label, "refuses the token", "--token-file"]);
    let message = fail(embed(&label).env("BERT_REMOTE_TOKEN", "open sesame"));
    assert_names(&message, &[&label, "refuses the token"]);
    let message = fail(&mut embed(&label));
    assert_names(&message, &[&label, "demands a token", "--token-file"]);
    // Who has no token is not told how many devices there are.
    let other = label.replace(
        &format!("{}:0", worker.address()),
        &format!("{}:7", worker.address()),
    );
    let message = fail(&mut embed(&other));
    assert_names(&message, &["demands a token"]);
    let message = fail(embed(&other).arg("--token-file").arg(&token));
    assert_names(&message, &[&other, "it has 1"]);

    // The worker goes on.
    succeed(embed(&label).arg("--token-file").arg(&token));
    #[cfg(unix)]
    assert_names(&worker.interrupt(), &["is refused", "uses device 0"]);
}

#[test]
fn a_token_file_is_one_line_that_its_owner_alone_reads() {
    let desk = Desk::new();
    let label = format!("remote:{}@127.0.0.1:9:0", "f".repeat(64));
    let empty = desk.token("empty", "\n");
    let message = fail(embed(&label).arg("--token-file").arg(&empty));
    assert_names(&message, &["empty", "openssl rand -hex 32"]);
    let message = fail(embed(&label).env("BERT_REMOTE_TOKEN_FILE", desk.path("none")));
    assert_names(&message, &["token file", "none"]);
    let message = fail(&mut desk.worker("127.0.0.1:0", Some(&empty)));
    assert_names(&message, &["empty"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;

        let open = desk.token("open", "secret\n");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
        let message = fail(&mut desk.worker("127.0.0.1:0", Some(&open)));
        assert_names(&message, &["0644", "chmod 600"]);
    }
}

#[test]
fn without_a_token_a_worker_stays_on_loopback() {
    let desk = Desk::new();
    for listen in ["0.0.0.0:3000", "[::]:3000", "192.0.2.7:3000"] {
        let message = fail(&mut desk.worker(listen, None));
        assert_names(&message, &[listen, "--token-file", "127.0.0.1:3000"]);
    }
    let worker = desk.start("127.0.0.1:0", None);
    assert!(worker.address().ip().is_loopback());
}

#[test]
fn a_worker_that_is_not_there_is_named_in_time() {
    let desk = Desk::new();
    let worker = desk.start("127.0.0.1:0", None);
    let (label, address) = (worker.label(), worker.address());
    // Another worker's key at this address.
    let stranger = Desk::new().start("127.0.0.1:0", None);
    let key = stranger.listening["key"].as_str().unwrap();
    let own = worker.listening["key"].as_str().unwrap();
    let start = Instant::now();
    let message = fail(&mut embed(&label.replace(own, key)));
    assert_names(&message, &[key, "no worker with this key", "bert worker"]);
    worker.kill();

    // Nothing answers at the port, which is taken so that nothing else does.
    let _silent = UdpSocket::bind(address).unwrap();
    let message = fail(&mut embed(&label));
    assert_names(&message, &[&label, "bert worker", "--listen"]);
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn labels_that_lead_nowhere_are_named() {
    for label in ["remote:127.0.0.1:3000", "remote:0123@127.0.0.1:3000"] {
        let output = embed(label).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_names(&stderr, &[label, "remote:KEY@HOST:PORT"]);
    }
    let message = fail(&mut embed(&format!(
        "remote:{}@127.0.0.1:3000",
        "02".to_owned() + &"0".repeat(62)
    )));
    assert_names(&message, &["no public key", "bert worker"]);
}

#[test]
fn devices_that_cannot_be_served_are_named() {
    let desk = Desk::new();
    let mut devices: Vec<String> = Vec::new();
    for (label, _) in bert_core::device::test_devices() {
        if label.starts_with("libtorch") {
            let mut command = bert(&["worker", "--listen", "127.0.0.1:0", "--device", &label]);
            let message = fail(command.arg("--key-file").arg(desk.path("key")));
            assert_names(&message, &["LibTorch", "offer flex"]);
        } else if !label.starts_with("wgpu") && !label.starts_with("vulkan") {
            devices.push(label);
        }
    }
    if devices.len() > 1 {
        let mut command = bert(&["worker", "--listen", "127.0.0.1:0"]);
        command.args(["--device", &devices.join(",")]);
        let message = fail(command.arg("--key-file").arg(desk.path("key")));
        assert_names(&message, &["several backends", "--key-file"]);
    }
}

#[test]
fn the_old_name_says_what_took_its_place() {
    for arguments in [
        &["serve"][..],
        &["serve", "--device", "flex", "--listen", "0.0.0.0:3000"],
        &["serve", "--help"],
    ] {
        let output = bert(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert_names(&stderr, &["`bert serve`", "`bert worker"]);
    }
    let help = String::from_utf8(succeed(&mut bert(&["--help"])).stdout).unwrap();
    assert!(!help.contains("serve"), "{help}");
    assert_names(&help, &["worker"]);
}
