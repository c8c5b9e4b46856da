//! A WebSocket that knows nothing but the standard.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;
use shanshui_tests::Door;

const SOCKET: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// Opens a socket; returns its line and the status of the answer.
pub(super) fn open(door: &Door, path: &str, more: &[(&str, &str)]) -> (TcpStream, String) {
    let mut line = door.open("GET", path, &[&SOCKET, more].concat());
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        line.read_exact(&mut byte).expect("an answer");
        head.extend(byte);
    }
    (line, String::from_utf8_lossy(&head[9..12]).into_owned())
}

/// Sends one message, masked with zeros (RFC 6455, section 5.2).
pub(super) fn say(line: &mut TcpStream, kind: u8, payload: &[u8]) {
    let mut frame = vec![0x80 | kind, 0x80 | 127];
    frame.extend((payload.len() as u64).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(payload);
    line.write_all(&frame).expect("a socket");
}

/// The next message in words.
pub(super) fn hear(line: &mut TcpStream) -> Value {
    let mut head = [0; 2];
    line.read_exact(&mut head).expect("a message");
    let mut length = [0; 8];
    let long = match head[1] {
        126 => 2,
        127 => 8,
        short => {
            length[7] = short;
            0
        }
    };
    line.read_exact(&mut length[8 - long..]).expect("a length");
    let mut payload = vec![0; u64::from_be_bytes(length) as usize];
    line.read_exact(&mut payload).expect("a whole message");
    serde_json::from_slice(&payload).unwrap_or_default()
}
