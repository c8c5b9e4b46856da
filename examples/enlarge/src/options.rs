//! Settings of a worker that enlarges.

use clap::Args;

use crate::job::{MAX_FACTOR, MIN_FACTOR};

/// What a worker is told at start. All flags begin with the stage's name, because `up` takes the
/// flags of all stages.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Enlarge")]
pub struct EnlargeOptions {
    /// How many times wider and higher a picture becomes, where the job does not say
    #[arg(long, env = "SHANSHUI_ENLARGE_FACTOR", default_value_t = 2, value_parser = clap::value_parser!(u32).range(i64::from(MIN_FACTOR)..=i64::from(MAX_FACTOR)))]
    pub enlarge_factor: u32,
    /// Most pixels of an enlarged picture, width times height
    #[arg(long, env = "SHANSHUI_ENLARGE_MAX_PIXELS", default_value_t = 1 << 24)]
    pub enlarge_max_pixels: u64,
}
