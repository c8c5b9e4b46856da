//! Webhooks with no more rights than `deploy/nats.conf` gives, and over TLS.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use shanshui_tests::{Door, PATIENCE, Process, Receiver, python, scratch, until};

use super::guarded::Guarded;
use super::tls::Certificates;
use super::work::quiet;

/// A receiver over HTTPS: one that Python has.
const SERVER: &str = "import http.server, ssl, sys
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print('GOT', self.path, self.headers['webhook-id'], flush=True)
        self.send_response(204)
        self.end_headers()
server = http.server.HTTPServer(('127.0.0.1', 0), Hook)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
print('PORT', server.server_port, flush=True)
server.serve_forever()
";

fn gateway(guarded: &Guarded, trusted: &Path) -> (Door, Process) {
    let flags = ["gateway", "--gateway", "127.0.0.1:0", "--webhook-allow", "127.0.0.1", "--webhook-seconds", "1"];
    let mut command = guarded.command("gateway", &flags);
    command.env("SHANSHUI_GATEWAY_SECRET", "canary-of-the-gateways-all").env("SSL_CERT_FILE", trusted);
    let process = Process::spawn("gateway", &mut command);
    (Door::of(&process), process)
}

/// Sends a text that ends at once, with a webhook; the job's name.
fn sends(door: &Door, url: &str) -> String {
    let job = json!({ "text": "a boat", "start_before": "2020-01-01T00:00:00Z", "webhook": url });
    door.post("/v1/jobs", &[], &job).is(202).json()["id"].as_str().expect("a name").to_owned()
}

#[tokio::test]
async fn s15_webhooks_are_sent_buried_and_replayed_with_least_rights_and_over_tls() {
    let (guarded, folder) = (Guarded::start(), scratch());
    let worker = guarded.worker("paint");
    let made = Certificates::make(folder.path());
    let (door, process) = gateway(&guarded, &made.path("ca.pem"));

    let receiver = Receiver::start(&["410 Gone", "200 OK"]);
    let gone = sends(&door, &receiver.url("127.0.0.1"));
    let letter = until("a dead letter", async || {
        let list = guarded.does("admin", &["dead", "list", "--json"]);
        list.lines().find(|line| line.contains("it answers 410")).map(str::to_owned)
    });
    let letter: Value = serde_json::from_str(&letter.await).expect("JSON");
    assert_eq!((&letter["job"], &letter["code"]), (&gone.into(), &"failed".into()), "{letter}");
    guarded.does("admin", &["dead", "replay", &letter["sequence"].to_string()]);
    let told: Value = serde_json::from_slice(&receiver.gets(2).await[1].body).expect("JSON");
    assert_eq!(
        (&told["type"], &told["data"]["error"]["code"]),
        (&"job.failed".into(), &"start-before".into()),
        "{told}"
    );

    // The right certificate, one that is out of date, and one of another name.
    for (name, heard) in [("server", true), ("expired", false), ("elsewhere", false)] {
        let mut server = Command::new(python());
        server.args(["-c", SERVER]).arg(made.path(&format!("{name}.pem"))).arg(made.path(&format!("{name}.key")));
        let server = Process::spawn(name, &mut server);
        let port = server.says("PORT", PATIENCE).replace("PORT ", "");
        let id = sends(&door, &format!("https://127.0.0.1:{port}/tls"));
        if heard {
            server.says(&format!("GOT /tls msg_{id}_0"), PATIENCE);
        } else {
            let said = process.says(&format!("job={id}"), PATIENCE);
            assert!(
                said.contains("comes again") && said.contains("certificate") && !server.log().contains("GOT"),
                "{said}; {}",
                server.log()
            );
        }
    }
    assert!(!process.log().contains("canary"), "{}", process.log());
    quiet(&guarded, &(worker.log() + &process.log()));
}
