//! Whoever has no key, or says nothing, keeps nobody else out.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use shanshui_tests::{Door, PATIENCE, Process};

use super::doors::keyed;
use super::{gateway, small, socket};
use crate::clients::{client, foreign, passes, stack};

#[test]
fn s33_requests_of_strangers_by_the_thousand_keep_no_caller_out() {
    let (door, _process, _folder) = keyed();
    let mut python = client(foreign("python"), stack());
    passes("strangers", python.arg("tests/clients/strangers.py").env("DOOR", door.address()), 9);
}

#[test]
fn s33_silent_callers_of_wyoming_keep_nobody_out() {
    let (_door, process) = gateway(stack(), &["--wyoming-listen", "127.0.0.1:0"]);
    let line = process.says("Wyoming is served", PATIENCE);
    let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("an address");
    let began = Instant::now();
    let mut silent: Vec<_> = (0..40).map(|_| TcpStream::connect(address).expect("a connection")).collect();
    let mut spoken = TcpStream::connect(address).expect("a connection");
    spoken.write_all(b"{\"type\": \"ping\"}\n").expect("a connection");
    let mut told = String::new();
    BufReader::new(&spoken).read_line(&mut told).expect("an answer");
    assert!(told.contains("pong"), "{told}");
    // Those that never say anything go soon.
    let last = silent.last_mut().expect("a connection");
    last.set_read_timeout(Some(PATIENCE)).expect("a limit");
    assert_eq!(last.read(&mut [0]).expect("an end"), 0);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

/// A gateway that may open 256 files.
fn narrow() -> (Door, Process) {
    let own = stack().command(&["gateway", "--gateway", "127.0.0.1:0"]);
    let mut narrow = Command::new("/bin/sh");
    narrow.args(["-c", "ulimit -n 256 && exec \"$0\" \"$@\""]).arg(own.get_program()).args(own.get_args());
    narrow.current_dir(own.get_current_dir().expect("a folder"));
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => narrow.env(name, value),
            None => narrow.env_remove(name),
        };
    }
    let process = Process::spawn("narrow gateway", &mut narrow);
    (Door::of(&process), process)
}

#[test]
fn s33_connections_leave_the_files_that_jobs_need() {
    let (door, process) = narrow();
    // HTTP/2 of which nothing is asked, as much of it as the gateway could open files.
    let begin = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let idle: Vec<_> = (0..400)
        .map(|_| {
            let mut line = TcpStream::connect(door.address()).expect("a connection");
            let _ = line.write_all(begin);
            line
        })
        .collect();
    let began = Instant::now();
    let sound = vec![0; 2 << 20];
    door.send("POST", "/v1/jobs", &[("Content-Type", "audio/wav")], &sound).is(202);
    door.post("/v1/jobs", &[], &json!({ "text": "a boat", "picture": small() })).is(202);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(!process.log().contains("Too many open files"), "{}", process.log());
    drop(idle);
}

#[test]
fn s33_sockets_count_as_connections_and_those_that_do_not_begin_make_room() {
    let (door, _process) = narrow();
    let protocol = [("Sec-WebSocket-Protocol", "graphql-transport-ws")];
    let silent: Vec<_> = (0..120).map(|_| socket::open(&door, "/graphql", &protocol)).collect();
    assert!(silent.iter().all(|(_, status)| status == "101"));
    // Whoever may speak stays; then there is no room.
    let speakers: Vec<_> = (0..96).map(|_| socket::open(&door, "/v1/speak", &[])).collect();
    assert!(speakers.iter().all(|(_, status)| status == "101"));
    assert_eq!(door.get("/").status, 503);
    drop(speakers);
    std::thread::sleep(Duration::from_millis(300));
    door.get("/").is(200);
}
