//! Large maps are cut into bands, which must not show, and must save the memory that they are for.

use candle_core::{DType, Device, Tensor};
use serde_json::json;
use shanshui_kernels::floats::Pool;

use super::{Vae, VaeEncoder};
use crate::diffusers::vae_config::VaeConfig;
use crate::diffusers::weights::{WeightFiles, Weights};
use crate::layers::bands::cut_at;
use crate::layers::conv::{Around, Conv};
use crate::layers::norm::GroupNorm;
use crate::noise::NoiseKey;

/// Bytes that no map of these tests has, and that none is below.
const NEVER: usize = usize::MAX / 2;
const ALWAYS: usize = 1;

fn noise(shape: &[usize]) -> candle_core::Result<Tensor> {
    let values = NoiseKey { seed: 7, picture: 0, step: 0 }.normals(shape.iter().product());
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// Weights that keep the variance.
fn files() -> WeightFiles {
    let weight = |shape: &[usize]| {
        let inputs: usize = shape[1..].iter().product();
        noise(shape)? / (inputs as f64).sqrt()
    };
    WeightFiles::made("vae", Box::new(move |_, shape| weight(shape)))
}

fn config(channels: &[usize]) -> VaeConfig {
    let blocks = |name: &'static str| vec![name; channels.len()];
    VaeConfig::parse(json!({
        "latent_channels": 4, "layers_per_block": 1, "block_out_channels": channels, "norm_num_groups": 8,
        "down_block_types": blocks("DownEncoderBlock2D"), "up_block_types": blocks("UpDecoderBlock2D"),
    }))
    .unwrap()
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// Bits of what is computed with so many threads and such bands.
fn run(work: impl Fn() -> candle_core::Result<Tensor> + Send + Sync, threads: usize, bytes: usize) -> Vec<u32> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        cut_at(bytes);
        bits(&work().unwrap())
    })
}

#[test]
fn an_autoencoder_in_bands_computes_what_it_computes_whole() {
    // Of a map with 200 channels the convolutions go by pairs of pixels.
    let (files, config) = (files(), config(&[16, 24, 200]));
    let (latents, pixels) = (noise(&[2, 4, 19, 7]).unwrap(), noise(&[1, 3, 75, 38]).unwrap());
    for dtype in [DType::F32, DType::BF16] {
        let weights = Weights::new(&files, dtype, &Device::Cpu);
        let (decoder, encoder) = (Vae::load(&weights, &config).unwrap(), VaeEncoder::load(&weights, &config).unwrap());
        let [whole, latent] = [run(|| decoder.decode(&latents), 1, NEVER), run(|| encoder.encode(&pixels), 1, NEVER)];
        assert_eq!(whole.len(), 2 * 3 * 76 * 28);
        assert!(whole.iter().all(|value| f32::from_bits(*value).is_finite()));
        for threads in [1, 3] {
            assert_eq!(run(|| decoder.decode(&latents), threads, ALWAYS), whole, "{dtype:?} {threads}");
            assert_eq!(run(|| encoder.encode(&pixels), threads, ALWAYS), latent, "{dtype:?} {threads}");
        }
    }
}

#[test]
fn a_convolution_in_bands_has_its_pictures_norms_and_additions_in_their_places() {
    let files = files();
    let weights = Weights::new(&files, DType::F32, &Device::Cpu);
    let norm = GroupNorm::load(&weights.at("norm"), 200, 8, 1e-6).unwrap().with_silu();
    let (x, extra, add) = (noise(&[3, 200, 21, 17]), noise(&[3, 12]), noise(&[3, 12, 21, 17]));
    let (x, extra, add) = (x.unwrap(), extra.unwrap(), add.unwrap());
    for conv in [Conv::load(&weights, 200, 12), Conv::load_wide(&weights, 200, 12)].map(Result::unwrap) {
        for held in [false, true] {
            let work = || {
                let add = conv.take(&add)?;
                let other = held.then(|| add.clone());
                let around = Around { norm: Some(&norm), extra: Some(&extra), add: Some(add), ..Around::default() };
                let y = conv.forward_with(&conv.take(&x)?, Around { relu: true, ..around })?.into_tensor();
                drop(other);
                y
            };
            assert_eq!(run(work, 2, ALWAYS), run(work, 1, NEVER), "held: {held}");
        }
    }
}

#[test]
fn a_decoder_needs_memory_for_three_maps_of_the_picture_with_half_the_widest_ones_channels() {
    let (files, config) = (files(), config(&[32, 64, 64]));
    for dtype in [DType::F32, DType::BF16] {
        let vae = Vae::load(&Weights::new(&files, dtype, &Device::Cpu), &config).unwrap();
        let latents = noise(&[1, 4, 48, 40]).unwrap();
        let map = (16 * 48 * 40 * 32 * size_of::<f32>()) as f64;
        let maps = |bytes: usize| {
            let _pool = Pool::open();
            cut_at(bytes);
            vae.decode(&latents).unwrap();
            Pool::most_bytes() as f64 / map
        };
        let (bands, whole) = (maps(1 << 16), maps(NEVER));
        assert!((3.0..3.2).contains(&bands), "{dtype:?}: {bands} maps");
        assert!(whole > bands + 0.5, "{dtype:?}: {whole} maps");
    }
}
