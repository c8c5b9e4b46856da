//! `GET /openapi.json`: OpenAPI 3.1, its paths made from the list of routes.

use std::sync::LazyLock;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use shanshui_pipeline::{asyncapi, schema};

use crate::error::answer;
use crate::gateway::Gateway;
use crate::routes::{ROUTES, Route};

/// What goes into a route and comes out of it, by method and path.
static DETAILS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("openapi.json")).unwrap_or_default());

/// Answers with the document.
pub(crate) async fn read() -> Response {
    answer(StatusCode::OK, &document())
}

/// `GET /schema.json`: JSON Schemas of all that travels.
pub(crate) async fn schemas() -> Response {
    answer(StatusCode::OK, &schema::document())
}

/// `GET /asyncapi.json`: the subjects on NATS.
pub(crate) async fn subjects(State(gateway): State<Gateway>) -> Response {
    answer(StatusCode::OK, &asyncapi::document(gateway.queue.names()))
}

fn document() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation(route);
    }
    let mut components = DETAILS["components"].clone();
    if let Some(schemas) = components["schemas"].as_object_mut() {
        schemas.extend(schema::definitions_at("#/components/schemas/"));
    }
    let license = json!({ "name": "Apache-2.0", "identifier": "Apache-2.0" });
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Shanshui", "version": env!("CARGO_PKG_VERSION"), "license": license },
        // No key is needed on a loopback address.
        "security": [{}, { "key": [] }, { "password": [] }],
        "paths": paths,
        "webhooks": DETAILS["webhooks"],
        "components": components,
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = DETAILS["operations"][key(route)].clone();
    operation["summary"] = route.summary.into();
    operation
}

fn key(route: &Route) -> String {
    format!("{} {}", route.method, route.path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else_is() {
        let described = DETAILS["operations"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(described, ROUTES.iter().map(key).collect());
        for route in ROUTES {
            let operation = operation(route);
            assert!(operation["responses"].is_object(), "{}", key(route));
            let named = route.path.split('/').filter(|part| part.starts_with('{')).count();
            let given = operation["parameters"].as_array().into_iter().flatten();
            let given = given.filter(|one| one["in"] == "path" || one["$ref"].is_string()).count();
            assert_eq!(named, given, "{}", key(route));
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut open = vec![&document];
        let mut seen = 0;
        while let Some(value) = open.pop() {
            if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
                seen += 1;
            }
            open.extend(value.as_object().into_iter().flat_map(Map::values));
            open.extend(value.as_array().into_iter().flatten());
        }
        assert!(seen > ROUTES.len());
    }
}
