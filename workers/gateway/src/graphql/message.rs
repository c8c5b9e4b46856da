//! The messages of the sub-protocol `graphql-transport-ws`, and the reasons to close a socket that it names.

use async_graphql::{Error, Pos, Response, ServerError};
use axum::extract::ws::close_code;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use crate::body;
use crate::error::ApiError;
use crate::guard;

/// What a client asks for in `Sec-WebSocket-Protocol`.
pub(super) const PROTOCOL: &str = "graphql-transport-ws";
/// Longest name of an operation, in bytes: each of its answers repeats it.
const NAME: usize = 256;

/// Why a socket is closed: a code, and a reason of at most 123 bytes.
pub(super) type Why = (u16, &'static str);

pub(super) const INVALID: Why = (4400, "this message is not allowed here");
pub(super) const UNAUTHORIZED: Why = (4401, "connection_init comes first");
pub(super) const FORBIDDEN: Why = (4403, "an API key is missing or unknown: send authorization in connection_init");
pub(super) const NO_PROTOCOL: Why = (4406, "ask for the protocol graphql-transport-ws");
pub(super) const TOO_LATE: Why = (4408, "connection_init did not come");
pub(super) const USED: Why = (4409, "an operation with this id is in work");
pub(super) const TWICE: Why = (4429, "connection_init comes once");
pub(super) const TOO_MANY: Why = (close_code::AGAIN, "too many sockets are open");
pub(super) const STOPS: Why = (close_code::RESTART, "the gateway stops");
pub(super) const SILENT: Why = (close_code::NORMAL, "nothing came for too long");

/// What a client says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Said {
    /// Who it is.
    ConnectionInit {
        #[serde(default)]
        payload: Option<Map<String, Value>>,
    },
    Ping {
        #[serde(default, rename = "payload")]
        _payload: Option<IgnoredAny>,
    },
    Pong {
        #[serde(default, rename = "payload")]
        _payload: Option<IgnoredAny>,
    },
    /// An operation: a query, a mutation or a subscription.
    Subscribe { id: String, payload: Map<String, Value> },
    /// It is not wanted any more.
    Complete { id: String },
}

impl Said {
    /// Reads a message; none if it is none.
    pub(super) fn read(text: &str) -> Option<Self> {
        body::few_values(text.as_bytes()).ok()?;
        let said: Self = serde_json::from_str(text).ok()?;
        match &said {
            Self::Subscribe { id, .. } | Self::Complete { id } if id.len() > NAME => None,
            _ => Some(said),
        }
    }
}

/// The key that a client sends when it begins: `authorization`, by itself or among `headers`.
pub(super) fn key(payload: &Map<String, Value>) -> Option<Option<String>> {
    let in_map = |map: &Map<String, Value>| {
        let found = map.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        found.map(|(_, value)| value.as_str().and_then(guard::key_in))
    };
    in_map(payload).or_else(|| payload.get("headers")?.as_object().and_then(in_map))
}

pub(super) fn acknowledged() -> Value {
    json!({ "type": "connection_ack" })
}

pub(super) fn pong() -> Value {
    json!({ "type": "pong" })
}

/// One answer of an operation, and whether others may follow. An operation that did not begin has no
/// answers but errors.
pub(super) fn answer(id: &str, said: &Response) -> (Value, bool) {
    let begun = said.errors.is_empty() || said.errors.iter().any(|error| !error.path.is_empty());
    match begun {
        true => (json!({ "id": id, "type": "next", "payload": said }), true),
        false => (errors(id, &said.errors), false),
    }
}

/// An operation that is refused before anything of it is done.
pub(super) fn refused(id: &str, error: ApiError) -> Value {
    errors(id, &[Error::from(error).into_server_error(Pos::default())])
}

fn errors(id: &str, errors: &[ServerError]) -> Value {
    json!({ "id": id, "type": "error", "payload": errors })
}

/// Nothing follows.
pub(super) fn complete(id: &str) -> Value {
    json!({ "id": id, "type": "complete" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s20_what_is_no_message_is_none() {
        for text in [
            r#"{"type":"connection_init"}"#,
            r#"{"type":"connection_init","payload":null}"#,
            r#"{"type":"ping","payload":{"at":1}}"#,
            r#"{"type":"pong"}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{ capabilities }"}}"#,
            r#"{"id":"1","type":"complete"}"#,
        ] {
            assert!(Said::read(text).is_some(), "{text}");
        }
        let long = format!(r#"{{"type":"complete","id":"{}"}}"#, "x".repeat(NAME + 1));
        let many = format!(r#"{{"type":"ping","payload":[{}0]}}"#, "0,".repeat(100_000));
        for text in ["", "{", "[]", "7", r#"{"type":"start","id":"1"}"#, r#"{"type":"complete"}"#, &long, &many] {
            assert!(Said::read(text).is_none(), "{}", &text[..text.len().min(60)]);
        }
        for wrong in [r#"{"type":"connection_init","payload":7}"#, r#"{"type":"subscribe","id":1,"payload":{}}"#] {
            assert!(Said::read(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_key_comes_by_itself_or_among_headers() {
        let payload = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
        let sesame = Some(Some("sesame".to_owned()));
        assert_eq!(key(&payload(r#"{"Authorization":"Bearer sesame"}"#)), sesame);
        assert_eq!(key(&payload(r#"{"headers":{"authorization":"bearer sesame"}}"#)), sesame);
        assert_eq!(key(&payload(r#"{"authorization":7}"#)), Some(None));
        assert_eq!(key(&payload(r#"{"token":"sesame","headers":[]}"#)), None);
    }
}
