//! A server that speaks the hub's protocol: the API with sizes and hashes, files behind a redirect to a
//! second server, ranges, tokens, and what goes wrong.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};

/// The one repository's commit.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Git's name of the two bytes `{}`.
const BRACES: &str = "9e26dfeeb6e641a33dae4961196235bdb965b21b";

/// A running hub with one repository.
pub struct Hub {
    endpoint: String,
    state: Arc<Mutex<State>>,
}

/// A request, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// It came to the store and not to the hub.
    pub stored: bool,
    /// The path with its query.
    pub path: String,
    /// Value of the header.
    pub authorization: Option<String>,
    /// Value of the header.
    pub range: Option<String>,
}

/// What the hub does wrong.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Answers 429 so many times, and asks for a pause of one second.
    pub busy: usize,
    /// Ends so many transfers after so many bytes.
    pub cut: (usize, usize),
    /// Sends the beginning of a file, and then nothing more.
    pub stall: bool,
    /// Gives other bytes of this file than its metadata say.
    pub other_bytes: Option<&'static str>,
    /// Does not know ranges.
    pub whole_only: bool,
    /// Wants this token.
    pub token: Option<&'static str>,
    /// With the token it still wants the terms to be accepted.
    pub gated: bool,
}

struct State {
    name: String,
    files: Vec<(String, Vec<u8>)>,
    model_type: Option<&'static str>,
    faults: Faults,
    asked: Vec<Asked>,
    store: String,
}

impl Hub {
    /// A hub whose one repository `name` holds `files`.
    pub fn start(name: &str, files: &[(&str, &[u8])]) -> Self {
        let files = files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect();
        let [hub, store] = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().expect("a bound port"));
        let (endpoint, store_at) = (address(&hub), address(&store));
        let (name, model_type, faults) = (name.to_owned(), None, Faults::default());
        let state = State { name, files, model_type, faults, asked: Vec::new(), store: store_at };
        let state = Arc::new(Mutex::new(state));
        serve(hub, state.clone(), false);
        serve(store, state.clone(), true);
        Self { endpoint, state }
    }

    /// Where it is.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What it does wrong from now on.
    pub fn fail(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// What it says of the repository's config.
    pub fn call_it(&self, model_type: &'static str) {
        self.lock().model_type = Some(model_type);
    }

    /// What it was asked since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.lock().asked)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no request panics")
    }
}

/// Serves until the process of the tests ends.
fn serve(listener: TcpListener, state: Arc<Mutex<State>>, stored: bool) {
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let state = state.clone();
            // A client that goes away is none of our faults.
            thread::spawn(move || drop(answer(&socket, &state, stored)));
        }
    });
}

fn answer(socket: &TcpStream, state: &Mutex<State>, stored: bool) -> std::io::Result<()> {
    let lines = BufReader::new(socket).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let lines: Vec<String> = lines.collect();
    let header = |name: &str| {
        let found =
            lines.iter().filter_map(|line| line.split_once(": ")).find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned())
    };
    let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    let asked = Asked { stored, path, authorization: header("authorization"), range: header("range") };
    let (head, body, cut, stall) = {
        let mut state = state.lock().expect("no request panics");
        state.asked.push(asked.clone());
        if stored { state.object(&asked) } else { state.page(&asked) }
    };
    let mut socket = socket;
    write!(socket, "HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len())?;
    socket.write_all(&body[..cut.unwrap_or(body.len())])?;
    socket.flush()?;
    if stall {
        thread::sleep(Duration::from_secs(600));
    }
    Ok(())
}

type Answer = (String, Vec<u8>, Option<usize>, bool);

fn plain(head: impl Into<String>, body: impl Into<Vec<u8>>) -> Answer {
    (head.into(), body.into(), None, false)
}

fn refusal(status: &str, code: &str, message: &str) -> Answer {
    plain(format!("{status}\r\nx-error-code: {code}\r\nx-error-message: {message}"), message)
}

