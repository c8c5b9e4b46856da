//! S17: TLS 1.1 (RFC 4346) is spoken by neither side.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use shanshui_tests::scratch;

use super::guarded::{Guarded, said};
use super::tls::Certificates;

/// The version's number on the wire.
const TLS_1_1: [u8; 2] = [3, 2];
/// TLS_RSA_WITH_AES_128_CBC_SHA, which every TLS 1.1 must speak.
const CIPHER: [u8; 2] = [0, 0x2f];

/// A record of one handshake message.
fn handshake(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = |extra: usize| ((body.len() + extra) as u16).to_be_bytes();
    [&[22][..], &TLS_1_1, &length(4), &[kind, 0], &length(0), &body].concat()
}

#[test]
fn s17_a_client_that_speaks_tls_1_1_is_refused() {
    let folder = scratch();
    let made = Certificates::make(folder.path());
    let guarded = made.server("server");
    let mut link = TcpStream::connect(guarded.url.trim_start_matches("nats://")).expect("a port");
    link.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let mut byte = [0];
    while byte != *b"\n" {
        link.read_exact(&mut byte).expect("INFO, a line");
    }
    let hello = handshake(1, &[&TLS_1_1, &[7; 32], &[0], &[0, 2], &CIPHER, &[1, 0]]);
    link.write_all(&hello).expect("a connection");
    let mut heard = Vec::new();
    // It ends with an end or a reset: the server hangs up.
    let _ = link.read_to_end(&mut heard);
    // A record of an alert: fatal, protocol_version (RFC 4346, 7.2).
    assert_eq!((heard.first(), heard.get(5..7)), (Some(&21), Some(&[2, 70][..])), "{heard:?}");
}

#[test]
fn s17_a_server_that_speaks_tls_1_1_is_refused() {
    let folder = scratch();
    let made = Certificates::make(folder.path());
    let port = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = port.local_addr().expect("an address");
    let server = thread::spawn(move || serve(&port.accept().expect("a client").0));
    let guarded = Guarded::start();
    let mut command = guarded.command("admin", &["streams", "check", "--connect-seconds", "3"]);
    command.env("SHANSHUI_NATS_URL", format!("tls://{address}")).env("SHANSHUI_NATS_CA", made.path("ca.pem"));
    let output = command.output().expect("shanshui starts");
    assert_eq!(output.status.code(), Some(6), "{}", said(&output));
    let answer = server.join().expect("no panic");
    assert_eq!((answer.first(), answer.get(5..7)), (Some(&21), Some(&[2, 70][..])), "{answer:?}");
}

/// Greets as NATS does, answers a client's hello with TLS 1.1, and returns what it says to that.
fn serve(mut link: &TcpStream) -> Vec<u8> {
    link.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let info = concat!(
        r#"INFO {"server_id":"old","server_name":"old","version":"2.11.0","go":"go1.22","host":"127.0.0.1","port":4222,"#,
        r#""headers":true,"max_payload":1048576,"proto":1,"client_id":1,"tls_required":true}"#,
        "\r\n"
    );
    link.write_all(info.as_bytes()).expect("a connection");
    let mut head = [0; 5];
    link.read_exact(&mut head).expect("a record");
    let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    link.read_exact(&mut hello).expect("all of it");
    link.write_all(&handshake(2, &[&TLS_1_1, &[7; 32], &[0], &CIPHER, &[0]])).expect("a connection");
    let mut answer = Vec::new();
    let _ = link.read_to_end(&mut answer);
    answer
}
