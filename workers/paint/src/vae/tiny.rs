//! A tiny decoder of latents (TAESD, Ollin Boer Bohan): a few convolutions instead of the autoencoder's
//! half, good for previews and for models of few steps on a processor.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use shanshui_kernels::floats::Pool;

use crate::diffusers::names::file_names;
use crate::diffusers::weight_file::{Place, WeightFile};
use crate::diffusers::weights::{WeightFiles, Weights};
use crate::layers::conv::{Around, Conv};
use crate::layers::map::Map;

/// Bound of the latents: they are bent into it, not cut.
const BOUND: f64 = 3.0;
/// More layers than any published decoder has.
const MAX_LAYERS: usize = 256;

/// The decoder of `AutoencoderTiny` of diffusers, or of the original files.
pub struct TinyDecoder {
    layers: Vec<Layer>,
    latent_channels: usize,
}

enum Layer {
    Conv(Conv),
    Relu,
    Block([Conv; 3]),
    Grow,
}

impl TinyDecoder {
    /// Opens `taesd_decoder.safetensors`, `diffusion_pytorch_model.safetensors`, or a folder with the latter;
    /// the second of the answer is the file's name and SHA-256.
    ///
    /// # Errors
    /// Names the file, and the tensor that does not fit.
    pub fn open(path: &Path, dtype: DType, device: &Device) -> Result<(Self, (String, String))> {
        let path = if path.is_dir() {
            let names = file_names(path, "diffusion_pytorch_model").with_context(|| path.display().to_string())?;
            path.join(names.first().context("the index names no file")?)
        } else {
            path.to_owned()
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = WeightFile::open(&path, format!("tiny-decoder/{name}")).map(Arc::new)?;
        let hash = (file.label().to_owned(), file.sha256());
        // The original counts the bending of the latents as a layer, and may hold the encoder as well.
        let starts = [("decoder.layers.", 0), ("taesd_decoder.", 1), ("decoder.", 1), ("", 1)];
        let found = starts.into_iter().find(|(start, first)| file.shape(&format!("{start}{first}.weight")).is_some());
        let (start, first) = found.with_context(|| format!("{}: is not a tiny decoder", path.display()))?;
        let naming = move |name: &str| Place::whole(format!("{start}{name}"));
        let files = WeightFiles::within(Arc::clone(&file), "tiny-decoder", Box::new(naming));
        let weights = Weights::new(&files, dtype, device);
        let shape = |name: String| file.shape(&format!("{start}{name}"));
        let layers = Self::layers(&weights, first, &shape).with_context(|| path.display().to_string())?;
        let latent_channels = shape(format!("{first}.weight")).and_then(|shape| shape.get(1)).copied().unwrap_or(0);
        Ok((Self { layers, latent_channels }, hash))
    }

    fn layers<'f>(
        weights: &Weights<'_>,
        first: usize,
        shape: &dyn Fn(String) -> Option<&'f [usize]>,
    ) -> Result<Vec<Layer>> {
        let load = |name: String, grown: bool| -> Result<Option<Conv>> {
            let Some(&[outputs, inputs, 3, 3]) = shape(format!("{name}.weight")) else { return Ok(None) };
            let weights = weights.at(name);
            let load = || Conv::load_with_or_without_bias(&weights, inputs, outputs);
            if grown { Conv::load_doubling(&weights, inputs, outputs, false) } else { load() }.map(Some)
        };
        let conv = |name| load(name, false);
        let mut layers = Vec::new();
        let mut gap = false;
        for index in first..first + MAX_LAYERS {
            let grown = matches!(layers.last(), Some(Layer::Grow));
            let layer = if let Some(plain) = load(index.to_string(), grown)? {
                Layer::Conv(plain)
            } else if let Some(inner) = conv(format!("{index}.conv.0"))? {
                let [Some(second), Some(third)] = [conv(format!("{index}.conv.2"))?, conv(format!("{index}.conv.4"))?]
                else {
                    bail!("{index}.conv: allowed are three convolutions");
                };
                ensure!(shape(format!("{index}.skip.weight")).is_none(), "{index}.skip is not supported");
                Layer::Block([inner, second, third])
            } else if gap {
                break;
            } else {
                // What has no weights: the first is the activation, the others double the size.
                gap = true;
                layers.push(if index == first + 1 { Layer::Relu } else { Layer::Grow });
                continue;
            };
            gap = false;
            layers.push(layer);
        }
        // The search ended behind the last layer.
        layers.pop();
        check(&layers)?;
        Ok(layers)
    }

    /// Pixels for each latent, on a side.
    #[must_use]
    pub fn scale(&self) -> usize {
        1 << self.layers.iter().filter(|layer| matches!(layer, Layer::Grow)).count()
    }

    /// Channels of the latents.
    #[must_use]
    pub fn latent_channels(&self) -> usize {
        self.latent_channels
    }

    /// Latents as the UNet makes them to pictures (batch, 3, height, width) in about [0, 1].
    ///
    /// # Errors
    /// When the device fails.
    pub fn decode(&self, latents: &Tensor) -> candle_core::Result<Tensor> {
        let bent = ((latents / BOUND)?.tanh()? * BOUND)?;
        let Some(Layer::Conv(first)) = self.layers.first() else { candle_core::bail!("begins with no convolution") };
        let _pool = Pool::open();
        let mut x = first.take(&bent)?;
        let mut around = Around::default();
        for (at, layer) in self.layers.iter().enumerate() {
            match layer {
                Layer::Conv(conv) => {
                    let relu = matches!(self.layers.get(at + 1), Some(Layer::Relu));
                    x = conv.forward_with(&x, Around { relu, ..around })?;
                    around.sides = None;
                }
                Layer::Relu => {}
                Layer::Block(convs) => x = block(convs, x)?,
                Layer::Grow => around.sides = Some(x.sides()?.map(|side| 2 * side)),
            }
        }
        x.into_tensor()
    }
}

fn block([first, second, third]: &[Conv; 3], x: Map) -> candle_core::Result<Map> {
    let relu = Around { relu: true, ..Around::default() };
    let inner = second.forward_with(&first.forward_with(&x, relu)?, relu)?;
    third.forward_with(&inner, Around { add: Some(&x), ..relu })
}

/// Whether each activation stands behind a convolution and each growth before one, which does it on the
/// way.
fn check(layers: &[Layer]) -> Result<()> {
    let is_conv = |layer: Option<&Layer>| matches!(layer, Some(Layer::Conv(_)));
    ensure!(is_conv(layers.first()) && is_conv(layers.last()), "does not begin and end with a convolution");
    for pair in layers.windows(2) {
        let fits = match (&pair[0], &pair[1]) {
            (before, Layer::Relu) => is_conv(Some(before)),
            (Layer::Grow, behind) => is_conv(Some(behind)),
            _ => true,
        };
        ensure!(fits, "has an activation or a growth without a convolution beside it");
    }
    Ok(())
}
