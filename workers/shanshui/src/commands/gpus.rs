//! `shanshui gpus`: what there is to compute on. The program without CUDA asks the one that has it.

use anyhow::ensure;
use shanshui_model::gpu;

use crate::exit::{Exit, Refusal};
use crate::gpu_program::GpuProgram;
use crate::print;

/// Prints a line for each GPU: what a flag calls it, and its name.
pub(crate) fn run() -> Result<Exit, Refusal> {
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
