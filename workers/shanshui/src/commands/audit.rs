//! `shanshui audit`: where every job stands.

use clap::Args;
use serde_json::json;
use shanshui_pipeline::Step;
use shanshui_pipeline::reconcile::{Audit, Report};

use crate::commands::topology;
use crate::exit::{Exit, Refusal};
use crate::print;
use crate::reach::Reach;

/// Count all jobs, and list those whose state is inconsistent
///
/// Accepted - done - failed - canceled - no-speech - in flight must be nothing. The events tell
/// what was accepted and how it ended, for as long as they are kept (7 days); the queues tell what
/// is in flight; the bucket tells whether what is done is there. Exit code 1 if the state of a job is inconsistent.
#[derive(Debug, Clone, Args)]
pub(crate) struct AuditArgs {
    /// Read every object of every done job and compare it with its receipt
    #[arg(long)]
    objects: bool,
    /// Look at the streams alone, not at the bucket
    #[arg(long, conflicts_with = "objects")]
    no_bucket: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Audits once.
pub(crate) async fn run(args: AuditArgs, steps: &'static [Step]) -> Result<Exit, Refusal> {
    let queue = args.reach.queue(steps).await?;
    let store = if args.no_bucket { None } else { Some(args.reach.store().await?) };
    let mut audit = if args.objects { Audit::of_objects() } else { Audit::default() };
    let report = audit.run(&queue, store.as_ref()).await?;
    if args.json {
        print::line(json!(report))
    } else {
        show(&report)
    }
    Ok(if report.discrepancies.is_empty() { Exit::Done } else { Exit::Failed })
}

fn show(report: &Report) {
    print::line(format_args!("accepted   {:>8}", report.accepted));
    for (kind, jobs) in &report.ended {
        print::line(format_args!("{kind:<10} {jobs:>8}"));
    }
    print::line(format_args!("in flight  {:>8}", report.in_flight));
    print::line(format_args!("inconsistent {:>6}", report.discrepancies.len()));
    for pool in &report.pools {
        print::line(format_args!("pool {}/{}: {}", pool.stage, pool.pool, topology::state(&pool.into())));
    }
    for wrong in &report.discrepancies {
        print::line(format_args!("{}: {}", wrong.job, wrong.why));
    }
}
