//! A server on this machine that answers as the hub does, or misbehaves as told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The one commit of the one model.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// Commit that `main` points at once the model has moved on.
const LATER_COMMIT: &str = "fedcba9876543210fedcba9876543210fedcba98";
/// The one model.
pub(crate) const ID: &str = "owner/tiny-bert";

/// Faults of the server.
#[derive(Default, Clone)]
pub(crate) struct Faults {
    /// The access token that is asked for.
    pub(crate) token: Option<&'static str>,
    /// The file that breaks off half-way, promised whole.
    pub(crate) breaks_off: Option<&'static str>,
    /// The file that is sent by half, and promised by half.
    pub(crate) sent_short: Option<&'static str>,
    /// The branch `main` points at a later commit, of which nothing can be had.
    pub(crate) moved_on: bool,
    /// The status every request gets.
    pub(crate) status: Option<u16>,
}

pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) authorization: Option<String>,
}

pub(crate) struct Server {
    pub(crate) endpoint: String,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    files: BTreeMap<String, Vec<u8>>,
    faults: Faults,
    requests: Vec<Request>,
}

impl Server {
    pub(crate) fn start(files: &[(&str, &[u8])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let files = files
            .iter()
            .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()));
        let shared = Arc::new(Mutex::new(Shared {
            files: files.collect(),
            faults: Faults::default(),
            requests: Vec::new(),
        }));
        let served = Arc::clone(&shared);
        // Ends with the test process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that hangs up early is no reason to stop serving.
                let _ = answer(stream.unwrap(), &mut served.lock().unwrap());
            }
        });
        Self { endpoint, shared }
    }

    pub(crate) fn set(&self, faults: Faults) {
        self.shared.lock().unwrap().faults = faults;
    }

    /// The paths asked for since the last call.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.lock().unwrap().requests)
    }
}

fn read_request(stream: &TcpStream) -> std::io::Result<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut request = Request {
        path: first.split(' ').nth(1).unwrap_or_default().to_owned(),
        range: None,
        authorization: None,
    };
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "range" => request.range = Some(value.to_owned()),
            "authorization" => request.authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    Ok(request)
}

fn answer(mut stream: TcpStream, shared: &mut Shared) -> std::io::Result<()> {
    let request = read_request(&stream)?;
    let faults = shared.faults.clone();
    let mut reply = |status: u16, headers: &str, promised: usize, body: &[u8]| {
        write!(
            stream,
            "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {promised}\r\n{headers}\r\n"
        )?;
        stream.write_all(body)
    };

    let authorized = faults
        .token
        .is_none_or(|token| request.authorization == Some(format!("Bearer {token}")));
    let info_paths = [
        format!("/api/models/{ID}/revision/main"),
        format!("/api/models/{ID}/revision/{COMMIT}"),
    ];
    let file = request
        .path
        .strip_prefix(&format!("/{ID}/resolve/{COMMIT}/"))
        .and_then(|name| shared.files.get_key_value(name));
    let outcome = if let Some(status) = faults.status {
        reply(status, "", 0, b"")
    } else if !authorized {
        reply(401, "", 0, b"")
    } else if info_paths.contains(&request.path) {
        let siblings: Vec<_> = shared
            .files
            .keys()
            .map(|name| serde_json::json!({ "rfilename": name }))
            .collect();
        let moved_on = faults.moved_on && request.path.ends_with("main");
        let sha = if moved_on { LATER_COMMIT } else { COMMIT };
        let info = serde_json::json!({ "sha": sha, "siblings": siblings }).to_string();
        reply(
            200,
            "content-type: application/json\r\n",
            info.len(),
            info.as_bytes(),
        )
    } else if let Some((name, bytes)) = file {
        let (first, last) = request
            .range
            .as_deref()
            .and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
            .expect("hf-hub always asks for a range");
        let first: usize = first.parse().unwrap();
        let end = last.parse().map_or(bytes.len(), |last: usize| last + 1);
        if first >= bytes.len() {
            reply(416, "", 0, b"")
        } else {
            let probing = !last.is_empty();
            let headers = format!(
                "x-repo-commit: {COMMIT}\r\netag: \"etag-of-{}\"\r\ncontent-range: bytes {first}-{}/{}\r\n",
                name.replace('/', "-"),
                end - 1,
                bytes.len()
            );
            let body = &bytes[first..end];
            let half = &body[..body.len() / 2];
            match Some(name.as_str()) {
                name if !probing && name == faults.breaks_off => {
                    reply(206, &headers, body.len(), half)
                }
                name if !probing && name == faults.sent_short => {
                    reply(206, &headers, half.len(), half)
                }
                _ => reply(206, &headers, body.len(), body),
            }
        }
    } else {
        reply(404, "", 0, b"")
    };
    shared.requests.push(request);
    outcome
}
