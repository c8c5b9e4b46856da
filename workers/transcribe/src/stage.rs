//! The stage: a recording in, a text job out, or the end where nobody spoke.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shanshui_common::context::Context;
use shanshui_common::event::Event;
use shanshui_common::failure::{Failure, Verdict as _};
use shanshui_common::fields::FieldError;
use shanshui_common::job::{AudioJob, AudioSource, Task, TextJob, Until};
use shanshui_common::model_thread::ModelThread;
use shanshui_common::stage::{Outcome, Stage};
use shanshui_common::store::{ObjectKey, Stored};
use shanshui_common::telemetry::Metrics;

use crate::audio::{self, Budget, DecodeError, Ffmpeg, Recording, Source};
use crate::decoding::{self, Options, TranscribeError, Transcript, Verdict};
use crate::gate;
use crate::options::TranscribeOptions;
use crate::record::{self, Said};
use crate::whisper::{Whisper, find_language};

/// A transcribe worker's stage: a loaded Whisper and what it agrees to.
pub struct Transcribe {
    model: ModelThread<Whisper>,
    /// What the record says of the model.
    about: Value,
    budget: Budget,
    ffmpeg: Option<Ffmpeg>,
    max_bytes: u64,
    readable: Vec<String>,
}

/// What came of listening.
enum Heard {
    Speech(Box<Transcript>, Box<Source>),
    Nothing(String),
}

impl Transcribe {
    /// Loads the model in `folder`.
    ///
    /// # Errors
    /// A device that is not there, or a folder that is not a model; says which file and field.
    pub async fn load(options: &TranscribeOptions, folder: &Path, metrics: &Metrics) -> anyhow::Result<Self> {
        let device = options.whisper_device.open()?;
        let ffmpeg = Ffmpeg::find(&options.ffmpeg)?;
        let path: PathBuf = folder.to_owned();
        let model = ModelThread::spawn("whisper-model", move || {
            Whisper::load(&path, &device).with_context(|| format!("cannot load {}", path.display()))
        });
        let model = model.await?.timed_by(metrics.model_seconds(Self::NAME));
        let sha256 = model.call(|whisper| whisper.sha256().to_owned()).await?;
        let name = folder.file_name().map_or_else(|| "whisper".into(), |name| name.to_string_lossy().into_owned());
        tracing::info!(model = name, sha256, "speech model loaded");
        let about = json!({ "name": name, "sha256": sha256, "code": concat!("shanshui ", env!("CARGO_PKG_VERSION")) });
        let (budget, max_bytes) = (options.budget(), options.max_audio_bytes);
        Ok(Self { model, about, budget, ffmpeg, max_bytes, readable: options.picture_languages.clone() })
    }

    fn options(&self, job: &AudioJob) -> Result<Options, FieldError> {
        let language = job.language.as_deref();
        if let Some(name) = language {
            let refused = |_| FieldError::new("language", name, "a language of Whisper's, as zh or Chinese");
            find_language(name).map_err(refused)?;
        }
        let task = if job.task == Task::Translate { decoding::Task::Translate } else { decoding::Task::Transcribe };
        let automatic = job.task == Task::Auto && job.until == Until::Picture;
        Ok(Options {
            language: language.map(str::to_owned),
            task,
            readable: automatic.then(|| self.readable.clone()),
            hint: job.hint.clone(),
            ..Options::default()
        })
    }

    async fn fetch(&self, audio: &AudioSource, context: &Context) -> Result<Bytes, Failure> {
        match audio {
            AudioSource::Inline(bytes) => Ok(bytes.clone()),
            AudioSource::Stored { key, sha256 } => {
                let bytes = context.store.get(key, self.max_bytes).await?;
                let found = hex(&bytes);
                match sha256 {
                    Some(wanted) if *wanted != found => {
                        Err(FieldError::new("audio.sha256", wanted, format!("{found}, the hash of {key}")).into())
                    }
                    _ => Ok(bytes),
                }
            }
        }
    }

