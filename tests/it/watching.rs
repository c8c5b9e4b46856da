//! The commands with which people and monitors watch: `topology`, `top`, `plan`, `probe`.

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shanshui_tests::{Job, PATIENCE, Pages, Process, Stack, until};

use crate::clients::stack;

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn object(stack: &Stack, arguments: &[&str]) -> Value {
    let (code, out, err) = said(&stack.run(arguments));
    assert_eq!(code, Some(0), "{arguments:?}: {out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}"))
}

#[test]
fn a_probe_speaks_a_job_and_says_how_long_it_took_and_the_others_show_it() {
    let stack = stack();
    let told = object(stack, &["probe", "--deadline", "120", "--json"]);
    assert_eq!((&told["ok"], &told["error"]), (&true.into(), &Value::Null), "{told}");
    let stages: Vec<_> = told["stages"].as_array().expect("a list").iter().map(|stage| &stage["stage"]).collect();
    assert_eq!(stages, ["transcribe", "paint"]);
    let (code, out, _) = said(&stack.run(&["probe", "--text", "--deadline", "120"]));
    assert!(code == Some(0) && out.starts_with("ok; ") && out.contains("paint waited"), "{out}");
    // Now there are seconds to plan with, and names of workers to show.
    a_plan_measures(stack);
    a_topology_has_four_forms(stack);
    top_prints_once_where_there_is_no_terminal(stack);
}

fn a_plan_measures(stack: &Stack) {
    let told = object(stack, &["plan", "--jobs-per-hour", "2000", "--json"]);
    let paint = &told["stages"][1];
    assert_eq!((&paint["stage"], told["jobs_per_hour"].as_f64()), (&"paint".into(), Some(2000.0)), "{told}");
    let number = |field: &str| paint[field].as_f64().unwrap_or_else(|| panic!("{field} in {paint}"));
    assert!(number("measured_jobs") >= 2.0 && number("seconds") > 0.0 && number("workers") >= 1.0, "{paint}");
    assert!(number("utilisation") < 1.0 && number("wait_p50") <= number("wait_p95"), "{paint}");
    assert!(number("wait_p95") <= 30.0, "{paint}");
}

fn a_topology_has_four_forms(stack: &Stack) {
    let (_, text, _) = said(&stack.run(&["topology"]));
    assert!(text.contains("paint: takes") && text.contains("pool default: ") && text.contains("hand"), "{text}");
    let told = object(stack, &["topology", "--json"]);
    let pool = &told["steps"][1]["pools"][0];
    assert_eq!((&pool["pool"], &pool["abandoned"]), (&"default".into(), &false.into()), "{told}");
    assert!(told["steps"][1]["workers"].as_array().is_some_and(|names| names.contains(&"hand".into())), "{told}");
    let (_, chart, _) = said(&stack.run(&["topology", "--format", "mermaid"]));
    assert!(chart.starts_with("flowchart LR\n") && chart.contains("transcribe --> paint_queue[(\"TEXT\")]"), "{chart}");
    let (_, svg, _) = said(&stack.run(&["topology", "--format", "svg"]));
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>") && svg.contains(">worker hand<"), "{svg}");
    assert_eq!(svg.matches('<').count(), svg.matches('>').count());
}

fn top_prints_once_where_there_is_no_terminal(stack: &Stack) {
    let (code, out, err) = said(&stack.run(&["top"]));
    assert!(code == Some(0) && out.contains("paint/default") && out.contains("RUNNING"), "{out}{err}");
    assert!(!out.contains('\u{1b}'), "{out:?}");
    let told = object(stack, &["top", "--once", "--json"]);
    assert!(told["activity"]["seconds"]["paint"].as_f64().is_some_and(|seconds| seconds > 0.0), "{told}");
    assert_eq!(told["levels"]["pools"][0]["stage"], "transcribe");
}

