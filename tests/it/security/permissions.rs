//! S15: each part of the pipeline tries what every other may do, and what nobody may; those outside
//! reach nothing but what is theirs.

use std::path::Path;
use std::process::Output;

use serde_json::json;

use super::guarded::{Guarded, OUTSIDERS, PARTS, deploy, said, server};
use super::voice::Voice;

/// Subjects, and the roles that may publish there.
const PUBLISH: &[(&str, &[&str])] = &[
    ("shanshui.audio.default", &["admin", "reconcile", "gateway", "intake"]),
    ("shanshui.text.default", &["admin", "transcribe", "reconcile", "gateway"]),
    ("shanshui.cancel.job", &["admin", "gateway", "erase"]),
    ("shanshui.events.job.done", &["transcribe", "paint", "reconcile"]),
    ("shanshui.events.job.queued", &["transcribe", "paint", "reconcile", "gateway"]),
    ("shanshui.text.default.sdxl", &["admin", "paint", "reconcile"]),
    ("shanshui.ended.job.0", &["transcribe", "paint", "reconcile"]),
    ("shanshui.state.audit", &["reconcile"]),
    ("shanshui.dead.transcribe.default", &["transcribe", "reconcile"]),
    ("shanshui.dead.paint.default", &["paint", "reconcile"]),
    ("shanshui.intake.default", &["admin", "bucket"]),
    ("shanshui.dead.intake.default", &["reconcile", "intake"]),
    ("$JS.API.CONSUMER.MSG.NEXT.INTAKE.intake", &["intake"]),
    ("$JS.API.CONSUMER.MSG.NEXT.ENDS.intake", &["intake"]),
    ("$JS.ACK.INTAKE.intake.1.1.1.1.1", &["intake"]),
    ("$JS.ACK.hub.hash.ENDS.intake.1.1.1.1.1", &["intake"]),
    ("$JS.API.CONSUMER.INFO.INTAKE.intake", &["admin", "reconcile", "gateway", "intake"]),
    ("$JS.API.CONSUMER.CREATE.INTAKE.intake.shanshui.intake.default", &["admin"]),
    ("$JS.API.CONSUMER.CREATE.ENDS.intake.shanshui.ended.*.*", &["admin"]),
    ("$JS.API.STREAM.MSG.GET.INTAKE", &["reconcile"]),
    ("shanshui.webhook.job", &["gateway"]),
    ("shanshui.worker.transcribe.ear", &["transcribe"]),
    ("shanshui.worker.paint.hand", &["paint"]),
    ("shanshui.webhook.default.job", &["admin", "gateway"]),
    ("shanshui.dead.webhook.default", &["reconcile", "gateway"]),
    ("$JS.API.CONSUMER.MSG.NEXT.ENDS.webhooks", &["gateway", "intake"]),
    ("$JS.API.CONSUMER.MSG.NEXT.WEBHOOKS.webhooks", &["gateway"]),
    ("$JS.ACK.hub.hash.ENDS.webhooks.1.1.1.1.1", &["gateway", "intake"]),
    ("$JS.ACK.WEBHOOKS.webhooks.1.1.1.1.1", &["gateway"]),
    ("$JS.API.CONSUMER.CREATE.WEBHOOKS.webhooks.shanshui.webhook.*.*", &["admin"]),
    ("$JS.API.STREAM.MSG.GET.WEBHOOKS", &["reconcile", "gateway"]),
    ("$JS.API.STREAM.MSG.DELETE.WEBHOOKS", &["gateway"]),
    ("$JS.API.CONSUMER.MSG.NEXT.AUDIO.transcribe", &["transcribe"]),
    ("$JS.API.CONSUMER.MSG.NEXT.TEXT.paint", &["paint"]),
    ("$JS.API.CONSUMER.MSG.NEXT.ADVISORIES.reconcile", &["reconcile"]),
    ("$JS.ACK.AUDIO.transcribe.1.1.1.1.1", &["transcribe"]),
    ("$JS.ACK.hub.hash.AUDIO.transcribe.1.1.1.1.1", &["transcribe"]),
    ("$JS.ACK.TEXT.paint.1.1.1.1.1", &["paint"]),
    ("$JS.ACK.hub.hash.TEXT.paint.1.1.1.1.1", &["paint"]),
    ("$JS.ACK.ADVISORIES.reconcile.1.1.1.1.1", &["reconcile"]),
    ("$JS.API.STREAM.INFO.TEXT", &["admin", "transcribe", "paint", "reconcile", "gateway", "erase"]),
    ("$JS.API.STREAM.INFO.ADVISORIES", &["admin", "transcribe", "paint", "reconcile", "gateway", "erase"]),
    ("$JS.API.CONSUMER.INFO.AUDIO.transcribe", &["admin", "transcribe", "reconcile", "gateway"]),
    ("$JS.API.CONSUMER.INFO.TEXT.paint", &["admin", "paint", "reconcile", "gateway"]),
    ("$JS.API.STREAM.CREATE.OTHER", &["admin"]),
    ("$JS.API.STREAM.UPDATE.AUDIO", &["admin"]),
    ("$JS.API.CONSUMER.CREATE.AUDIO.transcribe.shanshui.audio.*.default.2", &["admin"]),
    ("$JS.API.CONSUMER.CREATE.TEXT.paint.shanshui.text.*.default.2", &["admin"]),
    ("$JS.API.CONSUMER.NAMES.TEXT", &["admin"]),
    ("$JS.API.CONSUMER.CREATE.ADVISORIES.reconcile", &["admin"]),
    ("$JS.API.STREAM.MSG.GET.EVENTS", &["transcribe", "paint", "reconcile", "gateway", "intake", "erase"]),
    ("$JS.API.STREAM.MSG.GET.ENDS", &["transcribe", "paint", "reconcile", "erase"]),
    ("$JS.API.STREAM.MSG.GET.CANCELS", &["transcribe", "paint", "reconcile"]),
    ("$JS.API.STREAM.MSG.GET.DEAD", &["admin", "transcribe", "paint", "reconcile", "intake", "gateway", "erase"]),
    ("$JS.API.DIRECT.GET.ENDS", &["reconcile", "erase"]),
    ("$JS.API.STREAM.MSG.GET.AUDIO", &["reconcile", "gateway", "erase"]),
    ("$JS.API.STREAM.MSG.DELETE.AUDIO", &["reconcile", "erase"]),
    ("$JS.API.STREAM.MSG.DELETE.TEXT", &["reconcile", "erase"]),
    ("$JS.API.STREAM.MSG.DELETE.DEAD", &["admin", "reconcile", "erase"]),
    ("$JS.API.STREAM.PURGE.EVENTS", &["reconcile", "erase"]),
    ("$JS.API.STREAM.PURGE.ENDS", &["reconcile", "erase"]),
    ("$JS.API.STREAM.PURGE.CANCELS", &["reconcile", "erase"]),
    ("$JS.API.STREAM.PURGE.WEBHOOKS", &["reconcile", "erase"]),
    ("$JS.API.STREAM.MSG.DELETE.EVENTS", &[]),
    ("$JS.API.STREAM.MSG.DELETE.ENDS", &[]),
    ("$JS.API.STREAM.PURGE.AUDIO", &[]),
    ("$JS.API.STREAM.PURGE.STATE", &[]),
    ("$JS.API.STREAM.PURGE.ADVISORIES", &[]),
    ("$JS.API.STREAM.PURGE.INTAKE", &[]),
    ("$JS.API.STREAM.DELETE.AUDIO", &[]),
    ("$JS.API.STREAM.DELETE.EVENTS", &[]),
    ("$JS.API.STREAM.PURGE.TEXT", &[]),
    ("$JS.API.STREAM.PURGE.DEAD", &[]),
    ("$JS.API.STREAM.SNAPSHOT.AUDIO", &[]),
    ("$JS.API.STREAM.RESTORE.AUDIO", &[]),
    ("$JS.API.DIRECT.GET.AUDIO.shanshui.audio.default", &[]),
    ("$JS.API.CONSUMER.CREATE.EVENTS", &[]),
    ("$JS.API.CONSUMER.CREATE.EVENTS.spy.shanshui.events.job.done", &[]),
    ("$JS.API.CONSUMER.DURABLE.CREATE.TEXT.spy", &[]),
    ("$JS.API.CONSUMER.DELETE.AUDIO.transcribe", &[]),
    ("$JS.API.CONSUMER.PAUSE.TEXT.paint", &[]),
    ("$JS.API.CONSUMER.MSG.NEXT.EVENTS.reader", &[]),
    ("$SYS.REQ.SERVER.PING", &[]),
];

