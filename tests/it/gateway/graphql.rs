//! GraphQL: the same jobs under the same limits.

use serde_json::{Value, json};
use shanshui_tests::Receiver;

use super::doors::keyed;
use super::socket::{self, hear, say};
use super::webhooks::hooked;
use crate::clients::{client, passes, stack};

#[test]
fn s29_graphql_takes_follows_and_refuses_jobs_as_http_does() {
    let (door, _process, _folder) = keyed();
    let mut node = client("node", stack());
    passes("graphql", node.arg("tests/clients/graphql_jobs.mjs").env("DOOR", format!("http://{}", door.address())), 20);
}

#[test]
fn s20_a_query_costs_little_whatever_it_says() {
    let (door, _process, _folder) = keyed();
    let anna = door.with("Authorization", "Bearer key of anna");
    let ask = |query: &str| anna.post("/graphql", &[], &json!({ "query": query }));
    door.post("/graphql", &[], &json!({ "query": "{ capabilities }" })).is(401);
    assert_eq!(ask("{ capabilities }").is(200).json()["data"]["capabilities"]["caller"]["name"], "anna");
    let doubled =
        (0..40).map(|at| format!("fragment f{at} on Query {{ ...f{0} ...f{0} }} ", at + 1)).collect::<String>();
    for (name, query) in [
        ("deep", format!("{}{}", "{a".repeat(100), "}".repeat(100))),
        ("wide", format!("{{ {} }}", "capabilities ".repeat(1200))),
        ("doubled", format!("{{ ...f0 }} {doubled} fragment f40 on Query {{ capabilities }}")),
        ("in circles", "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }".to_owned()),
        ("long", format!("{{ job(id: \"{}\") {{ id }} }}", "x".repeat(20_000))),
    ] {
        assert_eq!(ask(&query).is(400).json()["error"]["param"], "query", "{name}");
    }
    let many = ask(&format!("mutation {{ {} }}", flood(6, r#"draw(job: { text: "a boat" }) { id }"#))).is(200).json();
    assert!(many["data"].is_null() && many["errors"].is_array(), "{many}");
    for wrong in ["[]", "{", "7", r#"["{ capabilities }"]"#, r#"[{"query": "{ capabilities }"}]"#, r#"{"query": 7}"#] {
        let json = [("Content-Type", "application/json")];
        anna.send("POST", "/graphql", &json, wrong.as_bytes()).is(400);
    }
    anna.send("POST", "/graphql", &[("Content-Type", "application/json")], b"{\"query\": \"\xff\"}").is(400);
    anna.send("POST", "/graphql", &[("Content-Type", "application/json")], &[b' '; 300_000]).is(413);
    for media in ["text/plain", "text/plain; a=application/json", "application/json-patch+json", "application/graphql"]
    {
        anna.send("POST", "/graphql", &[("Content-Type", media)], br#"{"query": "{ __typename }"}"#).is(415);
    }
    let nulls = json!({ "query": "{ __typename }", "variables": null, "operationName": null, "extensions": null });
    assert_eq!(anna.post("/graphql", &[], &nulls).is(200).json()["data"]["__typename"], "Query");
    let introspected = format!("{{ __schema {{ types {{ {} }} }} }}", flood(240, "fields { name }"));
    assert!(ask(&introspected).is(200).body.len() < 1 << 20);
    let wrong = ask(&format!("query {} {{ __typename }}", "@a".repeat(4000))).is(200);
    assert!(wrong.body.len() < 4096, "{} bytes of errors", wrong.body.len());
    anna.get("/graphql?query={capabilities}").is(405);
    anna.post("/graphql", &[("Origin", "http://evil.example")], &json!({ "query": "{ capabilities }" })).is(403);
    let listed: Value = ask("{ jobs(limit: 101) { next } }").is(200).json();
    assert_eq!(listed["errors"][0]["extensions"]["field"], "limit", "{listed}");
}

/// The same field under many names.
fn flood(count: usize, field: &str) -> String {
    (0..count).map(|at| format!("a{at}: {field} ")).collect()
}

#[test]
fn s29_graphql_over_a_socket_is_what_its_protocol_says() {
    let (door, _process, _folder) = keyed();
    let mut node = client("node", stack());
    node.args(["--experimental-websocket", "tests/clients/graphql_socket.mjs"]).env("DOOR", door.address());
    passes("graphql socket", &mut node, 40);
}

const PROTOCOL: (&str, &str) = ("Sec-WebSocket-Protocol", "graphql-transport-ws");

#[test]
fn s29_a_socket_of_graphql_has_a_key_and_no_page_of_another_site() {
    let (door, _process, _folder) = keyed();
    let open = |more: &[(&str, &str)]| socket::open(&door, "/graphql", &[&[PROTOCOL], more].concat());
    let own = format!("http://{}", door.address());
    assert_eq!(open(&[("Origin", "http://evil.example")]).1, "403");
    assert_eq!((open(&[("Origin", &own)]).1, open(&[("Authorization", "Bearer x")]).1), ("101".into(), "401".into()));
    let (mut line, _) = open(&[("Authorization", "Bearer key of ben")]);
    say(&mut line, 1, br#"{"type":"connection_init"}"#);
    assert_eq!(hear(&mut line)["type"], "connection_ack");
    say(&mut line, 1, br#"{"type":"subscribe","id":"1","payload":{"query":"{ capabilities }"}}"#);
    let told = hear(&mut line);
    assert_eq!(told["payload"]["data"]["capabilities"]["caller"]["name"], "ben", "{told}");
    door.with("Authorization", "Bearer key of ben").get("/graphql").is(405);
}

#[tokio::test]
async fn a_job_of_a_socket_has_a_webhook_that_leads_back_and_a_name_of_its_own() {
    let (door, _process) = hooked(&[]);
    let receiver = Receiver::start(&["200 OK"]);
    let (mut line, _) = socket::open(&door, "/graphql", &[PROTOCOL, ("Idempotency-Key", "of the socket")]);
    say(&mut line, 1, br#"{"type":"connection_init"}"#);
    assert_eq!(hear(&mut line)["type"], "connection_ack");
    let query = "mutation($job: Draw!) { draw(job: $job) { id } }";
    for text in ["a boat", "a lake"] {
        let job = json!({ "text": text, "picture": { "width": 64, "height": 64, "steps": 2, "count": 1 },
            "webhook": receiver.url("127.0.0.1") });
        let payload = json!({ "query": query, "variables": { "job": job } });
        say(&mut line, 1, json!({ "type": "subscribe", "id": text, "payload": payload }).to_string().as_bytes());
        let told = hear(&mut line);
        assert!(told["payload"]["data"]["draw"]["id"].is_string(), "{told}");
        assert_eq!(hear(&mut line)["type"], "complete");
    }
    for got in receiver.gets(2).await {
        let told: Value = serde_json::from_slice(&got.body).expect("JSON");
        assert!(told["data"]["links"]["self"].as_str().is_some_and(|own| own.contains(door.address())), "{told}");
    }
}
