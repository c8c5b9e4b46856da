//! Real signals, sent by this process to itself.

use std::process::Command;
use std::time::Duration;

use shanshui_pipeline::shutdown::Shutdown;

fn send(signal: &str) -> anyhow::Result<()> {
    let own = std::process::id().to_string();
    anyhow::ensure!(Command::new("kill").args([signal, &own]).status()?.success(), "kill failed");
    Ok(())
}

// One test, because a signal reaches every listener of the process.
#[tokio::test]
async fn the_first_signal_drains_and_the_second_or_the_drain_time_stops() {
    let patient = Shutdown::on_signals(Duration::from_secs(3600)).unwrap();
    let clone = patient.clone();
    send("-TERM").unwrap();
    clone.drain.cancelled().await;
    assert!(!patient.stop.is_cancelled());
    send("-INT").unwrap();
    clone.stop.cancelled().await;

    let hasty = Shutdown::on_signals(Duration::ZERO).unwrap();
    send("-TERM").unwrap();
    hasty.stop.cancelled().await;
    assert!(hasty.drain.is_cancelled());
}
