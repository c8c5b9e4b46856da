//! `shanshui gpus`: what there is to compute on. The program without CUDA asks the one that has it.

use anyhow::ensure;
use clap::Args;
use shanshui_model::gpu;

use crate::exit::{Exit, Refusal};
use crate::gpu_program::{self, GpuProgram};
use crate::print;

/// List the GPUs that workers on this machine can compute on
#[derive(Debug, Clone, Args)]
pub(crate) struct GpusArgs {
    /// Version of the program that asks, to start this one in its place
    #[arg(long, hide = true, value_name = "VERSION")]
    asked_by: Option<String>,
}

/// Prints a line for each GPU: what a flag calls it, and its name.
pub(crate) fn run(args: &GpusArgs) -> Result<Exit, Refusal> {
    // Flags and jobs of one version may not be those of another.
    if let Some(version) = args.asked_by.as_ref().filter(|version| *version != gpu_program::VERSION) {
        return Err(Refusal::setting("asked-by", version, gpu_program::VERSION));
    }
    for line in lines()? {
        print::line(line);
    }
    Ok(Exit::Done)
}

fn lines() -> anyhow::Result<Vec<String>> {
    if !gpu::BUILT_IN {
        let lines = GpuProgram::find().and_then(|program| program.gpus());
        return lines.map_err(|why| anyhow::anyhow!("there is no GPU to compute on: {why}"));
    }
    let names = gpu::names()?;
    ensure!(!names.is_empty(), "the NVIDIA driver finds no GPU");
    Ok(names.iter().enumerate().map(|(number, name)| format!("cuda:{number} {name}")).collect())
}
