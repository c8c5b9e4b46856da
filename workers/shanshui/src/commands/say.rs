//! `shanshui say`: a recording becomes a transcript and pictures.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::Args;
use sha2::{Digest, Sha256};
use shanshui_pipeline::Step;
use shanshui_pipeline::id::hex;
use shanshui_pipeline::job::{AudioJob, AudioSource, JobId};
use shanshui_pipeline::queue::Queue;
use shanshui_pipeline::store::{ObjectKey, Store};
use shanshui_pipeline::wire;

use crate::exit::{Exit, OrExit, Refusal};
use crate::job::send::{self, WaitArgs};
use crate::job::spec::JobArgs;
use crate::reach::Reach;

/// Most bytes of a recording that is sent: hours of compressed speech, and memory to hold it.
const MAX_RECORDING: u64 = 1 << 30;

/// Transcribe a recording and paint it
#[derive(Debug, Clone, Args)]
pub(crate) struct SayArgs {
    /// Recording: WAV, FLAC, MP3, Ogg, Opus, WebM, M4A, AIFF or CAF; - reads it from standard input
    file: PathBuf,
    /// Language spoken, as en or zh; naming it saves the detection and its mistakes
    #[arg(long, help_heading = "Speech")]
    language: Option<String>,
    /// transcribe keeps the language, translate gives English, auto translates unless the picture
    /// model reads the language
    #[arg(long, help_heading = "Speech")]
    task: Option<String>,
    /// Names and jargon that are likely to be heard
    #[arg(long, value_name = "TEXT", help_heading = "Speech")]
    hint: Option<String>,
    #[command(flatten)]
    job: JobArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    reach: Reach,
}

/// Submits the recording and sees it through.
pub(crate) async fn run(args: SayArgs, steps: &'static [Step]) -> Result<Exit, Refusal> {
    let recording = read(&args.file).or_exit(Exit::Usage)?;
    let mut job = args.audio_job(steps, &recording)?;
    let id = send::name(&mut job);
    let queue = args.reach.queue(steps).await?;
    if !fits(&queue, &job) {
        let store = args.reach.store().await?;
        job.audio = upload(&store, &id, recording).await?;
    }
    send::send((&args.reach, &queue), &args.job.lane, job, &args.wait).await
}

impl SayArgs {
    fn audio_job(&self, steps: &[Step], recording: &Bytes) -> Result<AudioJob, Refusal> {
        let job: Result<AudioJob, _> = self.job.job(steps, |fields| {
            let audio = rmpv::Value::Map(vec![("bytes".into(), recording.to_vec().into())]);
            fields.put("audio", Some(audio));
            fields.put("language", self.language.as_deref());
            fields.put("task", self.task.as_deref());
            fields.put("hint", self.hint.as_deref());
        });
        job.or_exit(Exit::Usage)
    }
}

/// Whether the job travels with its recording in one message.
fn fits(queue: &Queue, job: &AudioJob) -> bool {
    let limit = queue.max_payload();
    // Encoding copies: spare it for what cannot fit.
    let AudioSource::Inline(bytes) = &job.audio else { return true };
    bytes.len() <= limit && wire::encode(job).1.len() <= limit
}

async fn upload(store: &Store, id: &JobId, recording: Bytes) -> Result<AudioSource, Refusal> {
    let sha256 = hex(&Sha256::digest(&recording));
    let stored = store.put(&ObjectKey::Audio(id), recording).await.or_exit(Exit::Unreachable)?;
    if stored.sha256 != sha256 {
        return Err(Refusal::setting("id", id, "a name that no other recording has"));
    }
    Ok(AudioSource::Stored { key: stored.key, sha256: Some(sha256) })
}

fn read(path: &Path) -> anyhow::Result<Bytes> {
    let mut bytes = Vec::new();
    let limit = MAX_RECORDING + 1;
    let shown = path.display();
    if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes).context("file: cannot read standard input")?;
    } else {
        let file = File::open(path).with_context(|| format!("file: cannot open {shown}"))?;
        file.take(limit).read_to_end(&mut bytes).with_context(|| format!("file: cannot read {shown}"))?;
    }
    let allowed = "a recording of 1 byte to 1 GiB";
    ensure!(!bytes.is_empty(), "file: {shown} (0 bytes) is not allowed; allowed: {allowed}");
    ensure!(bytes.len() as u64 <= MAX_RECORDING, "file: {shown} (above 1 GiB) is not allowed; allowed: {allowed}");
    Ok(bytes.into())
}
