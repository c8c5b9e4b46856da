//! The HTTP door: jobs, events, objects and the shapes of others, against a running pipeline.

mod doors;
mod edges;
mod erase;
mod events;
#[cfg(feature = "graphql")]
mod graphql;
mod guard;
mod jobs;
mod lanes;
mod shapes;
mod socket;
mod speak;
mod strangers;
mod told;
mod webhooks;

use std::sync::OnceLock;

use serde_json::{Value, json};
use shanshui_tests::door::{Answer, Door};
use shanshui_tests::{Process, Stack};

use crate::clients::stack;

/// The gateway that most of these tests share.
pub(crate) fn door() -> Door {
    static GATEWAY: OnceLock<(Door, Process)> = OnceLock::new();
    GATEWAY.get_or_init(|| gateway(stack(), &[])).0.clone()
}

/// A gateway on a free port.
fn gateway(stack: &Stack, arguments: &[&str]) -> (Door, Process) {
    let mut command = stack.command(&[&["gateway", "--gateway", "127.0.0.1:0"], arguments].concat());
    let process = Process::spawn("gateway", &mut command);
    (Door::of(&process), process)
}

/// The smallest picture that there is.
fn small() -> Value {
    json!({ "width": 64, "height": 64, "steps": 2, "count": 1, "seed": 7 })
}

/// Sends a text to paint, and waits for the picture.
fn painted(door: &Door, headers: &[(&str, &str)]) -> Answer {
    let headers = [&[("Prefer", "wait=120")], headers].concat();
    door.post("/v1/jobs", &headers, &json!({ "text": "a boat", "picture": small() }))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a string, not {value}")).to_owned()
}
