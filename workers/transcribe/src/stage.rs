//! The stage: a recording in, a text job out, or the end where nobody spoke.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use serde_json::{Value, json};
use shanshui_model::gpu;
use shanshui_pipeline::context::Context;
use shanshui_pipeline::failure::{Failure, OrFailure as _};
use shanshui_pipeline::fields::FieldError;
use shanshui_pipeline::id::sha256_hex;
use shanshui_pipeline::job::{AudioJob, AudioSource, Task, TextJob};
use shanshui_pipeline::lease;
use shanshui_pipeline::model_thread::{ModelGone, ModelThread};
use shanshui_pipeline::serve::{Layout, Serve};
use shanshui_pipeline::stage::{Outcome, Stage};
use shanshui_pipeline::store::{ObjectKey, Stored};
use shanshui_pipeline::telemetry::{Histogram, Metrics, Yield, phase};
use tracing::{Instrument, Span};

use crate::audio::{self, Budget, DecodeError, Ffmpeg, Recording, Source};
use crate::decoding::{self, Options, Progress, Told, TranscribeError, Transcript, Verdict, subtitles};
use crate::folder::{files, find};
use crate::gate;
use crate::options::TranscribeOptions;
use crate::partial::Partials;
use crate::record::{self, Said};
use crate::whisper::{Whisper, find_language};

