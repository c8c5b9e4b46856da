//! Erasing over HTTP: all of a job, of one's own, once it has ended.

use serde_json::{Value, json};
use shanshui_tests::{Stack, sha256, until};

use super::{door, gateway, painted, small, text};
use crate::clients::stack;

#[tokio::test]
async fn a_job_that_has_ended_is_erased_for_its_caller() {
    let (door, client) = (door(), stack().client().await);
    let id = text(&painted(&door, &[]).is(200).json()["id"]);
    let keys = async || client.keys(&format!("jobs/{id}/")).await.len();
    assert!(keys().await > 1);
    let place = format!("/v1/jobs/{id}");
    let wrong = door.send("DELETE", &format!("{place}?erase=perhaps"), &[], b"").is(400).json();
    assert_eq!(wrong["error"]["param"], "erase");
    assert_eq!(door.send("DELETE", &place, &[], b"").is(409).json()["error"]["code"], "job-ended");
    let told = door.send("DELETE", &format!("{place}?erase=true"), &[], b"").is(200).json();
    let erased = |what: &str| told["erased"][what].as_u64().expect("a number");
    assert_eq!((&told["id"], erased("dead_letters"), erased("queued")), (&id.as_str().into(), 0, 0));
    assert!(erased("objects") > 1 && erased("events") > 3, "{told}");
    assert_eq!(keys().await, 0);
    for path in ["", "/events", "/pictures/0"] {
        door.get(&format!("{place}{path}")).is(404);
    }
    door.send("DELETE", &format!("{place}?erase=true"), &[], b"").is(404);

    let long = json!({ "text": "a river", "picture": { "steps": 150, "count": 4 } });
    let long = format!("/v1/jobs/{}", text(&door.post("/v1/jobs", &[], &long).is(202).json()["id"]));
    let open = door.send("DELETE", &format!("{long}?erase=true"), &[], b"").is(409).json();
    assert_eq!(open["error"]["code"], "job-open");
    door.send("DELETE", &long, &[], b"").is(202);
    let ended = async || (door.get(&long).is(200).json()["state"] == "canceled").then_some(());
    until("the end of the job", ended).await;
    door.send("DELETE", &format!("{long}?erase=true"), &[], b"").is(200);
}

#[tokio::test]
async fn s29_a_key_erases_nothing_of_another_lane() {
    let stack = Stack::start();
    let _worker = stack.worker("paint", "hand");
    let file = stack.folder().join("keys");
    let line = |name: &str| format!("{name}:{}:{name}\n", sha256(&name.to_owned().into()));
    std::fs::write(&file, line("anna") + &line("ben")).expect("a file");
    let (door, _process) = gateway(&stack, &["--api-keys", file.to_str().expect("a path")]);
    let [anna, ben] = ["anna", "ben"].map(|key| door.with("Authorization", &format!("Bearer {key}")));
    let client = stack.client().await;
    let id = text(&painted(&anna, &[]).is(200).json()["id"]);
    let (place, own) = (format!("/v1/jobs/{id}"), text(&painted(&ben, &[]).is(200).json()["id"]));
    for path in [format!("{place}?erase=true"), "/v1/jobs/none?erase=true".to_owned()] {
        ben.send("DELETE", &path, &[], b"").is(404);
        door.send("DELETE", &path, &[], b"").is(401);
    }
    anna.get(&format!("{place}/pictures/0")).is(200);
    // Ben sends a job under Anna's name. It is refused, and his letter stays when she erases hers.
    let nats = async_nats::connect(stack.url()).await.expect("the queue answers");
    let job = json!({ "id": id, "text": "of ben", "picture": small() }).to_string();
    nats.publish("shanshui.text.ben", job.into()).await.expect("a connection");
    nats.flush().await.expect("a connection");
    let letter = until("a dead letter", async || client.dead(&id).await).await;
    assert!(letter.subject.starts_with("shanshui.text.ben"), "{letter:?}");
    let told: Value = anna.send("DELETE", &format!("{place}?erase=true"), &[], b"").is(200).json();
    assert_eq!(told["erased"]["dead_letters"], 0);
    assert_eq!(client.lying("DEAD").await, 1);
    anna.get(&place).is(404);
    ben.get(&format!("/v1/jobs/{own}/pictures/0")).is(200);
}
