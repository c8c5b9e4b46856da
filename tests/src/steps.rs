//! The pipeline as its program tells it: these tests know no stage by name that is not under test.

use std::sync::OnceLock;

use serde_json::Value;

use super::paths::{clean, shanshui};

/// One step of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Name of the stage.
    pub stage: String,
    /// Name of its queue's stream.
    pub stream: String,
    /// The default pool's consumers.
    pub consumers: Vec<String>,
}

/// The steps of the program under test, in the order in which a job takes them.
pub fn steps() -> &'static [Step] {
    static STEPS: OnceLock<Vec<Step>> = OnceLock::new();
    STEPS.get_or_init(|| {
        let output = clean(shanshui()).args(["topology", "--declared", "--json"]).output().expect("the program starts");
        let told: Value = serde_json::from_slice(&output.stdout).expect("a topology as JSON");
        let steps: Vec<Step> = told["steps"].as_array().into_iter().flatten().map(Step::read).collect();
        assert!(!steps.is_empty(), "{told}");
        steps
    })
}

impl Step {
    fn read(told: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a name").to_owned();
        let consumers = told["consumers"].as_array().into_iter().flatten().map(text).collect();
        Self { stage: text(&told["stage"]), stream: text(&told["stream"]), consumers }
    }
}
