use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;

use super::*;

fn read(variables: &[(&str, &str)]) -> anyhow::Result<Option<Collector>> {
    let all: HashMap<_, _> = variables.iter().copied().collect();
    Collector::from_environment(&|name| all.get(name).map(ToString::to_string))
}

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

#[test]
fn without_an_endpoint_or_switched_off_nothing_is_sent() {
    let off = [
        vec![],
        vec![(ENDPOINT, "  ")],
        vec![(ENDPOINT, "http://c:4318"), ("OTEL_SDK_DISABLED", "TRUE")],
        vec![(ENDPOINT, "http://c:4318"), ("OTEL_TRACES_EXPORTER", "none")],
    ];
    for variables in off {
        assert!(read(&variables).unwrap().is_none(), "{variables:?}");
    }
}

#[test]
fn the_endpoint_of_traces_is_taken_as_it_is_and_the_common_one_is_a_base() {
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t/custom");
    let cases = [
        (vec![(ENDPOINT, "http://c:4318")], "http://c:4318/v1/traces"),
        (vec![(ENDPOINT, "http://c:4318/otlp/")], "http://c:4318/otlp/v1/traces"),
        (vec![(ENDPOINT, "http://c:4318"), traces], "https://t/custom"),
    ];
    for (variables, url) in cases {
        assert_eq!(read(&variables).unwrap().unwrap().url, url);
    }
}

#[test]
fn a_wrong_variable_is_named_with_what_is_allowed_and_secrets_are_hidden() {
    let wrong = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "http://host:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://me:hush@c", "a user name is not allowed"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/json"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "milliseconds"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization hush", "(hidden)"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=hush%0d%0ab: c", "(hidden)"),
        ("OTEL_RESOURCE_ATTRIBUTES", "hush", "(hidden)"),
    ];
    for (name, value, words) in wrong {
        let error = format!("{:#}", read(&[(ENDPOINT, "http://c"), (name, value)]).unwrap_err());
        assert!(error.starts_with(&format!("{name}: ")) && error.contains(words), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn headers_and_attributes_are_read_as_the_specification_says() {
    let collector = read(&[
        (ENDPOINT, "http://c"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x=1=2,"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment.name=test"),
        ("OTEL_SERVICE_NAME", "paint"),
    ]);
    let collector = collector.unwrap().unwrap();
    assert_eq!(collector.headers, [("api-key".into(), "a b".into()), ("x".into(), "1=2".into())]);
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    assert!(collector.resource.contains(&text("service.name", "paint")));
    assert!(!collector.resource.contains(&text("service.name", "other")));
    assert!(collector.resource.contains(&text("deployment.environment.name", "test")));
    assert!(!format!("{collector:?}").contains("a b"));
}

#[test]
fn a_collector_that_sends_elsewhere_has_taken_nothing() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let elsewhere = format!("HTTP/1.1 302 Found\r\nLocation: {endpoint}/login\r\nContent-Length: 0\r\n\r\n");
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut seen, mut bytes) = (String::new(), [0; 4096]);
        while !seen.ends_with('}') {
            let read = stream.read(&mut bytes).unwrap();
            assert!(read > 0, "the request ends in its middle: {seen}");
            seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        stream.write_all(elsewhere.as_bytes()).unwrap();
        // Whoever follows asks again, on this line or on another one.
        listener.set_nonblocking(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        stream.read(&mut bytes).unwrap_or(0) > 0 || listener.accept().is_ok()
    });
    let sent = read(&[(ENDPOINT, &endpoint)]).unwrap().unwrap().send(Vec::new());
    // First: a request that never came leaves the other thread waiting.
    assert_eq!(sent, Err("HTTP 302".to_owned()));
    assert!(!serving.join().unwrap(), "it goes where it was sent");
}

#[test]
fn a_time_is_in_milliseconds() {
    assert_eq!(milliseconds("T", "250").unwrap(), Duration::from_millis(250));
}
