//! Text to picture: Stable Diffusion as a stage of the pipeline.

pub mod batcher;
pub mod diffusers;
pub mod error;
mod follower;
pub mod layers;
pub mod limits;
pub mod lora;
pub mod model;
pub mod noise;
pub mod options;
pub mod paint;
pub mod picture;
pub mod preview;
pub mod prompt;
pub mod receipt;
pub mod sampler;
pub mod shape;
pub mod single_file;
pub mod source;
pub mod stage;
pub mod text_encoder;
pub mod tokenizer;
pub mod unet;
pub mod vae;