    async fn listen(&self, bytes: Bytes, options: Options, context: &Context) -> Result<Heard, Failure> {
        let (budget, ffmpeg) = (self.budget, self.ffmpeg.clone());
        let decoding = tokio::task::spawn_blocking(move || audio::decode_with(&bytes, &budget, ffmpeg.as_ref()));
        let recording = match decoding.await.context("decoding the recording panicked").or_reject()? {
            Ok(recording) => recording,
            Err(DecodeError::Recording(refused)) => return Err(Failure::Reject(refused.into())),
            Err(DecodeError::Worker(error)) => return Err(Failure::Retry(error)),
        };
        context.progress.touch();
        match recording.sound.verdict {
            gate::Verdict::Silence => Ok(Heard::Nothing("silence".into())),
            gate::Verdict::Steady => Ok(Heard::Nothing("steady noise or a tone".into())),
            gate::Verdict::Speech => self.understand(recording, options, context).await,
        }
    }

    async fn understand(&self, recording: Recording, options: Options, context: &Context) -> Result<Heard, Failure> {
        let (progress, stop) = (Arc::clone(&context.progress), context.stop.clone());
        let Recording { samples, source, sound } = recording;
        let transcribed = self.model.call_in_turn(&context.progress, move |whisper| {
            whisper.transcribe_stretches(&samples, &sound.stretches, &options, &mut |at| {
                progress.report(at.done, at.total);
                if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        });
        match transcribed.await {
            Err(gone) => Err(Failure::Broken(anyhow!(gone))),
            Ok(Err(TranscribeError::Stopped(_))) => Err(Failure::Interrupted),
            Ok(Err(TranscribeError::Wish(refused))) => Err(Failure::Reject(refused)),
            Ok(Err(TranscribeError::Model(error))) => Err(Failure::Retry(error)),
            Ok(Ok(transcript)) => Ok(match transcript.verdict() {
                Verdict::Speech => Heard::Speech(Box::new(transcript), Box::new(source)),
                Verdict::NoSpeech(reason) => Heard::Nothing(reason),
            }),
        }
    }

    /// The words of the job: those of an earlier attempt, if it came that far.
    async fn said(&self, job: &AudioJob, context: &Context) -> Result<Result<Said, String>, Failure> {
        let key = ObjectKey::Transcript(&context.job);
        if let Some(stored) = context.store.find(&key).await? {
            let bytes = context.store.get(&stored.key, record::MAX_BYTES).await?;
            return Said::read(&bytes, stored).map(Ok).or_reject();
        }
        let options = self.options(job)?;
        let bytes = self.fetch(&job.audio, context).await?;
        let audio_sha256 = hex(&bytes);
        let (transcript, source) = match self.listen(bytes, options, context).await? {
            Heard::Nothing(reason) => return Ok(Err(reason)),
            Heard::Speech(transcript, source) => (transcript, source),
        };
        let record = record::of(&transcript, &source, &self.about, &audio_sha256);
        let stored = context.store.put(&key, record.to_string().into()).await?;
        let bytes = context.store.get(&stored.key, record::MAX_BYTES).await?;
        Said::read(&bytes, stored).map(Ok).or_retry()
    }
}

impl Stage for Transcribe {
    const NAME: &'static str = "transcribe";
    type Input = AudioJob;
    type Output = TextJob;

    async fn run(&self, job: AudioJob, context: &Context) -> Result<Outcome<TextJob>, Failure> {
        let began = Instant::now();
        let said = match self.said(&job, context).await? {
            Ok(said) => said,
            Err(reason) => return Ok(Outcome::End(Event::NoSpeech { reason })),
        };
        let seconds = began.elapsed().as_secs_f64();
        let (text, language) = (said.text.clone(), said.language.clone());
        context.tell(Event::Transcript { text, language, key: said.stored.key.clone(), seconds }).await?;
        let audio = match &job.audio {
            AudioSource::Stored { key, .. } => Some(key.as_str()),
            AudioSource::Inline(_) => None,
        };
        if job.until == Until::Picture {
            return Ok(Outcome::Next(said.into_job(audio, job.common)));
        }
        let receipt = said.receipt(audio, &context.job, &job.common.labels);
        let receipt: Stored = context.store.put(&ObjectKey::Receipt(&context.job), receipt.to_string().into()).await?;
        Ok(Outcome::End(Event::Done { stage: Self::NAME.into(), key: Some(receipt.key), seconds }))
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
