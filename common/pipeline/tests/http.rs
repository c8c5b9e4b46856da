//! The pages of a worker, over a real socket.

use std::sync::Arc;

use shanshui_pipeline::health::{Health, Part};
use shanshui_pipeline::http::{self, Pages};
use shanshui_pipeline::telemetry::{Exemplar, Metrics, Yield};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

struct Worker {
    pages: Pages,
    address: std::net::SocketAddr,
    stop: CancellationToken,
    serving: JoinSet<anyhow::Result<()>>,
}

impl Worker {
    async fn start() -> anyhow::Result<Self> {
        let health = Arc::new(Health::default());
        health.process().expect(&[Part::Model, Part::Nats]);
        let metrics = Arc::new(Metrics::of("1.2.3", &health));
        let pages = Pages { health, metrics };
        let listener = http::bind("127.0.0.1:0".parse()?).await?;
        let (address, stop) = (listener.local_addr()?, CancellationToken::new());
        let mut serving = JoinSet::new();
        serving.spawn(http::serve(listener, pages.clone(), stop.clone()));
        Ok(Self { pages, address, stop, serving })
    }

    async fn get(&self, path: &str) -> anyhow::Result<String> {
        let mut socket = TcpStream::connect(self.address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

#[tokio::test]
async fn a_worker_is_ready_when_every_part_is_there_and_says_which_is_not() {
    let worker = Worker::start().await.unwrap();
    let answer = worker.get("/readyz").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("model: not started yet"), "{answer}");
    worker.pages.health.process().up(Part::Model);
    worker.pages.health.process().up(Part::Nats);
    assert!(worker.get("/readyz").await.unwrap().starts_with("HTTP/1.1 200"));
    worker.pages.health.process().down(Part::Nats, "connection refused");
    let answer = worker.get("/readyz").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("\r\n\r\nnats: connection refused\n"), "{answer}");
    assert!(worker.get("/livez").await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_worker_that_lost_its_model_asks_to_be_started_again() {
    let worker = Worker::start().await.unwrap();
    worker.pages.health.die("the model is gone");
    for page in ["/livez", "/readyz"] {
        let answer = worker.get(page).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("the model is gone"), "{answer}");
    }
}

fn of(trace: &str, job: &str) -> Exemplar {
    Exemplar { trace_id: trace.into(), job: job.into() }
}

#[tokio::test]
async fn the_metrics_have_names_with_units_and_one_line_a_label() {
    let worker = Worker::start().await.unwrap();
    let metrics = &worker.pages.metrics;
    metrics.delivered("paint", 1, 0.5, None);
    metrics.delivered("paint", 2, 0.5, None);
    metrics.finished("paint", "done", 1.5, Some(of("3a", "cat-1")));
    metrics.finished("paint", "retry", 0.5, None);
    metrics.passed("paint", "steps", 1.25);
    metrics.made("paint", Yield::Pictures, 2.0);
    metrics.made("transcribe", Yield::AudioSeconds, 3.5);
    metrics.loaded("paint", "shanshui-mini", 0.75);
    let (working, leased) = (metrics.in_flight("paint"), metrics.lease("paint"));
    let busy = worker.get("/metrics").await.unwrap();
    drop((working, leased));
    let idle = worker.get("/metrics").await.unwrap();
    for line in [
        "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8",
        "shanshui_jobs_total{stage=\"paint\",outcome=\"done\"} 1",
        "shanshui_jobs_total{stage=\"paint\",outcome=\"retry\"} 1",
        "shanshui_job_seconds_sum{stage=\"paint\"} 2.0",
        "shanshui_job_seconds_bucket{le=\"0.8\",stage=\"paint\"} 1",
        "shanshui_deliveries_total{stage=\"paint\"} 2",
        "shanshui_redelivered_total{stage=\"paint\"} 1",
        "shanshui_build_info{version=\"1.2.3\"} 1",
        "shanshui_jobs_in_flight{stage=\"paint\"} 1",
        "shanshui_leases{stage=\"paint\"} 1",
        "shanshui_phase_seconds_sum{stage=\"paint\",phase=\"steps\"} 1.25",
        "shanshui_pictures_total{stage=\"paint\"} 2.0",
        "shanshui_audio_seconds_total{stage=\"transcribe\"} 3.5",
        "shanshui_model_load_seconds{stage=\"paint\",model=\"shanshui-mini\"} 0.75",
        "shanshui_ready 0",
        // The job that took so long: OpenMetrics calls it an exemplar.
        "shanshui_job_seconds_bucket{le=\"1.6\",stage=\"paint\"} 2 # {trace_id=\"3a\",job=\"cat-1\"} 1.5",
    ] {
        assert!(busy.contains(line), "{line} is missing in {busy}");
    }
    assert!(idle.contains("shanshui_jobs_in_flight{stage=\"paint\"} 0"), "{idle}");
    // Nobody has measured the queues here, and nobody takes traces.
    assert!(!idle.contains("shanshui_queue_") || !idle.contains("shanshui_spans_lost"), "{idle}");
    let memory = idle.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    assert!(memory.unwrap().parse::<u64>().unwrap() > 1 << 20);
}

#[tokio::test]
async fn an_occupied_address_is_an_error_at_start_and_stop_ends_the_server() {
    let mut worker = Worker::start().await.unwrap();
    let error = http::bind(worker.address).await.unwrap_err().to_string();
    assert!(error.contains(&worker.address.to_string()), "{error}");
    worker.stop.cancel();
    worker.serving.join_next().await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(worker.address).await.is_err());
}
