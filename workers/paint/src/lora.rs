//! Low-rank adaptations (Hu et al., arXiv:2106.09685) of a model, added to its weights while they load.

mod names;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Tensor};
use serde_json::Value;

use crate::diffusers::read_json;
use crate::diffusers::weight_file::{Place, WeightFile};
use names::{Role, module};

/// One file of adaptations.
pub struct Lora {
    name: String,
    file: WeightFile,
    /// By part and module, as [`names`] writes them.
    layers: BTreeMap<String, Layer>,
    /// Alpha over rank where the file does not say it layer by layer.
    scale: Option<f64>,
    used: Mutex<HashSet<String>>,
}

/// Names of a layer's tensors.
#[derive(Default)]
struct Layer {
    down: Option<String>,
    up: Option<String>,
    alpha: Option<String>,
}

/// An adaptation, as strong as it is wanted.
#[derive(Clone)]
pub struct Merge {
    lora: Arc<Lora>,
    weight: f64,
}

impl Lora {
    /// Opens a file in the naming of kohya's scripts, of diffusers or of PEFT.
    ///
    /// # Errors
    /// When it is no safetensors file, or holds what cannot be merged; names the tensor.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.file_stem().map_or_else(|| "lora".into(), |name| name.to_string_lossy().into_owned());
        let file = WeightFile::open(path, path.display().to_string())?;
        let mut layers: BTreeMap<String, Layer> = BTreeMap::new();
        for tensor in file.names() {
            let (module, role) = module(&tensor).with_context(|| format!("{}: tensor {tensor}", path.display()))?;
            let layer = layers.entry(module).or_default();
            *match role {
                Role::Down => &mut layer.down,
                Role::Up => &mut layer.up,
                Role::Alpha => &mut layer.alpha,
            } = Some(tensor);
        }
        ensure!(!layers.is_empty(), "{}: holds no tensor", path.display());
        let config = path.with_file_name("adapter_config.json");
        let scale = if config.is_file() { peft_scale(&read_json(&config)?) } else { None };
        Ok(Self { name, file, layers, scale, used: Mutex::default() })
    }

    /// The file's name without its ending.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the file in hex.
    #[must_use]
    pub fn sha256(&self) -> String {
        self.file.sha256()
    }

    /// Forgets which layers were used, before a model loads anew.
    pub fn begin(&self) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether the model that was loaded last had a place for the layers.
    ///
    /// # Errors
    /// When it had none for any: the file was made for another model.
    pub fn check_used(&self) -> Result<()> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let unused: Vec<_> = self.layers.keys().filter(|module| !used.contains(*module)).collect();
        let Some(first) = unused.first() else { return Ok(()) };
        let (count, all) = (unused.len(), self.layers.len());
        ensure!(count < all, "lora {}: none of its {all} layers is in this model, such as {first}", self.name);
        tracing::warn!(lora = self.name, "{count} of {all} layers are not in this model, such as {first}");
        Ok(())
    }

    /// The change of one tensor, (outputs, inputs…), if the file has one.
    fn change(&self, part: &str, path: &str) -> Result<Option<Tensor>> {
        let Some((module, layer)) =
            names::candidates(part, path).into_iter().find_map(|key| self.layers.get_key_value(&key))
        else {
            return Ok(None);
        };
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(module.clone());
        let read = |name: &Option<String>, what: &str| {
            let name = name.as_ref().with_context(|| format!("lora {}: {module} has no {what}", self.name))?;
            let shape = self.file.shape(name).unwrap_or_default().to_vec();
            anyhow::Ok(self.file.load(&Place::whole(name.as_str()), &[&shape])?.to_dtype(DType::F32)?)
        };
        let (down, up) = (read(&layer.down, "lora_down")?, read(&layer.up, "lora_up")?);
        let rank = down.dim(0)?;
        let fits = rank > 0 && up.dims().len() >= 2 && up.dim(1)? == rank;
        ensure!(fits, "lora {}: {module}: ranks differ, or are zero", self.name);
        let scale = match &layer.alpha {
            Some(_) => f64::from(read(&layer.alpha, "alpha")?.flatten_all()?.get(0)?.to_scalar::<f32>()?) / rank as f64,
            None => self.scale.unwrap_or(1.0),
        };
        let up = up.reshape((up.dim(0)?, rank))?;
        Ok(Some((up.matmul(&down.reshape((rank, ()))?)? * scale)?))
    }
}

impl Merge {
    /// `weight` multiplies what the file asks for.
    pub fn new(lora: Arc<Lora>, weight: f64) -> Self {
        Self { lora, weight }
    }

    /// What is merged.
    pub fn lora(&self) -> &Lora {
        &self.lora
    }

    /// How strongly.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// Adds the change to the tensor at `path` of a part.
    ///
    /// # Errors
    /// When the change has another shape.
    pub fn add_to(&self, tensor: Tensor, part: &str, path: &str) -> Result<Tensor> {
        let Some(change) = self.lora.change(part, path)? else { return Ok(tensor) };
        let (ours, theirs) = (tensor.elem_count(), change.elem_count());
        if ours != theirs {
            bail!("lora {}: {path} has {ours} elements, the file changes {theirs}", self.lora.name);
        }
        let change = (change.reshape(tensor.shape())? * self.weight)?;
        Ok((tensor.to_dtype(DType::F32)? + change)?)
    }
}

/// Alpha over rank, as PEFT writes it beside the file.
fn peft_scale(config: &Value) -> Option<f64> {
    let (alpha, rank) = (config["lora_alpha"].as_f64()?, config["r"].as_f64()?);
    let root = config["use_rslora"].as_bool().unwrap_or_default();
    (rank > 0.0).then(|| alpha / if root { rank.sqrt() } else { rank })
}
