//! All that is needed to paint the same pictures again.

use serde_json::{Value, json};
use shanshui_common::job::{JobId, TextJob};
use shanshui_common::store::Stored;

use crate::paint::Request;
use crate::picture::Parameters;
use crate::prompt::syntax::Syntax;

/// The noise generator, as [`crate::noise`] specifies it.
const NOISE: &str = "philox4x32-10";

/// The model that paints, and on what.
#[derive(Debug)]
pub struct About {
    /// Name of its repository, folder or file.
    pub name: String,
    /// Path and SHA-256 of each weight file, the UNet's first.
    pub hashes: Vec<(String, String)>,
    /// `cpu` or `cuda`.
    pub device: &'static str,
    /// Number format of the computation.
    pub dtype: &'static str,
}

/// What the object `receipt.json` is made of.
#[derive(Debug)]
pub struct Receipt<'a> {
    /// The job as it came.
    pub job: &'a TextJob,
    /// Its name.
    pub id: &'a JobId,
    /// The pictures in the bucket, in order.
    pub pictures: &'a [Stored],
    /// Markup in the texts that was read as plain text.
    pub markup: &'a [String],
    /// Seconds that the stage took.
    pub seconds: f64,
}

impl About {
    /// Ten digits of the UNet's SHA-256, as A1111 shortens them.
    pub fn short_hash(&self) -> &str {
        self.hashes.first().and_then(|(_, hash)| hash.get(..10)).unwrap_or_default()
    }

    /// What A1111 would write into the picture.
    pub fn parameters<'a>(&'a self, request: &'a Request) -> Parameters<'a> {
        Parameters {
            prompt: &request.prompt,
            negative: &request.negative,
            steps: request.steps,
            sampler: request.sampler,
            guidance: request.guidance,
            seed: request.seed,
            size: (request.width as u32, request.height as u32),
            model_hash: self.short_hash(),
            model: &self.name,
        }
    }

    /// How one picture (by `index`), or all of a request, is painted. It holds no time and no name
    /// of a job, so that the same wish gives the same file.
    pub fn recipe(&self, request: &Request, index: Option<u32>) -> Value {
        let weights: Vec<Value> =
            self.hashes.iter().map(|(path, sha256)| json!({ "path": path, "sha256": sha256 })).collect();
        let mut recipe = json!({
            "prompt": request.prompt,
            "negative": request.negative,
            "width": request.width,
            "height": request.height,
            "steps": request.steps,
            "guidance": request.guidance,
            "sampler": request.sampler.id(),
            "seed": request.seed,
            "noise": NOISE,
            "model": { "name": self.name, "weights": weights },
            "code": concat!("shanshui ", env!("CARGO_PKG_VERSION")),
            "device": self.device,
            "dtype": self.dtype,
        });
        // Only where it is not the usual, so that the same wish goes on to give the same file.
        if request.syntax != Syntax::Plain {
            recipe["syntax"] = request.syntax.id().into();
        }
        if !request.loras.is_empty() {
            let loras = request.loras.iter().map(|(name, weight)| json!({ "name": name, "weight": weight }));
            recipe["loras"] = loras.collect();
        }
        if let Some(index) = index {
            recipe["index"] = index.into();
        }
        recipe
    }
}

impl Receipt<'_> {
    /// The object's content.
    pub fn to_json(&self, about: &About, request: &Request, truncated: bool) -> Value {
        let source = self.job.common.extra.iter().find(|(key, _)| key.as_str() == Some("source"));
        let source = source.and_then(|(_, source)| serde_json::to_value(source).ok()).unwrap_or(Value::Null);
        let object = |kind: &str, stored: &Stored| json!({ "kind": kind, "key": stored.key, "sha256": stored.sha256, "bytes": stored.bytes });
        let mut objects: Vec<Value> = self.pictures.iter().map(|stored| object("picture", stored)).collect();
        objects.extend(source.get("objects").and_then(Value::as_array).into_iter().flatten().cloned());
        let mut receipt = json!({
            "version": 1,
            "job": self.id.as_str(),
            "text": self.job.text,
            "text_truncated": truncated,
            "labels": self.job.common.labels,
            "recipe": about.recipe(request, None),
            "objects": objects,
            "source": source,
            "seconds": self.seconds,
        });
        if !self.markup.is_empty() {
            receipt["markup_as_text"] = self.markup.into();
        }
        receipt
    }
}
