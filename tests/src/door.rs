//! A client of the HTTP door that knows nothing but HTTP/1.1.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use bytes::Bytes;
use serde_json::Value;

use super::process::Process;
use super::wait::PATIENCE;

/// Where a gateway listens, and who calls.
#[derive(Clone)]
pub struct Door {
    address: String,
    headers: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, by their names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Bytes,
}

/// One Server-Sent Event.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// What to resume behind; empty where the event is not kept.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Its data.
    pub data: Value,
}

/// An answer that goes on.
pub struct Stream {
    /// Its status.
    pub status: u16,
    lines: BufReader<Body>,
}

impl Door {
    /// The door of a gateway or of `up`, once it says where it is.
    pub fn of(process: &Process) -> Self {
        let line = process.says("page: http://", PATIENCE);
        let address = line.split("http://").nth(1).expect("an address").trim().trim_end_matches('/');
        Self { address: address.to_owned(), headers: Vec::new() }
    }

    /// The same door for a caller that always sends this header as well.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut door = self.clone();
        door.headers.push((name.to_owned(), value.to_owned()));
        door
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request and reads the answer.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let length = body.len().to_string();
        let mut all = vec![("Connection", "close")];
        all.extend(headers);
        if !headers.iter().any(|(name, _)| *name == "Content-Length") {
            all.push(("Content-Length", &length));
        }
        let mut link = self.open(method, path, &all);
        // A server that refuses a request may not read it to its end.
        let _ = link.write_all(body);
        read(link)
    }

    /// `GET`
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    /// Sends a JSON object.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], value: &Value) -> Answer {
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        self.send("POST", path, &headers, value.to_string().as_bytes())
    }

    /// Sends a form; the parts are name, file name and content.
    pub fn form(&self, path: &str, headers: &[(&str, &str)], parts: &[(&str, Option<&str>, &[u8])]) -> Answer {
        let mut body = Vec::new();
        for (name, file, content) in parts {
            let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
            let head = format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
            body.extend([head.as_bytes(), content, b"\r\n"].concat());
        }
        body.extend(b"--edge--\r\n");
        let headers = [&[("Content-Type", "multipart/form-data; boundary=edge")], headers].concat();
        self.send("POST", path, &headers, &body)
    }

    /// Opens a stream of events.
    pub fn follow(&self, path: &str, headers: &[(&str, &str)]) -> Stream {
        let mut reader = BufReader::new(self.open("GET", path, headers));
        let (status, headers) = head(&mut reader);
        let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        Stream { status, lines: BufReader::new(Body { reader, left: 0, chunked }) }
    }

    /// Sends the head of a request.
    pub fn open(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> TcpStream {
        let mut link = TcpStream::connect(&self.address).expect("a gateway that listens");
        link.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let mut text = format!("{method} {path} HTTP/1.1\r\n");
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<(&str, &str)> = own.chain(headers.iter().copied()).collect();
        if !all.iter().any(|(name, _)| *name == "Host") {
            text += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in all {
            text += &format!("{name}: {value}\r\n");
        }
        link.write_all(format!("{text}\r\n").as_bytes()).expect("a connection");
        link
    }
}

impl Answer {
    /// A header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The same answer, which must have this status.
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

impl Iterator for Stream {
    type Item = Told;

    fn next(&mut self) -> Option<Told> {
        let (mut id, mut kind, mut data) = (String::new(), String::new(), String::new());
        for line in self.lines.by_ref().lines() {
            let line = line.ok()?;
            match line.split_once(": ") {
                Some(("id", value)) => id = value.to_owned(),
                Some(("event", value)) => kind = value.to_owned(),
                Some(("data", value)) => data += value,
                _ if line.is_empty() && !data.is_empty() => {
                    return Some(Told { id, kind, data: serde_json::from_str(&data).unwrap_or(Value::String(data)) });
                }
                _ => {}
            }
        }
        None
    }
}

/// A body that comes in chunks, or until the connection ends.
struct Body {
    reader: BufReader<TcpStream>,
    left: usize,
    chunked: bool,
}

impl Read for Body {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if !self.chunked {
            return self.reader.read(into);
        }
        if self.left == 0 {
            let mut line = String::new();
            while line.trim().is_empty() {
                line.clear();
                if self.reader.read_line(&mut line)? == 0 {
                    return Ok(0);
                }
            }
            self.left = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
            if self.left == 0 {
                return Ok(0);
            }
        }
        let most = into.len().min(self.left);
        let read = self.reader.read(&mut into[..most])?;
        self.left -= read;
        Ok(read)
    }
}

/// Reads an answer to its end.
pub fn read(link: TcpStream) -> Answer {
    let mut reader = BufReader::new(link);
    let (status, headers) = head(&mut reader);
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let mut body = Vec::new();
    // A connection that breaks ends the body: the tests look at what came.
    let _ = Body { reader, left: 0, chunked }.read_to_end(&mut body);
    Answer { status, headers, body: body.into() }
}

fn head(reader: &mut BufReader<TcpStream>) -> (u16, Vec<(String, String)>) {
    let mut lines = reader.by_ref().lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let rest = lines.take_while(|line| !line.is_empty());
    let pair = |line: String| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    (status, rest.filter_map(pair).collect())
}
