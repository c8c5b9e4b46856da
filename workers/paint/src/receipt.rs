//! All that is needed to paint the same pictures again.

use serde_json::{Value, json};
use shanshui_model::Origin;
use shanshui_pipeline::failure::{Failure, OrFailure};
use shanshui_pipeline::made::{Made, MadeObject};
use shanshui_pipeline::store::ObjectKey;
use shanshui_pipeline::{Context, Stage};

use crate::paint::Request;
use crate::picture::Parameters;
use crate::prompt::syntax::Syntax;
use crate::stage::Paint;

/// The noise generator, as [`crate::noise`] specifies it.
const NOISE: &str = "philox4x32-10";

/// The model that paints, and on what.
#[derive(Debug)]
pub struct About {
    /// Its name, and where it came from.
    pub origin: Origin,
    /// Path and SHA-256 of each weight file, the UNet's first.
    pub hashes: Vec<(String, String)>,
    /// `cpu` or `cuda`.
    pub device: &'static str,
    /// Number format of the computation.
    pub dtype: &'static str,
}

/// Largest record that is read back, in bytes.
const MAX_RECORD: u64 = 1 << 20;

/// What the receipt of a job says of this stage.
#[derive(Debug)]
pub struct Receipt<'a> {
    /// The text as it came.
    pub text: &'a str,
    /// Whether only its beginning was painted.
    pub text_truncated: bool,
    /// Markup in the texts that was read as plain text.
    pub markup: &'a [String],
    /// How the pictures were painted.
    pub recipe: Value,
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
            model: &self.origin.name,
        }
    }

    /// How one picture (by `index`), or all of a request, is painted. It holds no time and no name
    /// of a job, so that the same wish gives the same file.
    pub fn recipe(&self, request: &Request, index: Option<u32>) -> Value {
        let weights: Vec<Value> =
            self.hashes.iter().map(|(path, sha256)| json!({ "path": path, "sha256": sha256 })).collect();
        let mut model = self.origin.to_json();
        model["weights"] = weights.into();
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
            "model": model,
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
    /// Writes the stage's record, which a second attempt finds, and returns what the job's receipt
    /// says of this stage.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn record(self, pictures: Vec<MadeObject>, context: &Context) -> Result<Made, Failure> {
        let Self { text, text_truncated, markup, recipe } = self;
        let mut facts = json!({ "text": text, "text_truncated": text_truncated, "recipe": recipe });
        if !markup.is_empty() {
            facts["markup_as_text"] = markup.into();
        }
        let made = Made::new(pictures, facts);
        let key = ObjectKey::Record { job: &context.job, stage: Paint::NAME };
        let body = serde_json::to_vec(&made).or_retry()?;
        let stored = context.store.put(&key, body.into()).await?;
        let made = if stored.existed { read(&stored.key, context).await? } else { made };
        Ok(with_record(made, stored.object("record")))
    }
}

/// What an earlier attempt has made, if it came to its end.
///
/// # Errors
/// The store does not answer, or the record is none.
pub async fn recall(context: &Context) -> Result<Option<Made>, Failure> {
    let key = ObjectKey::Record { job: &context.job, stage: Paint::NAME };
    let Some(stored) = context.store.find(&key).await? else { return Ok(None) };
    let made = read(&stored.key, context).await?;
    Ok(Some(with_record(made, stored.object("record"))))
}

async fn read(key: &str, context: &Context) -> Result<Made, Failure> {
    serde_json::from_slice(&context.store.get(key, MAX_RECORD).await?).or_retry()
}

fn with_record(mut made: Made, record: MadeObject) -> Made {
    made.objects.push(record);
    made
}
