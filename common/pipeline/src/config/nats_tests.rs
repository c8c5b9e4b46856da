use clap::Parser;

use super::{NatsOptions, Secret, UrlLogin};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    nats: NatsOptions,
}

fn servers(url: &str) -> Result<(Vec<String>, Option<UrlLogin>), String> {
    let line = Line::parse_from(["test".to_owned(), format!("--nats-url={url}")]);
    line.nats.servers().map_err(|error| error.to_string())
}

fn user(name: &str, password: &str) -> Option<UrlLogin> {
    Some(UrlLogin::User(name.into(), Secret::from(password.to_owned())))
}

fn token(text: &str) -> Option<UrlLogin> {
    Some(UrlLogin::Token(Secret::from(text.to_owned())))
}

#[test]
fn a_login_in_an_address_is_decoded_and_taken_out_of_it() {
    let plain = |host: &str| vec![host.to_owned()];
    for (url, host, login) in [
        ("127.0.0.1:4222", "nats://127.0.0.1:4222", None),
        ("nats://u:p@h:1", "nats://h:1", user("u", "p")),
        ("nats://user:p%40ss%2Fw@h", "nats://h", user("user", "p@ss/w")),
        ("nats://a%3Ab:c:d@h", "nats://h", user("a:b", "c:d")),
        ("nats://u:100%@h", "nats://h", user("u", "100%")),
        ("nats://u:@h", "nats://h", user("u", "")),
        ("tls://s3cr%23t@h", "tls://h", token("s3cr#t")),
        ("wss://t@h/nats", "wss://h/nats", token("t")),
        ("ws://[::1]:8080", "ws://[::1]:8080", None),
    ] {
        assert_eq!(servers(url), Ok((plain(host), login)), "{url}");
    }
}

#[test]
fn several_servers_share_one_login_wherever_it_stands() {
    let both = || vec!["nats://a".to_owned(), "nats://b".to_owned()];
    for url in ["nats://u:p@a,nats://b", "nats://a, nats://u:p@b", "nats://u:p@a,u:p@b,"] {
        assert_eq!(servers(url), Ok((both(), user("u", "p"))), "{url}");
    }
    let error = servers("nats://u:hunter2@a,nats://v:q@b").unwrap_err();
    assert!(error.contains("b has another login") && !error.contains("hunter2"), "{error}");
}

#[test]
fn other_schemes_are_refused_without_the_password() {
    let error = servers("http://u:hunter2@h").unwrap_err();
    assert!(error.contains("http://h is not allowed") && error.contains("wss://"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    assert!(servers("ws://a,nats://b").unwrap_err().contains("servers of one kind"));
}

#[test]
fn a_domain_is_one_token() {
    let parse = |text: &str| Line::try_parse_from(["test", "--nats-domain", text]);
    assert_eq!(parse("hub").unwrap().nats.domain.as_deref(), Some("hub"));
    assert!(["", "a.b", "*", "a b"].iter().all(|text| parse(text).is_err()));
}