impl State {
    /// What the hub itself answers.
    fn page(&mut self, asked: &Asked) -> Answer {
        if self.faults.busy > 0 {
            self.faults.busy -= 1;
            return plain("429 Too Many Requests\r\nretry-after: 1", "");
        }
        if let Some(token) = self.faults.token
            && asked.authorization != Some(format!("Bearer {token}"))
        {
            return refusal("401 Unauthorized", "RepoNotFound", "Repository not found");
        }
        let path = asked.path.split('?').next().unwrap_or_default();
        let api = format!("/api/models/{}/revision/", self.name);
        if let Some(revision) = path.strip_prefix(&api) {
            return match revision {
                "main" | COMMIT => plain("200 OK\r\ncontent-type: application/json", self.described()),
                _ => refusal("404 Not Found", "RevisionNotFound", "Invalid rev id"),
            };
        }
        let Some(file) = path.strip_prefix(&format!("/{}/resolve/{COMMIT}/", self.name)) else {
            return refusal("404 Not Found", "RepoNotFound", "Repository not found");
        };
        if self.faults.gated {
            return refusal("403 Forbidden", "GatedRepo", "Access to this model is restricted");
        }
        match self.bytes(file) {
            None => refusal("404 Not Found", "EntryNotFound", "Entry not found"),
            Some(bytes) if is_small(&bytes) => plain(format!("200 OK\r\nx-repo-commit: {COMMIT}"), bytes),
            Some(bytes) => {
                let (store, size, etag) = (&self.store, bytes.len(), sha256(&bytes));
                let head = format!(
                    "302 Found\r\nx-repo-commit: {COMMIT}\r\nx-linked-size: {size}\r\nx-linked-etag: \"{etag}\""
                );
                plain(format!("{head}\r\nlocation: {store}/{file}?Signature=a-secret-of-the-store"), "")
            }
        }
    }

    /// What the store behind it answers.
    fn object(&mut self, asked: &Asked) -> Answer {
        let file = asked.path.trim_start_matches('/').split('?').next().unwrap_or_default().to_owned();
        let Some(mut bytes) = self.bytes(&file) else { return plain("404 Not Found", "") };
        if self.faults.other_bytes.is_some_and(|other| other == file) {
            bytes[0] ^= 1;
        }
        let from =
            asked.range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let from: usize = from.filter(|_| !self.faults.whole_only).unwrap_or(0);
        let size = bytes.len();
        let head = match from {
            0 => "200 OK".to_owned(),
            _ => format!("206 Partial Content\r\ncontent-range: bytes {from}-{}/{size}", size - 1),
        };
        let (times, at) = self.faults.cut;
        self.faults.cut.0 = times.saturating_sub(1);
        let body = bytes.split_off(from);
        let cut = (times > 0 || self.faults.stall).then(|| at.min(body.len()));
        (head, body, cut, self.faults.stall)
    }

    fn bytes(&self, file: &str) -> Option<Vec<u8>> {
        self.files.iter().find(|(path, _)| path == file).map(|(_, bytes)| bytes.clone())
    }

    /// What the API says with `blobs=true`.
    fn described(&self) -> String {
        let siblings = self.files.iter().map(|(path, bytes)| match is_small(bytes) {
            true => json!({ "rfilename": path, "size": 2, "blobId": BRACES }),
            false => {
                let (size, sha256) = (bytes.len(), sha256(bytes));
                json!({
                    "rfilename": path, "size": size, "blobId": "0".repeat(40),
                    "lfs": { "sha256": sha256, "size": size, "pointerSize": 134 }
                })
            }
        });
        let siblings: Vec<_> = siblings.collect();
        json!({
            "id": self.name, "sha": COMMIT, "gated": false, "tags": ["license:openrail++"],
            "config": { "model_type": self.model_type }, "siblings": siblings
        })
        .to_string()
    }
}

/// Files that lie in git itself; all others lie in the store.
fn is_small(bytes: &[u8]) -> bool {
    bytes == b"{}"
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
