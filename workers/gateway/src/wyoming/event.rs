//! Events of the protocol: a line of JSON, more JSON if the line says so, and bytes if it says so.

use std::io;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Largest line and largest data, in bytes.
const WORDS: usize = 64 << 10;
/// Largest payload, in bytes: half a minute of sound.
const PAYLOAD: usize = 1 << 20;

/// What one side says to the other.
#[derive(Debug, Default)]
pub(super) struct Event {
    pub(super) kind: String,
    pub(super) data: Map<String, Value>,
    pub(super) payload: Bytes,
}

#[derive(Deserialize)]
struct Head {
    r#type: String,
    #[serde(default)]
    data: Option<Map<String, Value>>,
    #[serde(default)]
    data_length: Option<usize>,
    #[serde(default)]
    payload_length: Option<usize>,
}

impl Event {
    /// The next event; none at the end of the connection.
    ///
    /// # Errors
    /// A connection that breaks within an event, and what is no event.
    pub(super) async fn read(from: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<Self>> {
        let mut line = Vec::new();
        let length = (&mut *from).take(WORDS as u64).read_until(b'\n', &mut line).await?;
        if length == 0 {
            return Ok(None);
        }
        if line.last() != Some(&b'\n') {
            return Err(wrong("a line is not allowed to have more than 65,536 bytes, or to end before its end"));
        }
        let head: Head = serde_json::from_slice(&line).map_err(|_| wrong("a line is no event of Wyoming"))?;
        let mut data = head.data.unwrap_or_default();
        let more = part(from, head.data_length, WORDS).await?;
        if !more.is_empty() {
            let more: Map<String, Value> =
                serde_json::from_slice(&more).map_err(|_| wrong("the data of an event are no object"))?;
            data.extend(more);
        }
        let payload = part(from, head.payload_length, PAYLOAD).await?;
        Ok(Some(Self { kind: head.r#type, data, payload: payload.into() }))
    }

    /// A field that is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.data.get(name).and_then(Value::as_str)
    }
}

/// So many bytes, which take room as they come.
async fn part(from: &mut (impl AsyncBufReadExt + Unpin), length: Option<usize>, most: usize) -> io::Result<Vec<u8>> {
    let length = length.unwrap_or(0);
    if length > most {
        return Err(wrong(&format!("{length} bytes of an event are not allowed; allowed: {most}")));
    }
    let mut bytes = Vec::new();
    from.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
}

fn wrong(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Says something.
pub(super) async fn say(to: &mut (impl AsyncWrite + Unpin), kind: &str, data: Value) -> io::Result<()> {
    let data = data.to_string();
    let head = json!({ "type": kind, "version": env!("CARGO_PKG_VERSION"), "data_length": data.len() });
    to.write_all(format!("{head}\n{data}").as_bytes()).await?;
    to.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(mut bytes: &[u8]) -> io::Result<Option<Event>> {
        Event::read(&mut bytes).await
    }

    #[tokio::test]
    async fn an_event_has_a_line_data_and_a_payload() {
        let event = read(b"{\"type\": \"x\", \"data\": {\"a\": 1, \"b\": 2}, \"data_length\": 8, \"payload_length\": 3}\n{\"a\": 3}abc");
        let event = event.await.unwrap().unwrap();
        let data = Value::from(event.data);
        assert_eq!((event.kind.as_str(), data, &event.payload[..]), ("x", json!({ "a": 3, "b": 2 }), &b"abc"[..]));
        assert!(read(b"").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn s20_what_is_no_event_is_refused_before_it_takes_room() {
        let long = [b' '; WORDS + 1];
        let wrong: [&[u8]; 8] = [
            b"\n",
            b"GET / HTTP/1.1\n",
            b"{\"type\": \"x\"}",
            b"{\"type\": \"x\", \"payload_length\": 4000000000}\n",
            b"{\"type\": \"x\", \"payload_length\": -1}\n",
            b"{\"type\": \"x\", \"payload_length\": 9}\nabc",
            b"{\"type\": \"x\", \"data_length\": 2}\n[]",
            &long,
        ];
        for wrong in wrong {
            assert!(read(wrong).await.is_err(), "{}", String::from_utf8_lossy(&wrong[..wrong.len().min(60)]));
        }
    }
}