/// A transcribe worker's stage: a loaded Whisper and what it agrees to.
pub struct Transcribe {
    model: ModelThread<Arc<Whisper>>,
    /// The model, for several recordings at once.
    shared: Option<Arc<Whisper>>,
    /// How many.
    together: u16,
    seconds: Histogram,
    /// What the record says of the model.
    about: Value,
    name: String,
    audio_prefixes: Vec<String>,
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
        let ffmpeg = Ffmpeg::find(&options.ffmpeg)?;
        let (path, kind): (PathBuf, _) = (folder.to_owned(), options.whisper_device);
        let precision = options.whisper_precision;
        let model = ModelThread::spawn("whisper-model", move || {
            let device = kind.open()?;
            let loaded = Whisper::load_in(&path, &device, precision);
            loaded.map(Arc::new).with_context(|| format!("cannot load {}", path.display()))
        });
        let seconds = metrics.model_seconds(Self::NAME);
        let model = model.await?.timed_by(seconds.clone());
        let several = options.batch_recordings > 1;
        let known = model.call(move |whisper| {
            let shared = Some(Arc::clone(whisper)).filter(|whisper| several && whisper.shares());
            (whisper.origin().clone(), whisper.sha256().to_owned(), shared)
        });
        let (origin, sha256, shared) = known.await?;
        if several && shared.is_none() {
            tracing::warn!("batch-recordings counts in int8 alone: recordings are written down one by one");
        }
        let together = if shared.is_some() { options.batch_recordings } else { 1 };
        tracing::info!(model = origin.name, commit = origin.commit.as_deref(), sha256, "speech model loaded");
        let mut about = origin.to_json();
        about["sha256"] = sha256.into();
        about["code"] = concat!("shanshui ", env!("CARGO_PKG_VERSION")).into();
        let name = origin.name;
        let (budget, max_bytes) = (options.budget(), options.max_audio_bytes);
        let (audio_prefixes, readable) = (options.audio_prefixes.clone(), options.picture_languages.clone());
        Ok(Self { model, shared, together, seconds, about, name, audio_prefixes, budget, ffmpeg, max_bytes, readable })
    }

    fn options(&self, job: &AudioJob, context: &Context) -> Result<Options, FieldError> {
        let language = job.language.as_deref();
        if let Some(name) = language {
            let refused = |_| FieldError::new("language", name, "a language of Whisper's, as zh or Chinese");
            find_language(name).map_err(refused)?;
        }
        let task = if job.task == Task::Translate { decoding::Task::Translate } else { decoding::Task::Transcribe };
        let automatic = job.task == Task::Auto && !context.last;
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
                self.may_read(key)?;
                let bytes = context.store.get(key, self.max_bytes).await?;
                let found = sha256_hex(&bytes);
                match sha256 {
                    Some(wanted) if *wanted != found => {
                        Err(FieldError::new("audio.sha256", wanted, format!("{found}, the hash of {key}")).into())
                    }
                    _ => Ok(bytes),
                }
            }
        }
    }

    /// A job must not have other objects read than recordings.
    fn may_read(&self, key: &str) -> Result<(), FieldError> {
        if self.audio_prefixes.iter().any(|prefix| key.starts_with(prefix)) {
            return Ok(());
        }
        let allowed = format!("a key that begins with {}", self.audio_prefixes.join(" or "));
        Err(FieldError::new("audio.key", key, allowed))
    }

    async fn listen(&self, bytes: Bytes, options: Options, context: &Context) -> Result<Heard, Failure> {
        let (budget, ffmpeg) = (self.budget, self.ffmpeg.clone());
        let decoding = tokio::task::spawn_blocking(move || audio::decode_with(&bytes, &budget, ffmpeg.as_ref()));
        let recording =
            match decoding.instrument(phase("decode")).await.context("decoding the recording panicked").or_reject()? {
                Ok(recording) => recording,
                Err(DecodeError::Recording(refused)) => return Err(Failure::Reject(refused.into())),
                Err(DecodeError::Worker(error)) => return Err(Failure::Retry(error)),
            };
        context.progress.touch();
        context.made(Yield::AudioSeconds, recording.source.seconds);
        match recording.sound.verdict {
            gate::Verdict::Silence => Ok(Heard::Nothing("silence".into())),
            gate::Verdict::Steady => Ok(Heard::Nothing("steady noise or a tone".into())),
            gate::Verdict::Speech => self.understand(recording, options, context).await,
        }
    }

    /// Works with the model: on its own thread, or beside others.
    async fn on_model<T, W>(&self, progress: &Arc<lease::Progress>, work: W) -> Result<T, ModelGone>
    where
        T: Send + 'static,
        W: FnOnce(&Whisper) -> T + Send + 'static,
    {
        let Some(whisper) = self.shared.clone() else {
            return self.model.call_in_turn(progress, move |whisper| work(whisper)).await;
        };
        let (span, begun) = (Span::current(), Instant::now());
        let done = tokio::task::spawn_blocking(move || span.in_scope(|| work(&whisper))).await;
        self.seconds.observe(begun.elapsed().as_secs_f64());
        done.map_err(|_| self.model.gone())
    }

    async fn understand(&self, recording: Recording, options: Options, context: &Context) -> Result<Heard, Failure> {
        let (progress, stop) = (Arc::clone(&context.progress), context.stop.clone());
        let Recording { samples, source, sound } = recording;
        let (mut partials, heard) = Partials::channel();
        let transcribed = self.on_model(&context.progress, move |whisper| {
            let mut report = |at: Progress| {
                progress.report(at.done, at.total);
                if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let told = Told { progress: &mut report, hearing: &mut |hearing| partials.hear(hearing) };
            whisper.transcribe_told(&samples, &sound.stretches, &options, told)
        });
        match context.mention_during(transcribed, heard).await {
            Err(gone) => Err(Failure::Broken(anyhow!(gone))),
            Ok(Err(TranscribeError::Stopped(_))) => Err(Failure::Interrupted),
            Ok(Err(TranscribeError::Wish(refused))) => Err(Failure::Reject(refused)),
            Ok(Err(TranscribeError::Model(error))) if gpu::is_lost(&error) => Err(Failure::Lost(error)),
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
        if !context.fresh
            && let Some(stored) = context.store.find(&key).await?
        {
            let bytes = context.store.get(&stored.key, record::MAX_BYTES).await?;
            let files = known_files(context).await?;
            return Said::read(&bytes, stored).map(|said| Ok(said.with_files(files))).or_reject();
        }
        let options = self.options(job, context)?;
        let bytes = self.fetch(&job.audio, context).await?;
        let audio_sha256 = sha256_hex(&bytes);
        let (transcript, source) = match self.listen(bytes, options, context).await? {
            Heard::Nothing(reason) => return Ok(Err(reason)),
            Heard::Speech(transcript, source) => (transcript, source),
        };
        let files = subtitle_files(&transcript, context).await?;
        let body: Bytes = record::of(&transcript, &source, &self.about, &audio_sha256).to_string().into();
        let stored = context.store.put(&key, body.clone()).await?;
        // Another attempt may have written first: then its words count.
        let body = if stored.existed { context.store.get(&stored.key, record::MAX_BYTES).await? } else { body };
        Said::read(&body, stored).map(|said| Ok(said.with_files(files))).or_retry()
    }
}

/// Names of the words in the forms that people use.
const FILES: [&str; 3] = ["transcript.srt", "transcript.vtt", "transcript.txt"];

/// Those of an earlier attempt.
async fn known_files(context: &Context) -> Result<Vec<Stored>, Failure> {
    let mut known = Vec::new();
    for name in FILES {
        known.extend(context.store.find(&ObjectKey::File { job: &context.job, name }).await?);
    }
    Ok(known)
}

/// The words as people use them, written before the transcript, which is what a second attempt finds.
async fn subtitle_files(transcript: &Transcript, context: &Context) -> Result<Vec<Stored>, Failure> {
    let segments = &transcript.segments;
    let texts = [subtitles::srt(segments), subtitles::vtt(segments), subtitles::txt(segments)];
    let mut stored = Vec::with_capacity(texts.len());
    for (name, text) in FILES.into_iter().zip(texts) {
        stored.push(context.store.put(&ObjectKey::File { job: &context.job, name }, text.into()).await?);
    }
    Ok(stored)
}

impl Stage for Transcribe {
    const NAME: &'static str = "transcribe";
    const MAKES: &'static str = "transcript";
    type Input = AudioJob;
    type Output = TextJob;

    async fn run(&self, job: AudioJob, context: &Context) -> Result<Outcome<TextJob>, Failure> {
        let began = Instant::now();
        let said = match self.said(&job, context).await? {
            Ok(said) => said,
            Err(reason) => return Ok(Outcome::NoSpeech(reason)),
        };
        let voice = job.voice.then(|| said.read_wishes());
        context.tell(said.event(began.elapsed().as_secs_f64(), voice.as_ref())).await?;
        let audio = match &job.audio {
            AudioSource::Stored { key, .. } => Some(key.as_str()),
            AudioSource::Inline(_) => None,
        };
        let (made, mut meta) = (said.made(audio, voice.as_ref()), job.meta);
        let Some(read) = voice else { return Ok(Outcome::Next(TextJob { text: said.text, meta }, made)) };
        read.pass_on(&mut meta);
        Ok(Outcome::Next(TextJob { text: read.text, meta }, made))
    }

    fn about(&self) -> Value {
        json!({
            "model": self.about,
            "limits": { "seconds": self.budget.max_seconds, "bytes": self.max_bytes },
            "keeps_language": self.readable,
            "ffmpeg": self.ffmpeg.is_some(),
        })
    }

    fn together(&self) -> u16 {
        self.together
    }

    fn model(&self) -> &str {
        &self.name
    }
}

impl Serve for Transcribe {
    type Options = TranscribeOptions;
    const ABOUT: &'static str = "Run one worker that turns speech into text";
    const LAYOUT: Option<Layout> = Some(Layout { kind: "speech", flag: "whisper", file: "config.json", find, files });

    fn wanted(options: &TranscribeOptions) -> &str {
        &options.whisper
    }

    async fn load(options: &TranscribeOptions, folder: &Path, metrics: &Metrics) -> anyhow::Result<Self> {
        Self::load(options, folder, metrics).await
    }
}
