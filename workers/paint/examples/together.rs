//! Times jobs of the model that ships, together and one after the other: what `tests/bench` drives.
//!
//! `together f32|bf16`, then a line `JOBS` or `JOBS together`; a line of JSON comes back for each: seconds until
//! all are painted, until each is on average, and those that the processors worked. A job is one picture as
//! the model recommends it.

#![expect(clippy::print_stdout, reason = "the answers")]

#[path = "shapes/request.rs"]
mod request;

use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use candle_core::{DType, Device};
use serde_json::{Value, json};
use shanshui_paint::batcher::{Batcher, Order, Sharing};
use shanshui_paint::model::Model;
use tokio::sync::oneshot;

/// As many as are asked for.
const PICTURES: usize = 64;

fn main() -> anyhow::Result<()> {
    let dtype = if std::env::args().nth(1).as_deref() == Some("bf16") { DType::BF16 } else { DType::F32 };
    let start = Instant::now();
    let mut batchers = [batcher(dtype, false)?, batcher(dtype, true)?];
    println!("{}", json!({ "load": start.elapsed().as_secs_f64() }));
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (jobs, together) = line.split_once(' ').map_or((line.as_str(), false), |(jobs, _)| (jobs, true));
        println!("{}", paint(&mut batchers[usize::from(together)], jobs.parse().context("a number of jobs")?)?);
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn batcher(dtype: DType, requests: bool) -> anyhow::Result<Batcher> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/mini");
    let model = Model::load(&folder, &Device::Cpu, dtype)?;
    Ok(Batcher::new(model, Sharing { pictures: PICTURES, requests }))
}

fn paint(batcher: &mut Batcher, jobs: u64) -> anyhow::Result<Value> {
    let (start, worked) = (Instant::now(), worked()?);
    let mut open = Vec::new();
    for seed in 0..jobs {
        let (reply, painted) = oneshot::channel();
        batcher.add(Order { request: request::recommended(batcher.model(), seed, 1)?, watch: Box::new(()), reply });
        open.push(painted);
    }
    let mut ends = Vec::new();
    while !open.is_empty() {
        batcher.turn();
        let before = open.len();
        open.retain_mut(|painted| painted.try_recv().is_err());
        ends.extend(std::iter::repeat_n(start.elapsed().as_secs_f64(), before - open.len()));
    }
    let mean = ends.iter().sum::<f64>() / jobs as f64;
    Ok(json!({ "seconds": start.elapsed().as_secs_f64(), "mean": mean, "worked": self::worked()? - worked }))
}

/// Seconds that the processors have worked for this process: proc(5), in ticks of 10 ms.
fn worked() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let fields = text.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    let ticks: Vec<u64> = fields.map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<u64>() as f64 / 100.0)
}