/// What nobody in the account may listen to.
const SECRET: [&str; 8] = [
    ">",
    "_INBOX.>",
    "shanshui.>",
    "shanshui.audio.>",
    "shanshui.dead.>",
    "$JS.API.>",
    "$JS.EVENT.ADVISORY.>",
    "$SYS.>",
];

const STREAMS: [&str; 10] =
    ["AUDIO", "TEXT", "EVENTS", "ENDS", "CANCELS", "DEAD", "ADVISORIES", "STATE", "INTAKE", "WEBHOOKS"];

#[tokio::test]
async fn s15_no_role_can_do_what_another_may_or_what_nobody_may() {
    let guarded = Guarded::start();
    let admin = Voice::of(&guarded, "admin").await;
    admin.says("shanshui.audio.default", "a recording").await;
    let before = streams(&admin).await;
    let mut tried = 0;
    for role in PARTS {
        let voice = Voice::of(&guarded, role).await;
        let forbidden: Vec<&str> =
            PUBLISH.iter().filter(|(_, roles)| !roles.contains(&role)).map(|(subject, _)| *subject).collect();
        assert_eq!(voice.publishes(&forbidden).await, forbidden, "{role} is refused all of these");
        let inboxes = PARTS.iter().filter(|other| **other != role).map(|other| format!("_INBOX_{other}.>"));
        let ears: Vec<String> = inboxes.chain(SECRET.map(str::to_owned)).collect();
        assert_eq!(voice.subscribes(&ears).await, ears, "{role} hears none of these");
        let replies: Vec<String> = PARTS.iter().map(|other| format!("_INBOX_{other}.x")).collect();
        let replies: Vec<&str> = replies.iter().map(String::as_str).collect();
        assert_eq!(voice.publishes(&replies).await, replies, "{role} cannot answer in another's place");
        tried += forbidden.len() + ears.len() + replies.len();
    }
    assert_eq!(streams(&admin).await, before, "nothing has changed");
    let violations = |log: &str| log.matches("Violation -").count();
    // Each attempt, and one more that ends each of the three lists of a role.
    assert_eq!(violations(&guarded.server.log()), tried + 3 * PARTS.len(), "the server's log has each of them once");
}

