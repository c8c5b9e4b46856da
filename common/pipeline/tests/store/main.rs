//! The store against a real S3 server, and against one that misbehaves as told.

mod faults;
mod scripted;
mod secrets;
mod server;
mod start;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use shanshui_pipeline::failure::Failure;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::store::{ObjectKey, Store};

use server::Server;

fn job(name: &str) -> JobId {
    JobId::parse("id", name).expect("tests use valid names")
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn the_first_writer_of_a_key_wins_and_the_second_learns_its_hash() {
    let server = Server::start().await.unwrap();
    let store = Store::connect(&server.options(&[])).await.unwrap();
    let job = job("a");
    let key = ObjectKey::Picture { job: &job, index: 0, extension: "png" };
    let first = store.put(&key, Bytes::from_static(b"first")).await.unwrap();
    assert_eq!((first.existed, first.bytes, first.sha256.clone()), (false, 5, sha256(b"first")));
    let second = store.put(&key, Bytes::from_static(b"second, longer")).await.unwrap();
    assert_eq!((second.existed, second.bytes, second.sha256), (true, 5, first.sha256));
    assert_eq!(store.get(&second.key, 100).await.unwrap(), "first");
}

#[tokio::test]
async fn two_writers_at_the_same_moment_agree_on_one_object() {
    let server = Server::start().await.unwrap();
    let store = Store::connect(&server.options(&[])).await.unwrap();
    let job = job("a");
    let key = ObjectKey::Receipt(&job);
    let (one, two) = (Bytes::from(vec![b'1'; 300_000]), Bytes::from(vec![b'2'; 200_000]));
    let (left, right) = tokio::join!(store.put(&key, one), store.put(&key, two));
    let (left, right) = (left.unwrap(), right.unwrap());
    assert_eq!((&left.sha256, left.bytes), (&right.sha256, right.bytes));
    assert_eq!([left.existed, right.existed].iter().filter(|existed| **existed).count(), 1);
    assert_eq!(sha256(&store.get(&key.path(), 1 << 20).await.unwrap()), left.sha256);
}

#[tokio::test]
async fn find_says_what_is_there_and_hashes_what_somebody_else_uploaded() {
    let server = Server::start().await.unwrap();
    let store = Store::connect(&server.options(&[])).await.unwrap();
    let job = job("a");
    let key = ObjectKey::Audio(&job);
    assert_eq!(store.find(&key).await.unwrap(), None);
    std::fs::create_dir(server.file("audio")).unwrap();
    std::fs::write(server.file("audio/a"), b"a recording").unwrap();
    let found = store.find(&key).await.unwrap().unwrap();
    assert_eq!((found.bytes, found.sha256, found.existed), (11, sha256(b"a recording"), true));
}

#[tokio::test]
async fn an_object_at_the_limit_is_read_and_one_byte_more_is_rejected() {
    let server = Server::start().await.unwrap();
    let store = Store::connect(&server.options(&[])).await.unwrap();
    let job = job("a");
    let key = ObjectKey::Audio(&job);
    store.put(&key, Bytes::from(vec![7; 1000])).await.unwrap();
    assert_eq!(store.get(&key.path(), 1000).await.unwrap().len(), 1000);
    let error = store.get(&key.path(), 999).await.unwrap_err();
    assert!(matches!(error, Failure::Reject(_)), "{error}");
    assert!(error.to_string().contains("audio/a") && error.to_string().contains("at most 999"), "{error}");
}

#[tokio::test]
async fn an_object_that_does_not_exist_is_rejected_by_name() {
    let server = Server::start().await.unwrap();
    let store = Store::connect(&server.options(&[])).await.unwrap();
    let error = store.get("audio/nobody", 10).await.unwrap_err();
    assert!(matches!(error, Failure::Reject(_)), "{error}");
    assert!(error.to_string().contains("shanshui/audio/nobody"), "{error}");
}

#[tokio::test]
async fn a_prefix_keeps_two_pipelines_in_one_bucket_apart() {
    let server = Server::start().await.unwrap();
    let ours = Store::connect(&server.options(&["--s3-prefix", "team/a/"])).await.unwrap();
    let theirs = Store::connect(&server.options(&[])).await.unwrap();
    let job = job("a");
    let key = ObjectKey::Transcript(&job);
    let stored = ours.put(&key, Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!(theirs.find(&key).await.unwrap(), None);
    assert_eq!(ours.get(&stored.key, 10).await.unwrap(), "{}");
    assert!(server.file("team/a/jobs/a/transcript.json").exists());
}
