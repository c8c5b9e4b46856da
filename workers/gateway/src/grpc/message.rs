//! The messages of `proto/shanshui.proto`. A test compares them with it.

use std::collections::HashMap;

use bytes::Bytes;
use prost::{Message, Oneof};
use rmpv::Value as Fields;
use serde::{Deserialize, Serialize};
use shanshui_pipeline::fields::FieldError;

use crate::error::ApiError;

/// Fields of a job.
pub(super) type Pairs = Vec<(Fields, Fields)>;

/// Most bytes of the settings of a job: read, each takes many times its size.
const SETTINGS: usize = 64 << 10;

#[derive(Clone, PartialEq, Message)]
pub(super) struct SubmitRequest {
    #[prost(oneof = "submit_request::Of", tags = "1, 2")]
    pub(super) of: Option<submit_request::Of>,
    /// [`Settings`], not read yet.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub(super) settings: Option<Bytes>,
}

pub(super) mod submit_request {
    use super::{Bytes, Oneof};

    #[derive(Clone, PartialEq, Oneof)]
    pub(in super::super) enum Of {
        #[prost(string, tag = "1")]
        Text(String),
        #[prost(bytes = "bytes", tag = "2")]
        Recording(Bytes),
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RecordingPart {
    #[prost(oneof = "recording_part::Of", tags = "1, 2")]
    pub(super) of: Option<recording_part::Of>,
}

pub(super) mod recording_part {
    use super::{Bytes, Oneof};

    #[derive(Clone, PartialEq, Oneof)]
    pub(in super::super) enum Of {
        /// [`super::Settings`], not read yet.
        #[prost(bytes = "bytes", tag = "1")]
        Settings(Bytes),
        #[prost(bytes = "bytes", tag = "2")]
        Sound(Bytes),
    }
}

#[derive(Clone, PartialEq, Message, Serialize)]
pub(super) struct Settings {
    #[prost(string, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    #[prost(string, optional, tag = "2")]
    #[serde(skip)]
    pub(super) lane: Option<String>,
    #[prost(string, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) language: Option<String>,
    #[prost(string, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) task: Option<String>,
    #[prost(string, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
    #[prost(string, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) whisper: Option<String>,
    #[prost(bool, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) voice: Option<bool>,
    #[prost(string, optional, tag = "8")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<String>,
    #[prost(message, optional, tag = "9")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) picture: Option<PictureSettings>,
    #[prost(string, optional, tag = "10")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deadline: Option<String>,
    #[prost(string, optional, tag = "11")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start_before: Option<String>,
    #[prost(uint32, optional, tag = "12")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attempts: Option<u32>,
    #[prost(map = "string, string", tag = "13")]
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    pub(super) labels: HashMap<String, String>,
    #[prost(string, optional, tag = "14")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) webhook: Option<String>,
}

impl Settings {
    /// The lane that is wished for, and the fields of the job.
    pub(super) fn read(given: Option<&Bytes>) -> Result<(Option<String>, Pairs), ApiError> {
        let given = given.map_or(&[][..], |given| given);
        if given.len() > SETTINGS {
            let found = format!("({} bytes)", given.len());
            return Err(FieldError::new("settings", found, format!("at most {SETTINGS} bytes")).into());
        }
        let allowed = "a message Settings of shanshui.proto";
        let settings = Self::decode(given).map_err(|error| FieldError::new("settings", error, allowed))?;
        let fields = serde_json::to_value(&settings).and_then(serde_json::from_value);
        match fields.map_err(|error| FieldError::new("settings", error, allowed))? {
            Fields::Map(pairs) => Ok((settings.lane, pairs)),
            other => Err(FieldError::new("settings", other, allowed).into()),
        }
    }
}

#[derive(Clone, PartialEq, Message, Serialize)]
pub(super) struct PictureSettings {
    #[prost(string, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
    #[prost(uint32, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) width: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) height: Option<u32>,
    #[prost(string, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shape: Option<String>,
    #[prost(uint32, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) steps: Option<u32>,
    #[prost(double, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) guidance: Option<f64>,
    #[prost(string, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) negative: Option<String>,
    #[prost(uint64, optional, tag = "8")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seed: Option<u64>,
    #[prost(uint32, optional, tag = "9")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) count: Option<u32>,
    #[prost(string, optional, tag = "10")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sampler: Option<String>,
    #[prost(string, optional, tag = "11")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) syntax: Option<String>,
    #[prost(message, repeated, tag = "12")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) loras: Vec<Lora>,
    #[prost(string, optional, tag = "13")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) format: Option<String>,
}

#[derive(Clone, PartialEq, Message, Serialize)]
pub(super) struct Lora {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(double, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) weight: Option<f64>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct SubmitReply {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) state: String,
    #[prost(uint64, optional, tag = "3")]
    pub(super) place: Option<u64>,
    #[prost(double, optional, tag = "4")]
    pub(super) estimate_seconds: Option<f64>,
    #[prost(uint64, optional, tag = "5")]
    pub(super) workers: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GetRequest {
    #[prost(string, tag = "1")]
    pub(super) id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CancelRequest {
    #[prost(string, tag = "1")]
    pub(super) id: String,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct CancelReply {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) state: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EraseRequest {
    #[prost(string, tag = "1")]
    pub(super) id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FollowRequest {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(uint64, tag = "2")]
    pub(super) after: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Event {
    #[prost(uint64, tag = "1")]
    pub(super) sequence: u64,
    #[prost(string, tag = "2")]
    pub(super) kind: String,
    #[prost(string, tag = "3")]
    pub(super) json: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PictureRequest {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(uint32, tag = "2")]
    pub(super) index: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PicturePart {
    #[prost(message, optional, tag = "1")]
    pub(super) info: Option<PictureInfo>,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) bytes: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PictureInfo {
    #[prost(string, tag = "1")]
    pub(super) r#type: String,
    #[prost(string, tag = "2")]
    pub(super) sha256: String,
    #[prost(uint64, tag = "3")]
    pub(super) length: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CapabilitiesRequest {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CapabilitiesReply {
    #[prost(string, tag = "1")]
    pub(super) json: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ListRequest {
    #[prost(uint32, optional, tag = "1")]
    pub(super) limit: Option<u32>,
    #[prost(string, optional, tag = "2")]
    pub(super) after: Option<String>,
}
