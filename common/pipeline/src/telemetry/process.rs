//! What the process uses, read when somebody asks. Names are those that Prometheus' own clients have.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Clock ticks a second in proc(5): `USER_HZ`, which is 100 on every architecture that Rust runs on.
const TICKS: f64 = 100.0;

/// Memory, CPU time, open files and start of the process, where there is a `/proc`.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let seconds = Unit::Seconds;
        if let Some(bytes) = resident_bytes() {
            let help = "Memory that the process holds in RAM";
            let bytes_of = Some(&Unit::Bytes);
            let metric = encoder.encode_descriptor("process_resident_memory", help, bytes_of, MetricType::Gauge)?;
            ConstGauge::new(bytes).encode(metric)?;
        }
        if let Some(files) = open_files() {
            let metric = encoder.encode_descriptor("process_open_fds", "Open files", None, MetricType::Gauge)?;
            ConstGauge::new(files).encode(metric)?;
        }
        let Some((cpu, start)) = times() else { return Ok(()) };
        let help = "CPU time of all threads, in user and system mode";
        let metric = encoder.encode_descriptor("process_cpu", help, Some(&seconds), MetricType::Counter)?;
        ConstCounter::new(cpu).encode(metric)?;
        let help = "When the process started, in Unix time";
        let metric = encoder.encode_descriptor("process_start_time", help, Some(&seconds), MetricType::Gauge)?;
        ConstGauge::new(start).encode(metric)
    }
}

/// `VmRSS` of proc(5), which is in KiB; `statm` would need the size of a page.
pub(crate) fn resident_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn open_files() -> Option<i64> {
    i64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}

/// CPU seconds so far, and the Unix time of the start.
fn times() -> Option<(f64, f64)> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let boot = fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    // The name of the program may hold spaces and brackets; behind it comes field 3.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    Some(((ticks(14)? + ticks(15)?) / TICKS, boot + ticks(22)? / TICKS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_its_cpu_time_and_its_start() {
        let (before, start) = times().unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        // The test has not run for an hour, and btime is in whole seconds.
        assert!((now - 3600.0..now + 2.0).contains(&start), "{start} {now}");
        let busy = std::time::Instant::now();
        while busy.elapsed().as_millis() < 60 {}
        assert!(times().unwrap().0 > before);
        assert!(open_files().unwrap() >= 3);
    }
}
