//! The flags that describe a job, turned into the fields of the contract.
//!
//! Ranges are checked where workers check them, in the parser of the job: one place, one wording.

use clap::Args;
use rmpv::Value;
use shanshui_pipeline::fields::{FieldError, Fields};
use shanshui_pipeline::picture::loras_value;
use shanshui_pipeline::{Job, Step};

/// What both kinds of job carry.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Job")]
pub(crate) struct JobArgs {
    /// Lane of the queue: a priority or a tenant
    #[arg(long, env = "SHANSHUI_LANE", default_value = "default")]
    pub(crate) lane: String,
    /// Name of the job, 1 to 64 of a-z, 0-9 and -; the same name is done once [default: random]
    #[arg(long)]
    id: Option<String>,
    /// The job fails if it is not done by then, as 2027-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    deadline: Option<String>,
    /// The job fails if no worker has begun it by then
    #[arg(long, value_name = "TIME")]
    start_before: Option<String>,
    /// Where the job ends: a stage, or what it makes, as transcript or picture [default: the last stage]
    #[arg(long, value_name = "STAGE")]
    until: Option<String>,
    /// Attempts at each stage; 1 for no second try [default: as the workers are set]
    #[arg(long, value_name = "COUNT")]
    attempts: Option<u64>,
    /// Label to attach; copied to events and the receipt; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    #[command(flatten)]
    picture: PictureArgs,
}

/// Wishes for the pictures.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Picture")]
pub(crate) struct PictureArgs {
    /// Model by the name that the worker gives it [default: the worker's]
    #[arg(long)]
    model: Option<String>,
    /// Width in pixels, a multiple of 8 [default: what the model was trained on]
    #[arg(long, value_name = "PIXELS")]
    width: Option<u64>,
    /// Height in pixels, a multiple of 8 [default: what the model was trained on]
    #[arg(long, value_name = "PIXELS")]
    height: Option<u64>,
    /// square, portrait, landscape or wide, in the model's own size; sides that are given count more
    #[arg(long)]
    shape: Option<String>,
    /// Denoising steps: more take longer, and beyond some 30 add little [default: the model's]
    #[arg(long)]
    steps: Option<u64>,
    /// How closely to follow the text; 1 switches guidance off and halves the time, 7 is usual,
    /// above 12 colours burn [default: the model's]
    #[arg(long, value_name = "SCALE")]
    guidance: Option<f64>,
    /// What the picture should not show
    #[arg(long, value_name = "TEXT")]
    negative: Option<String>,
    /// The same seed, text and settings give the same picture [default: random, and reported]
    #[arg(long)]
    seed: Option<u64>,
    /// Number of pictures [default: 2]
    #[arg(long)]
    count: Option<u64>,
    /// Sampler, as A1111 or diffusers name it: ddim, euler, euler-a, dpm++-2m [default: the model's]
    #[arg(long)]
    sampler: Option<String>,
    /// png (keeps the receipt), jpeg or webp
    #[arg(long)]
    format: Option<String>,
    /// How the text is read: plain, or a1111 for (word:1.3), BREAK and <lora:…> [default: plain]
    #[arg(long)]
    syntax: Option<String>,
    /// LoRA file that the worker has, by name, and how strongly it counts [default: 1]; may be repeated
    #[arg(long = "lora", value_name = "NAME[=WEIGHT]", value_parser = lora)]
    loras: Vec<(String, f64)>,
}

/// Fields of a job, in the making.
#[derive(Default)]
pub(crate) struct FieldList(Vec<(Value, Value)>);

impl FieldList {
    /// Adds a field that has a value.
    pub(crate) fn put(&mut self, name: &str, value: Option<impl Into<Value>>) {
        self.0.extend(value.map(|value| (name.into(), value.into())));
    }

    /// The object.
    pub(crate) fn value(self) -> Value {
        Value::Map(self.0)
    }
}

impl JobArgs {
    /// The job with these fields and those that `own` adds, for the pipeline `steps`; an error names
    /// the field.
    pub(crate) fn job<J: Job>(&self, steps: &[Step], own: impl FnOnce(&mut FieldList)) -> Result<J, FieldError> {
        let mut fields = FieldList(Vec::new());
        own(&mut fields);
        fields.put("id", self.id.as_deref());
        fields.put("deadline", self.deadline.as_deref());
        fields.put("start_before", self.start_before.as_deref());
        fields.put("until", self.until.as_deref());
        fields.put("attempts", self.attempts);
        let labels = self.labels.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into()));
        fields.put("labels", Some(Value::Map(labels.collect())));
        fields.put("picture", Some(self.picture.value()));
        let job: J = J::from_fields(Fields::new("", Value::Map(fields.0))?)?;
        shanshui_client::check_until(steps, &job)?;
        Ok(job)
    }
}

impl PictureArgs {
    /// The object `picture` of a job.
    pub(crate) fn value(&self) -> Value {
        let mut fields = FieldList(Vec::new());
        fields.put("model", self.model.as_deref());
        fields.put("width", self.width);
        fields.put("height", self.height);
        fields.put("shape", self.shape.as_deref());
        fields.put("steps", self.steps);
        fields.put("guidance", self.guidance);
        fields.put("negative", self.negative.as_deref());
        fields.put("seed", self.seed);
        fields.put("count", self.count);
        fields.put("sampler", self.sampler.as_deref());
        fields.put("format", self.format.as_deref());
        fields.put("syntax", self.syntax.as_deref());
        fields.put("loras", loras_value(&self.loras));
        Value::Map(fields.0)
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a label is KEY=VALUE".into()),
    }
}

/// `NAME` or `NAME=WEIGHT`.
fn lora(text: &str) -> Result<(String, f64), String> {
    let Some((name, weight)) = text.rsplit_once('=') else { return Ok((text.to_owned(), 1.0)) };
    let weight = weight.parse().map_err(|_| format!("{weight:?} is not a weight"))?;
    Ok((name.to_owned(), weight))
}
