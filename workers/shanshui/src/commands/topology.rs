//! `shanshui topology`: which stages there are, and who works there.

use clap::Args;
use serde_json::{Value, json};
use shanshui_pipeline::Step;
use shanshui_pipeline::names::{DEFAULT_POOL, Names, consumers};
use shanshui_pipeline::queue::PoolState;

use crate::exit::{Exit, Refusal};
use crate::print;
use crate::reach::Reach;

/// Show the stages, their queues and pools, and who works there
///
/// The stages come in the order in which a job takes them. A pool with jobs and without a live worker
/// is said.
#[derive(Debug, Clone, Args)]
pub(crate) struct TopologyArgs {
    /// Show what this program declares; ask no server
    #[arg(long)]
    declared: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Shows it once.
pub(crate) async fn run(args: TopologyArgs, steps: &'static [Step]) -> Result<Exit, Refusal> {
    let pools = if args.declared { Vec::new() } else { args.reach.queue(steps).await?.all_pools().await? };
    let names = Names::new(&args.reach.nats.prefix);
    let shown = steps.iter().map(|step| (step, pools.iter().filter(move |pool| pool.stage == step.stage)));
    if args.json {
        let steps: Vec<_> = shown.map(|(step, pools)| object(step, pools, &names)).collect();
        print::line(json!({ "steps": steps }));
    } else {
        shown.for_each(|(step, pools)| show(step, pools, &names));
    }
    Ok(Exit::Done)
}

/// What a pool does now, in words.
pub(crate) fn state(pool: &PoolState) -> String {
    let lost = if pool.is_abandoned() { ", no live worker" } else { "" };
    format!("{} waiting, {} running, {} idle workers{lost}", pool.waiting, pool.in_work, pool.asking)
}

fn show<'a>(step: &Step, pools: impl Iterator<Item = &'a PoolState>, names: &Names) {
    let Step { stage, queue, makes } = step;
    let (stream, subject) = (names.stream(&step.stream()), names.job(queue, "<lane>"));
    print::line(format_args!("{stage}: takes {subject} from stream {stream}, makes {makes}"));
    for pool in pools {
        print::line(format_args!("  pool {}: {}", pool.pool, state(pool)));
    }
}

fn object<'a>(step: &Step, pools: impl Iterator<Item = &'a PoolState>, names: &Names) -> Value {
    let takers = |pool: &str| consumers(step.stage, pool).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let pool = |pool: &PoolState| {
        let mut object = json!(pool);
        object["consumers"] = takers(&pool.pool).into();
        object["abandoned"] = pool.is_abandoned().into();
        object
    };
    json!({
        "stage": step.stage,
        "queue": step.queue,
        "makes": step.makes,
        "stream": names.stream(&step.stream()),
        "subject": names.job(step.queue, "<lane>"),
        "consumers": takers(DEFAULT_POOL),
        "pools": pools.map(pool).collect::<Vec<_>>(),
    })
}
