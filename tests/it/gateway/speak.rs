//! The WebSocket to speak to.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use shanshui_tests::{scratch, sha256};

use super::{door, gateway};
use crate::clients::{client, passes, stack};

#[test]
fn who_speaks_into_a_socket_hears_words_and_sees_pictures() {
    let folder = scratch();
    let file = folder.path().join("keys");
    std::fs::write(&file, format!("page:{}\n", sha256(&"key of a page".to_owned().into()))).expect("a file");
    let (door, _process) = gateway(stack(), &["--api-keys", file.to_str().expect("a path"), "--max-body-mib", "1"]);
    let mut socket = client("node", stack());
    // Node 20 has the sockets of browsers behind a flag.
    socket.args(["--experimental-websocket", "tests/clients/speak.mjs"]);
    socket.env("DOOR", format!("ws://{}/v1/speak", door.address()));
    socket.env("KEY", BASE64_URL_SAFE_NO_PAD.encode("key of a page"));
    passes("speak", &mut socket, 17);
}

#[test]
fn s29_a_page_of_another_site_opens_no_socket() {
    let door = door();
    let own = format!("http://{}", door.address());
    let upgrade = |more: &[(&str, &str)]| {
        let socket = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let mut link = door.open("GET", "/v1/speak", &[&socket, more].concat());
        let mut bytes = [0; 12];
        std::io::Read::read_exact(&mut link, &mut bytes).expect("an answer");
        String::from_utf8_lossy(&bytes[9..]).into_owned()
    };
    for foreign in ["http://evil.example", "null", "https://evil.example:443", "http://127.0.0.1", "file://"] {
        assert_eq!(upgrade(&[("Origin", foreign)]), "403", "{foreign}");
    }
    assert_eq!(upgrade(&[("Host", "evil.example"), ("Origin", "http://evil.example")]), "403");
    assert_eq!((upgrade(&[("Origin", &own)]).as_str(), upgrade(&[]).as_str()), ("101", "101"));
    assert!([400, 426].contains(&door.get("/v1/speak").status));
}
