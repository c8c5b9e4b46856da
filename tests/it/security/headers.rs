//! S31: headers that another client would not send.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use shanshui_tests::{Client, Job, PATIENCE, Process, Stack, until};

/// Publishes with these headers as they are; the client of these tests would refuse to.
fn publish_raw(stack: &Stack, subject: &str, headers: &[u8], payload: &str) {
    let mut link = TcpStream::connect(stack.url().trim_start_matches("nats://")).expect("a port");
    let block = [b"NATS/1.0\r\n", headers, b"\r\n\r\n"].concat();
    let line = format!("HPUB {subject} {} {}\r\n", block.len(), block.len() + payload.len());
    let words = [b"CONNECT {\"verbose\":false,\"headers\":true}\r\n", line.as_bytes(), &block, payload.as_bytes()];
    link.write_all(&words.concat()).and_then(|()| link.write_all(b"\r\nPING\r\n")).expect("a connection");
    let (mut heard, mut byte) = (String::new(), [0]);
    while !heard.ends_with("PONG\r\n") {
        link.read_exact(&mut byte).expect("an answer");
        heard.push(char::from(byte[0]));
    }
    assert!(!heard.contains("-ERR"), "{heard}");
}

fn painting(id: &str) -> String {
    json!({ "id": id, "text": "a boat", "picture": { "steps": 2, "count": 1 } }).to_string()
}

/// A worker as an orchestrator keeps it: started again when it ends.
fn keep(stack: &Stack, worker: &mut Process) {
    if !worker.is_running() {
        let exit = worker.ends(PATIENCE);
        assert!(!exit.success(), "a worker that cannot go on says so: {exit}");
        *worker = stack.worker("paint", "next");
    }
}

async fn done(client: &Client<'_>, id: &str) {
    let job = Job::named(id.to_owned());
    let story = client.publish_and_follow(&job, "text", painting(id)).await;
    assert_eq!(story.finals(), ["done"]);
}

#[tokio::test]
async fn s31_a_message_that_the_client_cannot_read_ends_in_dead_and_hides_no_other() {
    let stack = Stack::start_with(&["--ack-wait-seconds", "2", "--max-deliver", "2"]);
    let client = stack.client().await;
    let mut worker = stack.worker("paint", "first");
    let mut reconcile = stack.command(&["reconcile", "--audit-seconds", "1", "--attempts", "2"]);
    let _reconcile = Process::spawn("reconcile", &mut reconcile);
    for (id, header) in [("latin", &b"File: caf\xe9.wav"[..]), ("spaced", b"a name: x"), ("broken", b"A: b\rc")] {
        publish_raw(&stack, "shanshui.text.default", header, &painting(id));
        let ended = async || {
            keep(&stack, &mut worker);
            // Each look leaves a reader behind for some seconds, and a server has room for so many.
            tokio::time::sleep(Duration::from_secs(1)).await;
            client.dead(id).await
        };
        let dead = until("a letter in DEAD", ended).await;
        assert!(dead.reason.starts_with("the worker died or lost its lease 2 times"), "{id}: {}", dead.reason);
        assert_eq!(client.follow(id).await.finals(), ["failed"], "{id}");
    }
    keep(&stack, &mut worker);
    done(&client, "readable").await;
    let audit = stack.run(&["audit"]);
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
}

#[tokio::test]
async fn s31_a_cancel_that_ends_the_client_ends_its_worker_too() {
    let stack = Stack::start();
    let worker = stack.worker("paint", "first");
    let heard = async || {
        publish_raw(&stack, "shanshui.cancel.nobody", b"A: b\rc", "");
        tokio::time::sleep(Duration::from_millis(500)).await;
        (!worker.is_running()).then_some(())
    };
    until("the end of the worker", heard).await;
    let exit = worker.ends(PATIENCE);
    assert!(!exit.success() && worker.log().contains("the NATS client has ended for good"), "{exit}: {}", worker.log());
    let _next = stack.worker("paint", "next");
    done(&stack.client().await, "after").await;
}
