//! An HTTP server that says what a test wants, for what a real store cannot be made to say.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// One request as it came.
pub(crate) struct Asked {
    /// Method and path, as `PUT /bucket/key`.
    pub(crate) line: String,
    /// The headers in lower case, a line each.
    pub(crate) headers: String,
    /// How many requests came before.
    pub(crate) before: usize,
}

/// What to do about a request.
pub(crate) enum Reply {
    /// Status with its reason, more header lines, body.
    Say(&'static str, String, Vec<u8>),
    /// Close the connection without a word.
    HangUp,
    /// Promise ten bytes, send one and keep the connection open.
    Stall,
}

/// An answer without headers and body.
pub(crate) fn status(line: &'static str) -> Reply {
    Reply::Say(line, String::new(), Vec::new())
}

/// An error as S3 writes it.
pub(crate) fn error(line: &'static str, code: &str) -> Reply {
    let body = format!("<Error><Code>{code}</Code><Message>as the test asked</Message></Error>");
    Reply::Say(line, "content-type: application/xml\r\n".into(), body.into_bytes())
}

type Script = dyn Fn(&Asked) -> Reply + Send + Sync;

/// Stops when dropped.
pub(crate) struct Scripted {
    pub(crate) endpoint: String,
    lines: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Scripted {
    pub(crate) async fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let mut serving = JoinSet::new();
        let (script, log): (Arc<Script>, _) = (Arc::new(script), lines.clone());
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (script, log) = (script.clone(), log.clone());
                connections.spawn(async move { answer(socket, &*script, &log).await.unwrap_or(()) });
            }
        });
        Ok(Self { endpoint, lines, _serving: serving })
    }

    /// Method and path of every request so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One request a connection.
async fn answer(mut socket: TcpStream, script: &Script, log: &Mutex<Vec<String>>) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    let end = loop {
        anyhow::ensure!(socket.read_buf(&mut bytes).await? > 0, "closed");
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_string();
    let (line, headers) = head.split_once("\r\n").unwrap_or((&head, ""));
    let headers = headers.to_lowercase();
    let length = headers.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(Ok(0), str::parse)?;
    while bytes.len() < end + length {
        anyhow::ensure!(socket.read_buf(&mut bytes).await? > 0, "closed");
    }
    let words: Vec<&str> = line.split([' ', '?']).take(2).collect();
    let line = words.join(" ");
    let before = {
        let mut lines = log.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(line.clone());
        lines.len() - 1
    };
    match script(&Asked { line, headers, before }) {
        Reply::Say(status, more, body) => {
            let own = if more.contains("content-length") {
                String::new()
            } else {
                format!("content-length: {}\r\n", body.len())
            };
            let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{own}{more}\r\n");
            socket.write_all(head.as_bytes()).await?;
            socket.write_all(&body).await?;
        }
        Reply::HangUp => {}
        Reply::Stall => {
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n1").await?;
            // Ends when the client gives up.
            while socket.read_buf(&mut bytes).await? > 0 {}
        }
    }
    Ok(())
}
