//! A receiver of requests that answers as it is told, and keeps what it got.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::wait::until;

/// A server on a free port of this machine; it ends with the test process.
pub struct Receiver {
    port: u16,
    got: Arc<Mutex<Vec<Got>>>,
    connections: Arc<Mutex<usize>>,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Got {
    /// Its first line.
    pub line: String,
    /// Its headers, by their names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Receiver {
    /// Gives `answers` in turn, the last one again and again; each is what stands behind `HTTP/1.1 `. An empty
    /// one is no answer: the connection stays open.
    pub fn start(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let (got, connections) = (Arc::default(), Arc::default());
        let own = Self { port, got: Arc::clone(&got), connections: Arc::clone(&connections) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                *connections.lock().expect("no test fails while it holds this") += 1;
                let (got, answers) = (Arc::clone(&got), answers.clone());
                thread::spawn(move || serve(stream, &got, &answers));
            }
        });
        own
    }

    /// Its address under this name of the machine.
    pub fn url(&self, host: &str) -> String {
        format!("http://{host}:{}/hook?from=test", self.port)
    }

    /// What came so far.
    pub fn got(&self) -> Vec<Got> {
        self.got.lock().expect("no test fails while it holds this").clone()
    }

    /// How many connected.
    pub fn connections(&self) -> usize {
        *self.connections.lock().expect("no test fails while it holds this")
    }

    /// Waits for so many requests.
    pub async fn gets(&self, many: usize) -> Vec<Got> {
        let got = async || Some(self.got()).filter(|got| got.len() >= many);
        until(&format!("{many} requests"), got).await
    }
}

impl Got {
    /// A header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

fn serve(mut stream: TcpStream, got: &Mutex<Vec<Got>>, answers: &[String]) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut lines = reader.by_ref().lines().map_while(Result::ok);
    let line = lines.next()?;
    let pair = |line: String| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    let headers: Vec<_> = lines.take_while(|line| !line.is_empty()).filter_map(pair).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let answer = {
        let mut all = got.lock().ok()?;
        all.push(Got { line, headers, body });
        answers.get(all.len() - 1).or(answers.last()).cloned().unwrap_or_default()
    };
    if answer.is_empty() {
        // Until whoever sent the request goes away.
        let _ = reader.read(&mut [0]);
        return None;
    }
    stream.write_all(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").as_bytes()).ok()
}
