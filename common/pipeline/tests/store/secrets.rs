//! Keys and tokens stay out of logs, errors and debug output, at the most talkative level too.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use shanshui_pipeline::store::{ObjectKey, Store};
use tracing::instrument::WithSubscriber;

use crate::job;
use crate::server::{SECRET, Server};

const TOKEN: &str = "canary-session-token";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().map_err(|_| io::Error::other("poisoned"))?.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn s18_no_secret_reaches_a_log_an_error_or_debug_output() {
    let server = Server::start().await.unwrap();
    let log = Log::default();
    let writer = log.clone();
    let lines =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let said = async {
        let mut said = String::new();
        for flags in [&["--s3-session-token", TOKEN][..], &["--s3-session-token", TOKEN, "--s3-access-key", "nobody"]] {
            let options = server.options(flags);
            let store = Store::open(&options).await.unwrap();
            let (job, body) = (job("a"), Bytes::from_static(b"{}"));
            let put = store.put(&ObjectKey::Receipt(&job), body).await;
            let get = store.get("audio/none", 1).await;
            said += &format!("{options:?} {store:?} {put:?} {get:?} {:?}", Store::connect(&options).await);
        }
        said
    };
    let said = said.with_subscriber(lines).await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("TRACE") && log.contains("PutObject"), "too little was logged: {log}");
    for canary in [SECRET, TOKEN] {
        assert!(!said.contains(canary), "{said}");
        let line = log.lines().find(|line| line.contains(canary));
        assert_eq!(line, None);
    }
}
