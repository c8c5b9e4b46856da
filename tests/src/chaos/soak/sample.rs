//! Memory, descriptors and CPU of each process, and what lies on the streams.

use std::fmt::Display;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use async_nats::jetstream::{self, Context};
use tokio::runtime::Runtime;

use super::super::storm::now;
use crate::stack::Stack;

const STREAMS: [&str; 8] = ["AUDIO", "TEXT", "EVENTS", "ENDS", "CANCELS", "DEAD", "STATE", "ADVISORIES"];
/// Ticks of `/proc/PID/stat` in a second, on every Linux of today.
const TICKS: f64 = 100.0;

/// A file of comma-separated values; each row is there as soon as it is written.
pub(super) struct Table(File);

/// Samples the processes and streams of one stack.
pub(super) struct Sampler {
    processes: Table,
    streams: Table,
    /// What is measured besides the workers.
    servers: [(String, u32); 3],
    queue: Context,
    runtime: Runtime,
}

impl Table {
    pub(super) fn create(file: &Path, head: &str) -> Self {
        let mut table = Self(File::create(file).expect("a file for measurements"));
        writeln!(table.0, "{head}").expect("room for measurements");
        table
    }

    pub(super) fn row(&mut self, values: &[&dyn Display]) {
        let values: Vec<_> = values.iter().map(ToString::to_string).collect();
        writeln!(self.0, "{}", values.join(",")).expect("room for measurements");
    }
}

impl Sampler {
    pub(super) fn new(stack: &Stack, keep: &Path) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let connect = async { jetstream::new(async_nats::connect(stack.url()).await.expect("the queue answers")) };
        let queue = runtime.block_on(connect);
        let servers = [
            ("nats-server".to_owned(), stack.nats().process().pid()),
            ("s3".to_owned(), stack.objects().pid()),
            ("soak".to_owned(), std::process::id()),
        ];
        Self {
            processes: Table::create(
                &keep.join("processes.csv"),
                "at,process,pid,rss_kib,descriptors,threads,cpu_seconds",
            ),
            streams: Table::create(&keep.join("streams.csv"), "at,stream,messages,bytes,oldest_seconds"),
            servers,
            queue,
            runtime,
        }
    }

    pub(super) fn sample(&mut self, others: impl Iterator<Item = (String, u32)>) {
        let at = now();
        for (name, pid) in self.servers.iter().cloned().chain(others) {
            // It may have ended just now.
            if let Some([memory, descriptors, threads, cpu]) = of_process(pid) {
                self.processes.row(&[&at, &name, &pid, &memory, &descriptors, &threads, &cpu]);
            }
        }
        for stream in STREAMS {
            let Ok(info) = self.runtime.block_on(self.queue.get_stream(stream)) else { continue };
            let state = &info.cached_info().state;
            let first = state.first_timestamp.unix_timestamp_nanos() as f64 / 1e9;
            let oldest = if state.messages == 0 { 0.0 } else { at - first };
            self.streams.row(&[&at, &stream, &state.messages, &state.bytes, &oldest]);
        }
    }
}

/// Resident memory in KiB, descriptors, threads, seconds of CPU.
fn of_process(pid: u32) -> Option<[f64; 4]> {
    let place = format!("/proc/{pid}");
    let status = std::fs::read_to_string(format!("{place}/status")).ok()?;
    let value = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<f64>().ok()
    };
    let stat = std::fs::read_to_string(format!("{place}/stat")).ok()?;
    // Behind the name, which may hold anything: 11 more fields, then user and system time.
    let ticks = stat.rsplit(')').next()?.split_whitespace().skip(11).take(2);
    let cpu = ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS;
    let descriptors = std::fs::read_dir(format!("{place}/fd")).ok()?.count() as f64;
    Some([value("VmRSS:")?, descriptors, value("Threads:")?, cpu])
}