#[tokio::test]
async fn without_workers_a_probe_ends_with_1_in_time_and_the_pool_is_said_to_have_none() {
    let stack = Stack::start();
    let began = Instant::now();
    let (code, out, err) = said(&stack.run(&["probe", "--deadline", "3"]));
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.starts_with("failed: not done after 3 s"), "{out}");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    // A name that would break a chart or a terminal, in a job that waits.
    let client = stack.client().await;
    client.publish(&Job::new("waits"), "text", json!({ "text": "a cat" }).to_string()).await;
    let (_, text, _) = said(&stack.run(&["topology"]));
    assert!(text.contains("no live worker") && text.contains("(the oldest for "), "{text}");
    let (_, chart, _) = said(&stack.run(&["topology", "--format", "mermaid"]));
    assert!(chart.contains("class paint lost"), "{chart}");
    let (_, out, _) = said(&stack.run(&["top", "--once"]));
    assert!(out.contains("no live worker"), "{out}");
    the_reconciler_measures_the_queues(&stack).await;
    // No job has ever been done.
    let (code, _, err) = said(&stack.run(&["plan", "--jobs-per-hour", "10"]));
    assert!(code == Some(2) && err.contains("no finished job of transcribe"), "{err}");
}

/// Two of them: each says the same, and no worker says it.
async fn the_reconciler_measures_the_queues(stack: &Stack) {
    let client = stack.client().await;
    client.publish(&Job::new("waits"), "text", json!({ "text": "a dog" }).to_string()).await;
    let pages = [Pages::reserve(), Pages::reserve()];
    let _running = pages.each_ref().map(|pages| {
        let mut command = stack.command(&["reconcile", "--audit-seconds", "1"]);
        Process::spawn("reconcile", command.env("SHANSHUI_HTTP", pages.address()))
    });
    for pages in &pages {
        pages.answers().await;
        let of = |name: &str| pages.metric(&format!("{name}{{stage=\"paint\",pool=\"default\"}}"));
        until("two jobs that wait", async || (of("shanshui_queue_waiting_jobs") == 2.0).then_some(())).await;
        assert!(of("shanshui_queue_oldest_waiting_seconds") >= 1.0);
        assert_eq!((of("shanshui_queue_asking_workers"), of("shanshui_queue_in_work_jobs")), (0.0, 0.0));
        assert!(pages.metric("shanshui_stream_bytes{stream=\"TEXT\"}") > 0.0);
        assert_eq!(pages.metric("shanshui_stream_messages{stream=\"TEXT\"}"), 2.0);
    }
}

#[test]
fn a_plan_of_given_numbers_needs_no_server() {
    let stack = Stack::start();
    let all = ["plan", "--jobs-per-hour", "2000", "--seconds", "transcribe=1", "--seconds", "paint=4.5"];
    let unreachable = ["--nats-url", "nats://127.0.0.1:1"];
    let (code, out, err) = said(&stack.run(&[&all[..], &unreachable].concat()));
    // 2.5 erlangs of painting: three workers keep up, and 19 of 20 jobs wait less than half a minute.
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.lines().any(|line| line.starts_with("paint ") && line.contains("   3  ")), "{out}");
    let (code, out, err) = said(&stack.run(&[&all[..], &unreachable, &["--workers", "paint=2"]].concat()));
    assert!(code == Some(1) && out.contains("grows") && err.contains("grows without end"), "{out}{err}");
    let (code, _, err) = said(&stack.run(&[&all[..], &["--workers", "enlarge=2"]].concat()));
    assert!(code == Some(2) && err.contains("stage: enlarge is not allowed; allowed: transcribe, paint"), "{err}");
}

#[tokio::test]
async fn top_shows_a_running_job_line_by_line() {
    let stack = stack();
    let top = Process::spawn("top", &mut stack.command(&["top", "--json", "--every", "1"]));
    top.says("\"levels\"", PATIENCE);
    let client = stack.client().await;
    let job = Job::new("watched");
    // However fast the model is: it is canceled as soon as it has been seen.
    let long = json!({ "text": "a cat", "picture": { "steps": 150, "count": 16 } });
    client.publish(&job, "text", long.to_string()).await;
    until("the running job", async || {
        let running = |line: &str| {
            let told: Value = serde_json::from_str(line).ok()?;
            let all = told["activity"]["running"].as_array()?.clone();
            all.into_iter().find(|one| one["job"] == job.id.as_str() && one["total"].as_f64() > Some(0.0))
        };
        top.log().lines().find_map(running)
    })
    .await;
    client.cancel(&job.id).await;
    client.follow(&job.id).await;
    until("its end", async || top.log().contains("\"canceled\":1").then_some(())).await;
    top.signal("INT");
    assert!(top.ends(PATIENCE).success(), "{}", top.log());
}