#[tokio::test]
async fn s15_each_role_is_let_do_its_own_work() {
    let guarded = Guarded::start();
    for role in PARTS {
        let voice = Voice::of(&guarded, role).await;
        let own: Vec<&str> =
            PUBLISH.iter().filter(|(_, roles)| roles.contains(&role)).map(|(subject, _)| *subject).collect();
        assert_eq!(voice.publishes(&own).await, Vec::<String>::new(), "{role} is refused none of these");
        let mut ears = vec![format!("_INBOX_{role}.>")];
        if ["transcribe", "paint"].contains(&role) {
            let own = ["shanshui.cancel.*", "shanshui.cancel.*.*", "$JS.EVENT.ADVISORY.STREAM.*.*"];
            ears.extend(own.map(str::to_owned));
        }
        if role == "gateway" {
            ears.extend(["shanshui.events.*.*".into(), "shanshui.worker.*.*".into()]);
        }
        assert_eq!(voice.subscribes(&ears).await, Vec::<String>::new(), "{role} hears these");
    }
}

#[tokio::test]
async fn s15_a_tenant_has_its_own_lane_and_reaches_nothing_else() {
    let guarded = Guarded::start();
    let (admin, reconcile) = (Voice::of(&guarded, "admin").await, Voice::of(&guarded, "reconcile").await);
    for (number, tenant) in ["tenant-a", "tenant-b"].into_iter().enumerate() {
        let voice = Voice::of(&guarded, tenant).await;
        for queue in ["audio", "text"] {
            voice.says(&format!("shanshui.{queue}.default"), "a job").await;
            let ask = json!({ "seq": number + 1 }).to_string();
            let kept = reconcile.asks_for(&format!("$JS.API.STREAM.MSG.GET.{}", queue.to_uppercase()), &ask).await;
            let subject = kept["message"]["subject"].as_str().unwrap_or_default().to_owned();
            assert!(subject.starts_with(&format!("shanshui.{queue}.{tenant}.default.")), "{kept}");
        }
        voice.says("shanshui.cancel.job", "").await;
    }
    admin.says("shanshui.text.default", "a job").await;
    let before = streams(&admin).await;
    for outsider in OUTSIDERS {
        let voice = Voice::of(&guarded, outsider).await;
        let ask = json!({ "seq": 1 }).to_string();
        let answer = voice.asks_for("$JS.API.STREAM.MSG.GET.EVENTS", &ask).await;
        assert_eq!(answer["error"]["code"], 404, "the pipeline's EVENTS has no message yet: {answer}");
        let own = ["shanshui.audio.default", "shanshui.text.default", "shanshui.cancel.job"];
        let own = if outsider == "watch" { &[][..] } else { &own[..] };
        let lanes = ["tenant-a", "tenant-b", "default.default.2", "other"].map(|lane| format!("shanshui.text.{lane}"));
        let others = PUBLISH.iter().map(|(subject, _)| (*subject).to_owned()).chain(lanes);
        let others: Vec<String> = others.filter(|subject| !own.contains(&subject.as_str())).collect();
        voice.tells(&others).await;
    }
    assert_eq!(streams(&admin).await, before, "nothing has changed");
}

