//! The text that picture programs read: what the AUTOMATIC1111 web UI writes.

use std::fmt;

use crate::sampler::SamplerKind;

/// How a picture was made; [`fmt::Display`] gives the text for the `parameters` chunk.
///
/// Three lines: prompt, negative prompt (left out when empty), and `Steps: 20, Sampler: Euler a, …`.
#[derive(Clone, Debug)]
pub struct Parameters<'a> {
    /// What was painted, one line.
    pub prompt: &'a str,
    /// What was to be avoided.
    pub negative: &'a str,
    /// Denoising steps.
    pub steps: usize,
    /// The sampler.
    pub sampler: SamplerKind,
    /// Classifier-free guidance.
    pub guidance: f64,
    /// The job's seed. The picture's index in the job is in the receipt.
    pub seed: u64,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// SHA-256 of the weights in hex, of which the first ten digits are written.
    pub model_hash: &'a str,
    /// The model's name.
    pub model: &'a str,
}

impl fmt::Display for Parameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", Line(self.prompt))?;
        if !self.negative.is_empty() {
            writeln!(f, "Negative prompt: {}", Line(self.negative))?;
        }
        let (width, height) = self.size;
        let hash: String = self.model_hash.chars().take(10).collect();
        write!(f, "Steps: {}, Sampler: {}, CFG scale: {}, ", self.steps, self.sampler, self.guidance)?;
        write!(f, "Seed: {}, Size: {width}x{height}, ", self.seed)?;
        write!(f, "Model hash: {}, Model: {}, ", Value(&hash), Value(self.model))?;
        write!(f, "Version: shanshui {}", env!("CARGO_PKG_VERSION"))
    }
}

/// A prompt as one line, in which readers find no second negative prompt: they split at that word.
struct Line<'a>(&'a str);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0.replace(['\r', '\n'], " ");
        f.write_str(&line.replace("Negative prompt:", "Negative prompt"))
    }
}

/// A value of the last line: as a JSON string where it holds what separates values.
struct Value<'a>(&'a str);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.contains([',', ':', '\n', '"']) {
            return f.write_str(self.0);
        }
        f.write_str(&serde_json::Value::from(self.0).to_string())
    }
}
