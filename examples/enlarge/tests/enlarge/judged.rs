//! Every stage of the program keeps the promises of `docs/stage.md`, on real servers.

use std::io::Cursor;

use bytes::Bytes;
use clap::Parser;
use image::{ImageFormat, Rgb, RgbImage};
use shanshui_enlarge::Enlarge;
use shanshui_enlarge::job::PicturesJob;
use shanshui_enlarge::options::EnlargeOptions;
use shanshui_paint::options::PaintOptions;
use shanshui_paint::stage::Paint;
use shanshui_pipeline::config::{NatsOptions, S3Options};
use shanshui_pipeline::job::{AudioJob, AudioSource, TextJob};
use shanshui_pipeline::picture::PictureSpec;
use shanshui_pipeline::telemetry::Metrics;
use shanshui_pipeline::testkit::{Wrong, broken_promises};
use shanshui_pipeline::{JobId, JobMeta, Made, ObjectKey, Queue, Stage, Store};
use shanshui_tests::{ACCESS_KEY, BUCKET, SECRET_KEY, Stack, picture_model, recording, whisper};
use shanshui_transcribe::options::TranscribeOptions;
use shanshui_transcribe::stage::Transcribe;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    transcribe: TranscribeOptions,
    #[command(flatten)]
    paint: PaintOptions,
    #[command(flatten)]
    enlarge: EnlargeOptions,
    #[command(flatten)]
    nats: NatsOptions,
    #[command(flatten)]
    s3: S3Options,
}

/// Servers, the settings of all stages, and connections.
struct Court {
    line: Line,
    queue: Queue,
    store: Store,
    _stack: Stack,
}

impl Court {
    async fn open() -> Self {
        let stack = super::stack();
        let endpoint = stack.objects().endpoint();
        let mut line = vec!["test", "--enlarge-max-pixels", "10000", "--nats-url", stack.url(), "--s3-bucket", BUCKET];
        line.extend(["--s3-endpoint", &endpoint, "--s3-access-key", ACCESS_KEY, "--s3-secret-key", SECRET_KEY]);
        let line = Line::parse_from(line);
        let queue = Queue::connect(&line.nats, "judge", &[Enlarge::STEP]).await.unwrap();
        queue.wait_connected().await;
        let store = Store::connect(&line.s3).await.unwrap();
        Self { line, queue, store, _stack: stack }
    }

    /// Nothing may be broken.
    async fn judge<S: Stage>(
        &self,
        stage: &S,
        good: impl AsyncFn(&Store, &JobId) -> S::Input,
        wrong: &[Wrong<S::Input>],
    ) {
        let broken = broken_promises(stage, (&self.queue, &self.store), good, wrong).await;
        assert!(broken.is_empty(), "{}: {broken:#?}", S::NAME);
    }
}

/// What the paint stage leaves behind: two pictures, and their place in the job.
async fn painted(store: &Store, job: &JobId) -> PicturesJob {
    let mut objects = Vec::new();
    for index in 0..2 {
        let picture = RgbImage::from_fn(24, 16, |x, y| Rgb([x as u8 * 10, y as u8 * 15, index as u8 * 200]));
        let mut file = Cursor::new(Vec::new());
        picture.write_to(&mut file, ImageFormat::Png).unwrap();
        let key = ObjectKey::Picture { job, index, extension: "png" };
        objects.push(store.put(&key, file.into_inner().into()).await.unwrap().object("picture"));
    }
    let made = vec![Made { stage: "paint".into(), objects, ..Made::default() }];
    PicturesJob { factor: Some(3), meta: JobMeta { made, ..JobMeta::default() } }
}

#[tokio::test]
async fn enlarge_keeps_every_promise_of_a_stage() {
    let court = Court::open().await;
    let wrong: [Wrong<PicturesJob>; 5] = [
        ("no picture", |job| job.meta.made.clear()),
        ("a factor that makes too much", |job| job.factor = Some(16)),
        ("a picture that is not there", |job| job.meta.made[0].objects[0].key = "jobs/nobody/0.png".into()),
        ("a picture that somebody changed", |job| job.meta.made[0].objects[0].sha256 = "0".repeat(64)),
        ("a picture in another format", |job| job.meta.made[0].objects[0].key = "jobs/nobody/0.gif".into()),
    ];
    court.judge(&Enlarge::new(court.line.enlarge.clone()), painted, &wrong).await;
}

#[tokio::test]
async fn paint_keeps_every_promise_of_a_stage() {
    let court = Court::open().await;
    let stage = Paint::load(&court.line.paint, &picture_model(), &Metrics::new("judge")).await.unwrap();
    let good = async |_: &Store, _: &JobId| {
        let side = Some(64);
        let picture = PictureSpec { width: side, height: side, steps: Some(2), count: Some(2), ..Default::default() };
        TextJob { text: "a red apple".into(), meta: JobMeta { picture, ..JobMeta::default() } }
    };
    let wrong: [Wrong<TextJob>; 3] = [
        ("a sampler that nobody knows", |job| job.meta.picture.sampler = Some("dice".into())),
        ("more steps than there are", |job| job.meta.picture.steps = Some(1001)),
        ("a side that no picture has", |job| job.meta.picture.width = Some(65)),
    ];
    court.judge(&stage, good, &wrong).await;
}

#[tokio::test]
async fn transcribe_keeps_every_promise_of_a_stage() {
    let court = Court::open().await;
    let metrics = Metrics::new("judge");
    let stage = Transcribe::load(&court.line.transcribe, &whisper("tiny.en"), &metrics).await.unwrap();
    let good = async |_: &Store, _: &JobId| AudioJob::new(AudioSource::Inline(recording("apple.wav").into()));
    let wrong: [Wrong<AudioJob>; 3] = [
        ("no recording", |job| job.audio = AudioSource::Inline(Bytes::from_static(b"no recording at all"))),
        ("a language that nobody speaks", |job| job.language = Some("klingon".into())),
        ("an object that is no recording", |job| {
            job.audio = AudioSource::Stored { key: "jobs/other/0.png".into(), sha256: None };
        }),
    ];
    court.judge(&stage, good, &wrong).await;
}
