//! `shanshui intake`: recordings that are dropped into a bucket become jobs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use rmpv::Value;
use serde_json::Map;
use shanshui_intake::{Intake, IntakeOptions, Settings};
use shanshui_pipeline::config::{NatsOptions, S3Options, TelemetryOptions};
use shanshui_pipeline::fields::FieldError;
use shanshui_pipeline::health::Part;
use shanshui_pipeline::queue::Queue;
use shanshui_pipeline::{Step, names};

use crate::exit::{Exit, OrExit, Refusal};
use crate::job::spec::{FieldList, PictureArgs};
use crate::service::Service;

/// Take recordings that are dropped into a bucket, and bring the results back there
///
/// A store tells of its bucket on shanshui.intake.NAME, or --poll has the intake look for itself.
/// Words, pictures and the receipt come back under the name of the recording. docs/intake.md has examples.
#[derive(Debug, Clone, Args)]
pub(crate) struct IntakeArgs {
    #[command(flatten)]
    intake: IntakeOptions,
    #[command(flatten)]
    job: JobFlags,
    #[command(flatten)]
    nats: NatsOptions,
    #[command(flatten)]
    s3: S3Options,
    #[command(flatten)]
    telemetry: TelemetryOptions,
}

/// What every job of the intake says; a sidecar's fields count more.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Job")]
struct JobFlags {
    /// Lane of the jobs: a priority or a tenant
    #[arg(long, env = "SHANSHUI_LANE", default_value = "default")]
    lane: String,
    /// Where the jobs end: a stage, or what it makes, as transcript or picture [default: the last stage]
    #[arg(long, value_name = "STAGE")]
    until: Option<String>,
    /// Language spoken, as en or zh [default: detected]
    #[arg(long)]
    language: Option<String>,
    /// transcribe, translate or auto
    #[arg(long)]
    task: Option<String>,
    /// Names and jargon that are likely to be heard
    #[arg(long, value_name = "TEXT")]
    hint: Option<String>,
    /// Read spoken wishes as settings of the picture, as `say` does
    #[arg(long)]
    voice: bool,
    #[command(flatten)]
    picture: PictureArgs,
}

/// Works until SIGTERM or Ctrl-C.
pub(crate) async fn run(args: IntakeArgs, steps: &'static [Step]) -> Result<Exit, Refusal> {
    args.s3.check().or_exit(Exit::Usage)?;
    let settings = args.settings(steps)?;
    let mut parts = vec![Part::Nats, Part::Store, Part::Intake, Part::Results];
    parts.extend(settings.poll.map(|_| Part::Listing));
    let mut service = Service::start(&args.telemetry, &parts, Duration::ZERO).await?;
    let stop = service.shutdown.drain.clone();
    let intake = tokio::select! {
        intake = start(&args, settings, steps, &mut service) => intake?,
        () = stop.cancelled() => return Ok(Exit::Done),
    };
    intake.serve(stop).await;
    Ok(Exit::Done)
}

async fn start(
    args: &IntakeArgs,
    settings: Settings,
    steps: &'static [Step],
    service: &mut Service,
) -> anyhow::Result<Intake> {
    let queue = Queue::connect(&args.nats, "shanshui-intake", steps).await?;
    service.await_link(&queue);
    queue.wait_connected().await;
    let store = service.await_store(&args.s3).await?;
    let health = service.health.process();
    let subject = queue.names().intake(&settings.name);
    let (bucket, prefix, poll) = (settings.watch.bucket.clone(), settings.watch.prefix.clone(), settings.poll);
    let intake = Intake::start((queue, store), settings, health.clone(), Arc::clone(&service.metrics)).await?;
    health.up(Part::Nats);
    let seconds = poll.map(|poll| poll.as_secs());
    tracing::info!(subject, bucket, prefix, poll_seconds = seconds, "taking recordings");
    Ok(intake)
}

impl IntakeArgs {
    fn settings(&self, steps: &[Step]) -> Result<Settings, Refusal> {
        let JobFlags { lane, until, language, task, hint, voice, picture } = &self.job;
        if !names::is_lane(lane) {
            return Err(Refusal::setting("lane", lane, "one token of letters, digits, - and _"));
        }
        if let Some(name) = until.as_deref().filter(|name| Step::named(steps, name).is_none()) {
            return Err(FieldError::new("until", name, Step::names(steps))).or_exit(Exit::Usage);
        }
        let mut fields = FieldList::default();
        for (name, value) in [("until", until), ("language", language), ("task", task), ("hint", hint)] {
            fields.put(name, value.as_deref());
        }
        fields.put("voice", voice.then_some(true));
        fields.put("picture", Some(picture.value()));
        let job = as_json(fields.value()).or_exit(Exit::Usage)?;
        let place = (self.s3.bucket.as_str(), self.s3.prefix.as_str());
        self.intake.settings(place, lane, job).or_exit(Exit::Usage)
    }
}

/// The fields as JSON, in which an intake joins them with those of sidecars.
fn as_json(fields: Value) -> anyhow::Result<Map<String, serde_json::Value>> {
    let json = serde_json::to_value(fields).context("settings of a job that are no JSON")?;
    json.as_object().cloned().context("settings of a job that are no object")
}
