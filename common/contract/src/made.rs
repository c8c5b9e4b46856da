//! What the stages of a job have made so far: the part of a job that only the pipeline writes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::sha256_hex;

/// One object in the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MadeObject {
    /// What it is: `transcript`, `picture`, `audio`, …
    pub kind: String,
    /// Its key below the store's prefix.
    pub key: String,
    /// SHA-256 of its bytes in lower-case hexadecimal.
    pub sha256: String,
    /// Its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// What one stage made of a job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Made {
    /// The stage; the worker fills it in.
    #[serde(default)]
    pub stage: String,
    /// Seconds that the successful attempt took; the worker fills them in.
    #[serde(default)]
    pub seconds: f64,
    /// Objects in the bucket.
    #[serde(default)]
    pub objects: Vec<MadeObject>,
    /// All else that the receipt says of this stage: model, recipe, language, …
    #[serde(default, flatten)]
    pub facts: Map<String, Value>,
}

impl Made {
    /// Nothing but these objects and facts.
    pub fn new(objects: Vec<MadeObject>, facts: Value) -> Self {
        let facts = match facts {
            Value::Object(facts) => facts,
            _ => Map::new(),
        };
        Self { objects, facts, ..Self::default() }
    }

    /// A digest of all that the stages have made, in order, whatever time it took. The event
    /// `finished` carries it, so that the next stage can tell the pipeline's word from a sender's.
    pub fn digest(all: &[Self]) -> String {
        let timeless: Vec<_> = all.iter().map(|made| Self { seconds: 0.0, ..made.clone() }).collect();
        sha256_hex(serde_json::to_string(&timeless).unwrap_or_default().as_bytes())
    }

    /// The receipt of a job that is complete: one entry per stage, and every object once more.
    pub fn receipt(all: &[Self]) -> Map<String, Value> {
        let stages = all.iter().map(|made| (made.stage.clone(), serde_json::to_value(made).unwrap_or_default()));
        let objects = all.iter().flat_map(|made| &made.objects);
        let objects = objects.map(|object| serde_json::to_value(object).unwrap_or_default());
        let mut receipt = Map::new();
        receipt.insert("objects".into(), objects.collect());
        receipt.insert("stages".into(), Value::Object(stages.collect()));
        receipt
    }
}
