//! Times the networks of Stable Diffusion 1.5 with random weights, at sides that it reads: what
//! `tests/bench` drives.
//!
//! `draw unet|vae|few|mini f32|bf16`, then a side of the latents a line; a line of JSON comes back for each.
//! `unet` is a step with guidance, of so many pictures as a line like `32x4` says; `few` a whole picture of a model of one step: text, UNet without
//! guidance, tiny decoder; `mini` two pictures of the model that ships, whatever the side. `draw apart SIDE` says how far bf16 is from f32, in dB.

#![expect(clippy::print_stdout, reason = "the answers")]

#[path = "shapes/request.rs"]
mod request;
mod shapes;

use std::collections::HashMap;
use std::io::{BufRead as _, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, bail};
use candle_core::{DType, Device, Tensor};
use serde_json::json;
use shanshui_kernels::floats::Pool;
use shanshui_paint::model::Model;
use shanshui_paint::paint::paint;
use shanshui_paint::text_encoder::TextEncoder;
use shanshui_paint::unet::{Context, Unet};
use shanshui_paint::vae::Vae;
use shanshui_paint::vae::tiny::TinyDecoder;

use shapes::{TEXT, decibels, noise, text, unet, vae, weight};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [network, kind] = words.as_slice() else { bail!("allowed: draw unet|vae|few|mini f32|bf16, draw apart SIDE") };
    if network == "apart" {
        return apart(kind.parse()?);
    }
    let dtype = if kind == "f32" { DType::F32 } else { DType::BF16 };
    // As in a job of several steps and pictures.
    let _pool = Pool::open();
    let start = Instant::now();
    let network = Network::load(network, dtype)?;
    println!("{}", json!({ "load": start.elapsed().as_secs_f64() }));
    for side in std::io::stdin().lock().lines() {
        let side = side?;
        let (side, pictures) = side.trim().split_once('x').unwrap_or((side.trim(), "1"));
        let (side, pictures) = (side.parse().context("a side of the latents")?, pictures.parse()?);
        let start = Instant::now();
        network.run(side, pictures)?;
        println!("{}", json!({ "seconds": start.elapsed().as_secs_f64() }));
        std::io::stdout().flush()?;
    }
    Ok(())
}

enum Network {
    Unet(Box<(Unet, Context)>),
    Vae(Box<Vae>),
    Few(Box<(TextEncoder, Unet, TinyDecoder)>),
    Mini(Box<Model>),
}

impl Network {
    fn load(name: &str, dtype: DType) -> anyhow::Result<Self> {
        Ok(match name {
            "unet" => {
                let unet = unet(dtype, &Device::Cpu)?;
                let context = unet.prepare(&noise(&[2, TEXT.0, TEXT.1])?)?;
                Self::Unet(Box::new((unet, context)))
            }
            "vae" => Self::Vae(Box::new(vae(dtype, &Device::Cpu)?)),
            "few" => Self::Few(Box::new((text(&Device::Cpu)?, unet(dtype, &Device::Cpu)?, tiny(dtype)?))),
            "mini" => {
                let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/mini");
                Self::Mini(Box::new(Model::load(&folder, &Device::Cpu, dtype)?))
            }
            _ => bail!("network: {name} is not allowed; allowed: unet, vae, few, mini"),
        })
    }

    fn run(&self, side: usize, pictures: usize) -> anyhow::Result<Tensor> {
        let latents = |batch| noise(&[batch, 4, side, side]);
        let steps = |batch| Tensor::full(500_f32, batch, &Device::Cpu);
        Ok(match self {
            Self::Unet(parts) => {
                let rows = 2 * pictures;
                parts.0.forward(&latents(rows)?, &steps(rows)?, &Context::join(&vec![&parts.1; pictures])?)?
            }
            Self::Vae(vae) => vae.decode(&latents(1)?)?,
            Self::Few(parts) => {
                let (text, unet, tiny) = &**parts;
                let ids = (0..TEXT.0 as u32).map(|at| at * 600).collect();
                let context = unet.prepare(&text.forward(&[ids])?)?;
                tiny.decode(&unet.forward(&latents(1)?, &steps(1)?, &context)?)?
            }
            Self::Mini(model) => {
                let painted =
                    paint(model, &request::recommended(model, 42, 2)?, 2, &mut |_| ControlFlow::Continue(()))?;
                Tensor::new(painted.pictures.len() as u32, &Device::Cpu)?
            }
        })
    }
}

/// One network after the other, so that they do not lie in memory together.
fn apart(side: usize) -> anyhow::Result<()> {
    let run = |name, dtype| -> anyhow::Result<Vec<f32>> {
        Ok(Network::load(name, dtype)?.run(side, 1)?.flatten_all()?.to_vec1()?)
    };
    for name in ["unet", "vae"] {
        let decibels = decibels(&run(name, DType::F32)?, &run(name, DType::BF16)?);
        println!("{}", json!({ "network": name, "decibels": decibels }));
    }
    Ok(())
}

/// The shape of TAESD's decoder: it is found by its tensors, so they are written to a file.
fn tiny(dtype: DType) -> anyhow::Result<TinyDecoder> {
    let mut tensors = HashMap::new();
    let mut conv = |name: String, [outputs, inputs]: [usize; 2], bias: bool| -> candle_core::Result<()> {
        tensors.insert(format!("{name}.weight"), weight(&[outputs, inputs, 3, 3])?);
        if bias {
            tensors.insert(format!("{name}.bias"), Tensor::zeros(outputs, DType::F32, &Device::Cpu)?);
        }
        Ok(())
    };
    conv("1".to_owned(), [64, 4], true)?;
    // Three blocks, a growth and a convolution without bias, three times; a block and the way out.
    for at in 3..18 {
        match (at - 3) % 5 {
            3 => {}
            4 => conv(at.to_string(), [64, 64], false)?,
            _ => [0, 2, 4].iter().try_for_each(|inner| conv(format!("{at}.conv.{inner}"), [64, 64], true))?,
        }
    }
    [0, 2, 4].iter().try_for_each(|inner| conv(format!("18.conv.{inner}"), [64, 64], true))?;
    conv("19".to_owned(), [3, 64], true)?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("taesd_decoder.safetensors");
    candle_core::safetensors::save(&tensors, &path)?;
    Ok(TinyDecoder::open(&path, dtype, &Device::Cpu)?.0)
}
