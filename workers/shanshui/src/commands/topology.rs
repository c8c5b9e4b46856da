//! `shanshui topology`: which stages there are, and who works there.

mod mermaid;

use clap::{Args, ValueEnum};
use shanshui_gateway::topology::svg;
pub(crate) use shanshui_gateway::topology::{View, state};
use shanshui_pipeline::Step;

use crate::exit::{Exit, Refusal};
use crate::print;
use crate::reach::Reach;

/// Show the stages, their queues and pools, and who works there
///
/// The stages come in the order in which a job takes them. A pool with jobs and without a live worker
/// is said. The user of the gateway may see all of it; others see no ages and no names of workers.
#[derive(Debug, Clone, Args)]
pub(crate) struct TopologyArgs {
    /// Show what this program declares; ask no server
    #[arg(long)]
    declared: bool,
    /// Print one JSON object; the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// text for people, json for scripts, mermaid for Markdown, svg as a picture
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    reach: Reach,
}

/// In which form the pipeline is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Mermaid,
    Svg,
}

/// Shows it once.
pub(crate) async fn run(args: TopologyArgs, steps: &'static [Step]) -> Result<Exit, Refusal> {
    let view = if args.declared {
        View::declared(steps, &args.reach.nats.prefix)
    } else {
        View::live(&args.reach.queue(steps).await?).await?
    };
    match if args.json { Format::Json } else { args.format } {
        Format::Text => view.lines().for_each(print::line),
        Format::Json => print::line(view.json()),
        Format::Mermaid => print::line(mermaid::of(&view)),
        Format::Svg => print::line(svg::of(&view)),
    }
    Ok(Exit::Done)
}
