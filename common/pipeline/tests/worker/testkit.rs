//! The judge of stages must find what it looks for, and nothing in a stage that keeps its word.

use anyhow::anyhow;
use bytes::Bytes;
use shanshui_pipeline::job::{AudioJob, AudioSource};
use shanshui_pipeline::testkit::{Wrong, broken_promises};
use shanshui_pipeline::{Context, Failure, JobId, Made, ObjectKey, Outcome, Stage, Store};

use crate::bench::Bench;

/// What a stage does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Nothing,
    /// It writes something else each time.
    Dice,
    /// It does not say what it wrote.
    Unlisted,
    /// It says that it wrote what it did not.
    Boast,
    /// It writes the receipt.
    Receipt,
    /// It writes where the recordings of all jobs lie.
    Abroad,
    /// It does not look whether it is to stop.
    Deaf,
    /// It does not say how far it is.
    Silent,
    /// It tries again what cannot succeed.
    Patient,
    /// It writes before it looks at the job.
    Hasty,
}

struct Odd(Fault);

impl Odd {
    async fn write(&self, context: &Context) -> Result<Made, Failure> {
        let (job, name) = (&context.job, "words.txt");
        let body = if self.0 == Fault::Dice { JobId::random().to_string() } else { "three words only".into() };
        let own = context.store.put(&ObjectKey::File { job, name }, body.into()).await?;
        let more = match self.0 {
            Fault::Receipt => Some(ObjectKey::Receipt(job)),
            Fault::Abroad => Some(ObjectKey::Audio(job)),
            _ => None,
        };
        let mut objects = vec![own.object("words")];
        if let Some(key) = more {
            objects.push(context.store.put(&key, Bytes::from_static(b"{}")).await?.object("more"));
        }
        match self.0 {
            Fault::Unlisted => objects.clear(),
            Fault::Boast => objects.push(shanshui_pipeline::made::MadeObject {
                key: ObjectKey::File { job, name: "poem.txt" }.path(),
                ..objects[0].clone()
            }),
            _ => {}
        }
        Ok(Made { objects, ..Made::default() })
    }
}

impl Stage for Odd {
    const NAME: &'static str = "transcribe";
    type Input = AudioJob;
    type Output = std::convert::Infallible;

    async fn run(&self, job: AudioJob, context: &Context) -> Result<Outcome<Self::Output>, Failure> {
        if self.0 == Fault::Hasty {
            self.write(context).await?;
        }
        if job.language.is_some() {
            let error = anyhow!("language: none is spoken here");
            return Err(if self.0 == Fault::Patient { Failure::Retry(error) } else { Failure::Reject(error) });
        }
        if context.stop.is_cancelled() && self.0 != Fault::Deaf {
            return Err(Failure::Interrupted);
        }
        if self.0 != Fault::Silent {
            context.progress.report(1.0, 1.0);
        }
        self.write(context).await.map(Outcome::Done)
    }
}

#[tokio::test]
async fn the_judge_finds_every_broken_promise_and_no_other() {
    let bench = Bench::start().await;
    let wrong: [Wrong<AudioJob>; 1] = [("a language", |job| job.language = Some("zh".into()))];
    let expected: [(Fault, &[&str]); 10] = [
        (Fault::Nothing, &[]),
        (Fault::Dice, &["the same job elsewhere makes other objects"]),
        (Fault::Unlisted, &["words.txt is not listed in what was made"]),
        (Fault::Boast, &["poem.txt is listed in what was made, and is not there"]),
        (Fault::Receipt, &["receipt.json is the worker's to write"]),
        (Fault::Abroad, &["is no key of the job"]),
        (Fault::Deaf, &["told to stop, it finishes the job"]),
        (Fault::Silent, &["it reports no progress"]),
        (Fault::Patient, &["a wrong job (a language) is not rejected: Retry"]),
        (Fault::Hasty, &["a wrong job (a language) leaves objects behind"]),
    ];
    for (fault, parts) in expected {
        let good = async |_: &Store, _: &JobId| AudioJob::new(AudioSource::Inline(Bytes::from_static(b"sound")));
        let broken = broken_promises(&Odd(fault), (&bench.queue, &bench.store), good, &wrong).await;
        assert_eq!(broken.len(), parts.len(), "{fault:?}: {broken:#?}");
        for (said, part) in broken.iter().zip(parts) {
            assert!(said.contains(part), "{fault:?}: {broken:#?}");
        }
    }
}
