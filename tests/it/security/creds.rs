//! S16 with credentials files: a user's signed token, its account's, and the operator's.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};
use shanshui_tests::{PATIENCE, Process, scratch};
use tempfile::TempDir;

use super::guarded::{Guarded, said};

/// An account of a server in operator mode, whose users come with tokens that it signed.
struct Account {
    guarded: Guarded,
    key: KeyPair,
    folder: TempDir,
}

impl Account {
    fn start() -> Self {
        let (folder, operator, key) = (scratch(), KeyPair::new_operator(), KeyPair::new_account());
        let own = json!({ "type": "operator", "version": 2 });
        let itself = token(&operator, &operator.public_key(), &own, None);
        let no_end = ["subs", "data", "payload", "imports", "exports", "conn", "leaf", "mem_storage", "disk_storage"];
        let no_end = no_end.iter().chain(&["streams", "consumer"]).map(|limit| ((*limit).to_owned(), json!(-1)));
        let limits: serde_json::Map<_, _> = no_end.chain([("wildcards".to_owned(), json!(true))]).collect();
        let account = json!({ "type": "account", "version": 2, "limits": limits });
        let account = token(&operator, &key.public_key(), &account, None);
        let config = folder.path().join("nats.conf");
        let system = KeyPair::new_account().public_key();
        let systems = token(&operator, &system, &json!({ "type": "account", "version": 2 }), None);
        let text = format!(
            "host: 127.0.0.1\noperator: {itself}\nsystem_account: {system}\nresolver: MEMORY\n\
             resolver_preload: {{ {}: {account}, {system}: {systems} }}\n\
             jetstream {{ store_dir: $SHANSHUI_NATS_STORE, sync_interval: always }}\n",
            key.public_key()
        );
        fs::write(&config, text).expect("a file");
        let guarded = Guarded::bare(config.to_str().expect("a path in Unicode"), &[]);
        Self { guarded, key, folder }
    }

    /// A credentials file that is good for this long; where it is not, it ran out this long ago.
    fn creds(&self, name: &str, seconds: i64) -> PathBuf {
        let user = KeyPair::new_user();
        let claims =
            json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {} });
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970").as_secs();
        let ends = now.saturating_add_signed(seconds);
        let token = token(&self.key, &user.public_key(), &claims, Some(ends));
        let seed = user.seed().expect("a seed");
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    }

    /// Runs a command that must end well.
    fn does(&self, creds: &PathBuf, arguments: &[&str]) {
        let output = self.command(creds, arguments).output().expect("shanshui starts");
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    }

    fn command(&self, creds: &PathBuf, arguments: &[&str]) -> Command {
        let mut command = self.guarded.stranger(arguments);
        command.env("SHANSHUI_NATS_CREDS", creds);
        command
    }
}

/// A token as NATS reads it (ADR-14): JWT with the algorithm `ed25519-nkey`.
fn token(issuer: &KeyPair, subject: &str, claims: &Value, ends: Option<u64>) -> String {
    let mut body = json!({ "jti": subject, "iat": 1, "iss": issuer.public_key(), "sub": subject, "nats": claims });
    if let Some(ends) = ends {
        body["exp"] = json!(ends);
    }
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(body));
    let signature = issuer.sign(signed.as_bytes()).expect("a signature");
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn s16_a_credentials_file_lets_every_command_in_and_one_that_ran_out_does_not() {
    let account = Account::start();
    let good = account.creds("good.creds", 3600);
    let does = |arguments: &[&str]| account.does(&good, arguments);
    does(&["streams", "apply"]);
    let worker = Process::spawn("paint", &mut account.command(&good, &["paint"]));
    worker.says("taking jobs", PATIENCE);
    does(&["draw", "a boat", "--steps", "2", "--count", "1", "--id", "boat"]);
    does(&["jobs", "show", "boat"]);
    does(&["dead", "list"]);
    does(&["audit"]);
    let late = account.creds("late.creds", -60);
    let draw = ["draw", "a cat", "--no-wait", "--connect-seconds", "3"];
    let refused = account.command(&late, &draw).output().expect("shanshui starts");
    assert_eq!(refused.status.code(), Some(6), "{}", said(&refused));
    assert!(said(&refused).contains("authorization violation"), "{}", said(&refused));
}

#[test]
fn s16_a_worker_whose_credentials_run_out_says_so_and_takes_new_ones_from_the_same_file() {
    let account = Account::start();
    let admin = account.creds("admin.creds", 3600);
    let does = |arguments: &[&str]| account.does(&admin, arguments);
    does(&["streams", "apply"]);
    let creds = account.creds("worker.creds", 8);
    let worker = Process::spawn("paint", &mut account.command(&creds, &["paint"]));
    worker.says("taking jobs", PATIENCE);
    worker.says("Authentication Expired", PATIENCE);
    worker.says("lost the connection", PATIENCE);
    let refusals = || account.guarded.server.log().matches("authentication error").count();
    let (before, seconds) = (refusals(), 5);
    std::thread::sleep(Duration::from_secs(seconds));
    let knocks = refusals() - before;
    assert!(
        (1..seconds as usize).contains(&knocks),
        "{knocks} logins in {seconds} s\n{}",
        account.guarded.server.log()
    );
    account.creds("worker.creds", 3600);
    does(&["draw", "a boat", "--steps", "2", "--count", "1"]);
}