#[test]
fn s15_a_command_in_the_wrong_hands_fails_and_changes_nothing() {
    let guarded = Guarded::start();
    let refused = |role: &str, arguments: &[&str]| {
        let output: Output = guarded.run(role, arguments);
        assert!(!output.status.success(), "{role} {arguments:?}: {}", said(&output));
    };
    refused("watch", &["draw", "a cat", "--no-wait", "--connect-seconds", "2"]);
    refused("watch", &["jobs", "cancel", "cat"]);
    refused("paint", &["jobs", "cancel", "cat"]);
    refused("paint", &["streams", "apply", "--max-deliver", "3"]);
    refused("tenant-a", &["streams", "apply", "--max-deliver", "3"]);
    for outsider in OUTSIDERS {
        refused(outsider, &["dead", "list"]);
        refused(outsider, &["audit"]);
    }
    guarded.does("admin", &["streams", "check"]);
    assert_eq!(guarded.does("admin", &["streams", "apply"]).trim(), "everything is there");
}

#[test]
fn r38_the_files_of_deploy_are_valid() {
    let store = shanshui_tests::scratch();
    let made = super::tls::Certificates::make(store.path());
    for name in ["nats.conf", "nats-tls.conf"] {
        let mut check = server(&deploy(name), store.path());
        let check = check.arg("-t").envs(made.for_server("server")).output().expect("nats-server starts");
        assert!(check.status.success(), "{name}: {}", said(&check));
    }
}

#[test]
fn r38_the_server_of_deploy_syncs_every_message() {
    let store = shanshui_tests::scratch();
    let mut command = server(&deploy("nats.conf"), &store.path().join("nats"));
    command.args(["--port", "-1", "--addr", "127.0.0.1", "-m", "-1"]);
    let server = shanshui_tests::Process::spawn("nats-server", &mut command);
    let line = server.says("Starting http monitor on", shanshui_tests::PATIENCE);
    server.says("Server is ready", shanshui_tests::PATIENCE);
    let page = super::secrets::page(line.rsplit(' ').next().expect("an address"), "/varz");
    assert!(page.contains("\"sync_always\": true"), "{page}");
    assert!(Path::new(&store.path().join("nats/jetstream")).exists());
}

/// Configuration and state of every stream, consumers included.
pub(crate) async fn streams(admin: &Voice) -> Vec<serde_json::Value> {
    let mut all = Vec::new();
    for stream in STREAMS {
        let info = admin.asks(&format!("$JS.API.STREAM.INFO.{stream}")).await;
        all.push(serde_json::json!([info["config"], info["state"]]));
    }
    for (stream, consumer) in [("AUDIO", "transcribe"), ("TEXT", "paint")] {
        let info = admin.asks(&format!("$JS.API.CONSUMER.INFO.{stream}.{consumer}")).await;
        all.push(serde_json::json!([info["config"], info["delivered"], info["ack_floor"], info["num_pending"]]));
    }
    assert!(all.iter().all(|info| info[0].is_object()), "{all:?}");
    all
}
