//! Text to picture: Stable Diffusion as a stage of the pipeline.

pub mod diffusers;
