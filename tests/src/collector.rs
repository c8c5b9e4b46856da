//! A collector of traces: takes OTLP over HTTP as JSON, and is strict about it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use super::wait::until;

/// One span as it was received.
#[derive(Debug, Clone)]
pub struct Span {
    /// 32 hexadecimal digits.
    pub trace: String,
    /// 16 hexadecimal digits.
    pub id: String,
    /// The same, or empty.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: u64,
    /// Start and end in Unix nanoseconds.
    pub times: (u64, u64),
    /// Whether it ended with an error.
    pub failed: bool,
    attributes: Value,
}

/// A running collector.
pub struct Collector {
    address: String,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Span {
    /// A text among the attributes.
    pub fn text(&self, key: &str) -> &str {
        let all = self.attributes.as_array().expect("a list of attributes");
        let found = all.iter().find(|attribute| attribute["key"] == key);
        found.and_then(|attribute| attribute["value"]["stringValue"].as_str()).unwrap_or_default()
    }

    fn read(span: &Value) -> Self {
        let text = |field: &str| span[field].as_str().unwrap_or_else(|| panic!("{field} of {span}")).to_owned();
        let hex = |field: &str, digits: usize| {
            let id = text(field);
            let fits = id.len() == digits && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            assert!(fits && id.bytes().any(|byte| byte != b'0'), "{field} of {span}");
            id
        };
        // 64-bit numbers are strings in the JSON of protobuf.
        let nanos = |field: &str| text(field).parse::<u64>().unwrap_or_else(|_| panic!("{field} of {span}"));
        Self {
            trace: hex("traceId", 32),
            id: hex("spanId", 16),
            parent: if text("parentSpanId").is_empty() { String::new() } else { hex("parentSpanId", 16) },
            name: text("name"),
            kind: span["kind"].as_u64().filter(|kind| (1..=5).contains(kind)).expect("a kind"),
            times: (nanos("startTimeUnixNano"), nanos("endTimeUnixNano")),
            failed: span["status"]["code"] == 2,
            attributes: span["attributes"].clone(),
        }
    }
}

impl Collector {
    /// Takes spans on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound port").to_string();
        let spans = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&spans);
        // It ends with the tests.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let all = Arc::clone(&all);
                thread::spawn(move || serve(stream, &all));
            }
        });
        Self { address, spans }
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Spans of one trace so far.
    pub fn trace(&self, trace: &str) -> Vec<Span> {
        self.spans.lock().expect("no thread fails").iter().filter(|span| span.trace == trace).cloned().collect()
    }

    /// Spans of one job so far.
    pub fn of_job(&self, job: &str) -> Vec<Span> {
        let all = self.spans.lock().expect("no thread fails");
        all.iter().filter(|span| span.text("shanshui.job") == job).cloned().collect()
    }

    /// Waits for a span of a job by this name.
    pub async fn span(&self, job: &str, name: &str) -> Span {
        let found = async || self.of_job(job).into_iter().find(|span| span.name == name);
        until(&format!("a span {name} of {job}"), found).await
    }
}

fn serve(stream: TcpStream, spans: &Mutex<Vec<Span>>) {
    let mut reader = BufReader::new(stream);
    while let Some(body) = request(&mut reader) {
        let body: Value = serde_json::from_slice(&body).expect("a body of JSON");
        let resources = body["resourceSpans"].as_array().expect("resourceSpans");
        for resource in resources {
            let named = resource["resource"]["attributes"].to_string();
            assert!(named.contains("\"service.name\""), "{named}");
            let scopes = resource["scopeSpans"].as_array().expect("scopeSpans").iter();
            let found = scopes.flat_map(|scope| scope["spans"].as_array().expect("spans")).map(Span::read);
            spans.lock().expect("no thread fails").extend(found);
        }
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// The body of the next request of a connection.
fn request(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let (mut line, mut length, mut json) = (String::new(), 0, false);
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    assert_eq!(line, "POST /v1/traces HTTP/1.1\r\n");
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let lower = line.trim().to_ascii_lowercase();
        if lower.is_empty() {
            break;
        }
        length = lower.strip_prefix("content-length:").map_or(length, |text| text.trim().parse().expect("a length"));
        json |= lower == "content-type: application/json";
    }
    assert!(json && length > 0, "a request without JSON");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}
