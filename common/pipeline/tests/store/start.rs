//! What the store says before the first job.

use shanshui_pipeline::failure::Failure;
use shanshui_pipeline::store::Store;
use tokio::net::TcpListener;

use crate::server::{Server, options};

#[tokio::test]
async fn a_missing_bucket_is_named_with_what_makes_it() {
    let server = Server::start().await.unwrap();
    let error = Store::connect(&server.options(&["--s3-bucket", "nowhere"])).await.unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("bucket nowhere does not exist") && text.contains("streams apply"), "{text}");
}

#[tokio::test]
async fn a_bucket_is_made_once_and_then_used() {
    let server = Server::start().await.unwrap();
    let options = server.options(&["--s3-bucket", "fresh"]);
    let store = Store::open(&options).await.unwrap();
    let error = store.check().await.unwrap_err();
    assert!(matches!(error, Failure::Outage(_)), "{error}");
    assert!(store.make_bucket().await.unwrap());
    assert!(!store.make_bucket().await.unwrap());
    store.check().await.unwrap();
    Store::connect(&options).await.unwrap();
}

#[tokio::test]
async fn every_start_writes_the_same_probe_and_none_deletes_it() {
    let server = Server::start().await.unwrap();
    for _ in 0..3 {
        Store::connect(&server.options(&[])).await.unwrap();
        let left = std::fs::read_dir(server.file(".shanshui")).unwrap();
        let names: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["probe"]);
    }
}

#[tokio::test]
async fn a_worker_waits_for_its_store_however_long_it_is_away() {
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", reserved.local_addr().unwrap());
    let few = ["--s3-attempt-seconds", "1", "--s3-operation-seconds", "1", "--s3-wait-seconds", "0"];
    let options = options(&[&["--s3-endpoint", &endpoint], few.as_slice()].concat());
    let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let tell = move |why: &str| drop(told.send(why.to_owned()));
    let later = async {
        for _ in 0..2 {
            assert!(!hears.recv().await.unwrap().is_empty());
        }
        Server::start_on(reserved).await
    };
    let (server, store) = tokio::join!(later, Store::await_store(&options, tell));
    let (_server, store) = (server.unwrap(), store.unwrap());
    store.check().await.unwrap();
}

#[tokio::test]
async fn wrong_credentials_are_said_at_start() {
    let server = Server::start().await.unwrap();
    for (flag, value) in [("--s3-access-key", "somebody"), ("--s3-secret-key", "wrong")] {
        let error = Store::connect(&server.options(&[flag, value])).await.unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("refuses these credentials") && text.contains("403"), "{text}");
        assert!(!text.contains("wrong"), "{text}");
    }
}

#[tokio::test]
async fn a_store_that_comes_later_is_waited_for() {
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap();
    let endpoint = format!("http://{address}");
    // Bound and not served: connections wait in the backlog and time out.
    let options = options(&["--s3-endpoint", &endpoint, "--s3-attempt-seconds", "1", "--s3-operation-seconds", "1"]);
    let later = async {
        let (first, _) = reserved.accept().await?;
        drop(first);
        Server::start_on(reserved).await
    };
    let (server, store) = tokio::join!(later, Store::connect(&options));
    let (_server, store) = (server.unwrap(), store.unwrap());
    store.check().await.unwrap();
}

#[tokio::test]
async fn a_store_that_stays_away_is_an_error_after_the_wait() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let endpoint = format!("http://{address}");
    let options = options(&["--s3-endpoint", &endpoint, "--s3-wait-seconds", "0"]);
    let text = format!("{:#}", Store::connect(&options).await.unwrap_err());
    assert!(text.contains(&endpoint) && text.contains("bucket shanshui"), "{text}");
}

#[test]
fn only_endpoints_that_keep_data_private_are_taken() {
    let takes = |endpoint: &str, more: &[&str]| options(&[&["--s3-endpoint", endpoint], more].concat()).check();
    for good in ["https://s3.example.org", "http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000"] {
        assert!(takes(good, &[]).is_ok(), "{good}");
    }
    for bad in [
        "http://minio:9000",
        "http://10.0.0.1",
        "http://localhost.example.org",
        "ftp://127.0.0.1",
        "127.0.0.1:9000",
        "/",
    ] {
        let error = takes(bad, &[]).unwrap_err().to_string();
        assert!(error.contains("s3-endpoint") && error.contains(bad), "{error}");
    }
    assert!(takes("http://minio:9000", &["--s3-allow-http"]).is_ok());
    let error = takes("https://user:hunter2@s3.example.org", &[]).unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
}
