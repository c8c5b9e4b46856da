//! S17: TLS as `deploy/nats-tls.conf` has it, with certificates that are made here.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use shanshui_tests::{PATIENCE, Process, scratch};

use super::guarded::{Guarded, said};

/// Certificates in a folder, each as NAME.pem and NAME.key.
pub(crate) struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// An authority and what it signed: a server, one that is out of date, one of another name, a
    /// client; and an authority that signed none of them.
    pub(crate) fn make(folder: &Path) -> Self {
        let made = Self { folder: folder.to_owned() };
        let (ours, theirs) = (authority(), authority());
        fs::write(made.path("ca.pem"), ours.pem()).expect("a file");
        fs::write(made.path("other-ca.pem"), theirs.pem()).expect("a file");
        made.sign(&ours, "server", "127.0.0.1", 2100);
        made.sign(&ours, "expired", "127.0.0.1", 2001);
        made.sign(&ours, "elsewhere", "elsewhere.example", 2100);
        made.sign(&ours, "client", "client", 2100);
        made.sign(&theirs, "stranger", "client", 2100);
        made
    }

    fn sign(&self, authority: &CertifiedIssuer<'_, KeyPair>, name: &str, host: &str, until: i32) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a name");
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let signed = params.signed_by(&key, authority).expect("a signature");
        fs::write(self.path(&format!("{name}.pem")), signed.pem()).expect("a file");
        fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).expect("a file");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What deploy/nats-tls.conf asks for, with one of the servers' certificates.
    pub(crate) fn for_server(&self, name: &str) -> [(&'static str, PathBuf); 3] {
        [
            ("SHANSHUI_NATS_SERVER_CERT", self.path(&format!("{name}.pem"))),
            ("SHANSHUI_NATS_SERVER_KEY", self.path(&format!("{name}.key"))),
            ("SHANSHUI_NATS_CLIENT_CA", self.path("ca.pem")),
        ]
    }

    pub(crate) fn server(&self, name: &str) -> Guarded {
        let variables = self.for_server(name);
        let variables: Vec<(&str, &Path)> = variables.iter().map(|(name, path)| (*name, path.as_path())).collect();
        Guarded::bare("nats-tls.conf", &variables)
    }

    /// Shows `name` to the server, and trusts `authority`.
    fn shown<'a>(&self, command: &'a mut Command, authority: &str, name: &str) -> &'a mut Command {
        command
            .env("SHANSHUI_NATS_CA", self.path(&format!("{authority}.pem")))
            .env("SHANSHUI_NATS_CERT", self.path(&format!("{name}.pem")))
            .env("SHANSHUI_NATS_KEY", self.path(&format!("{name}.key")))
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

const APPLY: [&str; 4] = ["streams", "apply", "--connect-seconds", "3"];

/// A command that must not get in.
fn refused(what: &str, command: &mut Command) {
    let output = command.output().expect("shanshui starts");
    assert_eq!(output.status.code(), Some(6), "{what}: {}", said(&output));
}

#[test]
fn s17_certificates_that_do_not_fit_are_refused_on_both_sides() {
    let folder = scratch();
    let made = Certificates::make(folder.path());
    let guarded = made.server("server");
    let admin = || guarded.command("admin", &APPLY);
    refused("an authority that did not sign", made.shown(&mut admin(), "other-ca", "client"));
    refused("no client certificate", admin().env("SHANSHUI_NATS_CA", made.path("ca.pem")));
    refused("a client of another authority", made.shown(&mut admin(), "ca", "stranger"));
    refused("no certificates at all", &mut admin());
    for name in ["expired", "elsewhere"] {
        let guarded = made.server(name);
        refused(name, made.shown(&mut guarded.command("admin", &APPLY), "ca", "client"));
    }
    let right = made.shown(&mut admin(), "ca", "client").output().expect("shanshui starts");
    assert!(right.status.success(), "{}", said(&right));
}

#[test]
fn s17_every_command_and_worker_takes_the_certificates() {
    let folder = scratch();
    let made = Certificates::make(folder.path());
    let guarded = made.server("server");
    let run = |role: &str, arguments: &[&str]| {
        let mut command = guarded.command(role, arguments);
        let output = made.shown(&mut command, "ca", "client").output().expect("shanshui starts");
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    };
    run("admin", &["streams", "apply"]);
    run("admin", &["streams", "check"]);
    let workers = ["transcribe", "paint"].map(|stage| {
        let mut command = guarded.command(stage, &[stage]);
        let worker = Process::spawn(stage, made.shown(&mut command, "ca", "client"));
        worker.says("taking jobs", PATIENCE);
        worker
    });
    run("tenant-a", &["draw", "a boat", "--steps", "2", "--count", "1", "--id", "boat"]);
    let silence = shanshui_tests::clip("silence.wav");
    run("tenant-a", &["say", silence.to_str().expect("a path in Unicode"), "--no-wait"]);
    run("watch", &["jobs", "show", "boat"]);
    run("admin", &["dead", "list"]);
    drop(workers);
}

#[test]
fn s17_a_client_without_tls_learns_nothing_and_gets_nowhere() {
    let folder = scratch();
    let made = Certificates::make(folder.path());
    let guarded = made.server("server");
    let mut link = TcpStream::connect(guarded.url.trim_start_matches("nats://")).expect("a port");
    link.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    link.write_all(b"CONNECT {\"verbose\":false,\"user\":\"admin\",\"pass\":\"canary-of-admin\"}\r\nPING\r\n")
        .expect("a connection");
    let mut heard = Vec::new();
    // It ends with an end or a reset: the server hangs up.
    let _ = link.read_to_end(&mut heard);
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.starts_with("INFO ") && heard.contains("\"tls_required\":true"), "{heard}");
    assert!(!heard.contains("PONG"), "{heard}");
    let told = ["canary", "connect_urls", "PIPELINE", folder.path().to_str().expect("a path in Unicode")];
    assert!(told.iter().all(|word| !heard.contains(word)), "{heard}");
}
