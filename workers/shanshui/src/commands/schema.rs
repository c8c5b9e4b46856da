//! `shanshui schema`: what travels, for machines.

use clap::Args;
use shanshui_pipeline::names::Names;
use shanshui_pipeline::{asyncapi, schema};

use crate::exit::Exit;
use crate::print;

/// Print JSON Schemas of jobs, events and receipts, or AsyncAPI of the subjects
///
/// They are made from the types of this version. A gateway serves them as /schema.json and /asyncapi.json.
#[derive(Debug, Clone, Args)]
pub(crate) struct SchemaArgs {
    /// Print AsyncAPI 3 of the subjects on NATS
    #[arg(long)]
    asyncapi: bool,
    /// First token of every subject
    #[arg(long, env = "SHANSHUI_PREFIX", default_value = "shanshui")]
    prefix: String,
}

/// Prints the document.
pub(crate) fn run(args: &SchemaArgs) -> Exit {
    let document = if args.asyncapi { asyncapi::document(&Names::new(&args.prefix)) } else { schema::document() };
    print::line(format_args!("{document:#}"));
    Exit::Done
}
