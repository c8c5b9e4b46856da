//! Text to picture: Stable Diffusion as a stage of the pipeline.

pub mod diffusers;
pub mod layers;
pub mod limits;
pub mod model;
pub mod noise;
pub mod paint;
pub mod picture;
pub mod prompt;
pub mod sampler;
pub mod text_encoder;
pub mod tokenizer;
pub mod unet;
pub mod vae;
pub mod options;
pub mod receipt;
pub mod stage;
