//! GraphQL: the same jobs under the same limits.

use serde_json::{Value, json};

use super::doors::keyed;
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
    let aliases = |count: usize, field: &str| {
        let all = (0..count).map(|at| format!("a{at}: {field} ")).collect::<String>();
        ask(&format!("mutation {{ {all} }}")).is(200).json()
    };
    let many = aliases(6, r#"draw(job: { text: "a boat" }) { id }"#);
    assert!(many["data"].is_null() && many["errors"].is_array(), "{many}");
    for wrong in ["[]", "{", "7", r#"["{ capabilities }"]"#, r#"[{"query": "{ capabilities }"}]"#, r#"{"query": 7}"#] {
        let json = [("Content-Type", "application/json")];
        anna.send("POST", "/graphql", &json, wrong.as_bytes()).is(400);
    }
    anna.send("POST", "/graphql", &[("Content-Type", "application/json")], b"{\"query\": \"\xff\"}").is(400);
    anna.send("POST", "/graphql", &[("Content-Type", "application/json")], &[b' '; 300_000]).is(413);
    anna.send("POST", "/graphql", &[("Content-Type", "text/plain")], b"{}").is(415);
    anna.get("/graphql?query={capabilities}").is(405);
    anna.post("/graphql", &[("Origin", "http://evil.example")], &json!({ "query": "{ capabilities }" })).is(403);
    let listed: Value = ask("{ jobs(limit: 101) { next } }").is(200).json();
    assert_eq!(listed["errors"][0]["extensions"]["field"], "limit", "{listed}");
}
