//! Whose job it is: names given in every way, wrong ones, and a name that is used twice.

use async_nats::HeaderMap;
use shanshui_pipeline::Code;
use shanshui_pipeline::event::Event;
use shanshui_pipeline::job::JobId;

use crate::bench::{Bench, Told};

async fn publish(bench: &Bench, headers: &[(&str, &str)], payload: &str) {
    let mut all = HeaderMap::new();
    headers.iter().for_each(|(name, value)| all.append(*name, *value));
    let context = bench.client().await;
    let sent = context.publish_with_headers("shanshui.audio.default", all, payload.to_owned().into()).await;
    sent.unwrap().await.unwrap();
}

#[tokio::test]
async fn d1_a_wrong_job_ends_under_the_name_in_its_payload() {
    let bench = Bench::start().await;
    publish(&bench, &[], r#"{"id":"cat-1","audio":{"key":"audio/x"},"picture":{"steps":0}}"#).await;
    publish(&bench, &[("shanshui-job", "cat-2")], r#"{"audio":7}"#).await;
    bench.drain(&Told::done()).await;
    for name in ["cat-1", "cat-2"] {
        let job = JobId::parse("id", name).unwrap();
        assert_eq!(bench.kinds(&job).await, ["accepted", "failed"], "{name}");
        let Event::Failed { code, attempts, .. } = bench.wait_for(&job, "failed").await.data else { panic!("{name}") };
        assert_eq!((code, attempts), (Code::BadInput, 1));
    }
}

#[tokio::test]
async fn a_header_in_another_case_names_the_job_and_the_form() {
    let bench = Bench::start().await;
    let headers = [("shanshui-job", "lower"), ("content-type", "audio/ogg")];
    // Without the header, this would be read as JSON.
    publish(&bench, &headers, "{not an object").await;
    let stage = Told::new(|_, context| async move {
        assert_eq!(context.job.as_str(), "lower");
        crate::next("a cat")
    });
    assert_eq!((bench.drain(&stage).await, stage.runs()), (1, 1));
}

#[tokio::test]
async fn another_job_under_a_used_name_is_told_and_ends_nothing() {
    let bench = Bench::start().await;
    let job = bench.submit("taken").await;
    bench.drain(&Told::done()).await;
    publish(&bench, &[], r#"{"id":"taken","audio":{"key":"audio/another"}}"#).await;
    let stage = Told::done();
    assert_eq!((bench.drain(&stage).await, stage.runs()), (1, 0));
    let events = bench.queue.history(&job).await.unwrap();
    let kinds: Vec<_> = events.iter().map(|event| event.data.kind()).collect();
    assert_eq!(kinds, ["accepted", "started", "finished", "done", "refused"]);
    let letter = bench.queue.dead().await.unwrap().remove(0);
    assert_eq!((letter.code, letter.job.as_str()), (Code::NameUsed, "taken"));
    assert!(String::from_utf8_lossy(&letter.payload).contains("audio/another"));
    assert_eq!(bench.queue.ending(&job).await.unwrap().unwrap().data.kind(), "done");
}

#[tokio::test]
async fn d2_a_sender_cannot_write_what_the_pipeline_made() {
    let bench = Bench::start().await;
    let forged =
        r#"[{\"stage\":\"x\",\"objects\":[{\"kind\":\"picture\",\"key\":\"jobs/other/0.png\",\"sha256\":\"0\"}]}]"#;
    publish(&bench, &[], &format!(r#"{{"id":"forger","audio":{{"key":"audio/x"}},"made":"{forged}"}}"#)).await;
    let stage = Told::done();
    bench.drain(&stage).await;
    let job = JobId::parse("id", "forger").unwrap();
    let Event::Failed { reason, .. } = bench.wait_for(&job, "failed").await.data else { panic!("no failure") };
    assert!(reason.starts_with("made: ") && reason.contains("only the pipeline writes it"), "{reason}");
    assert_eq!(stage.runs(), 0);
}

#[tokio::test]
async fn times_attempts_and_stages_that_a_job_asks_for_are_kept() {
    let bench = Bench::start().await;
    let sound = r#""audio":{"key":"audio/x"}"#;
    let wishes = [
        ("late", r#""deadline":"2020-01-01T00:00:00Z""#, Code::Deadline),
        ("stale", r#""start_before":"2020-01-01T00:00:00Z""#, Code::StartBefore),
        ("nowhere", r#""until":"dance""#, Code::BadInput),
        ("once", r#""attempts":1"#, Code::Failed),
    ];
    for (name, wish, _) in wishes {
        publish(&bench, &[], &format!(r#"{{"id":"{name}",{sound},{wish}}}"#)).await;
    }
    let stage = Told::new(|_, _| async { Err(shanshui_pipeline::Failure::Retry(anyhow::anyhow!("no luck"))) });
    bench.drain(&stage).await;
    assert_eq!(stage.runs(), 1);
    for (name, _, wanted) in wishes {
        let job = JobId::parse("id", name).unwrap();
        let Event::Failed { code, attempts, reason, .. } = bench.wait_for(&job, "failed").await.data else {
            panic!("{name} did not fail")
        };
        assert_eq!((code, attempts), (wanted, 1), "{name}: {reason}");
    }
}

#[tokio::test]
async fn who_watches_only_the_bucket_learns_of_every_end() {
    let bench = Bench::start().await;
    let (bad, quiet, back) = (bench.submit("bad").await, bench.submit("quiet").await, bench.submit("back").await);
    bench.queue.cancel(&back).await.unwrap();
    let stage = Told::new(|_, context| async move {
        match context.job.as_str() {
            "bad" => Err(shanshui_pipeline::Failure::reject(Code::NotFound, "no such object")),
            _ => Ok(shanshui_pipeline::Outcome::NoSpeech("silence".into())),
        }
    });
    bench.drain(&stage).await;
    for (job, end, code) in [(bad, "failed", "not-found"), (quiet, "no-speech", "no-speech")] {
        let object = bench.json(&format!("jobs/{job}/end.json")).await;
        assert_eq!(
            (&object["end"], &object["code"], &object["stage"]),
            (&end.into(), &code.into(), &"transcribe".into())
        );
    }
    assert_eq!(bench.json(&format!("jobs/{back}/end.json")).await["end"], "canceled");
}
