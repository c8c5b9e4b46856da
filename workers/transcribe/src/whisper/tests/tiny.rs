//! Makes the tiny model: two heads, two layers, a vocabulary of 64, windows of 40 frames.

use std::{collections::BTreeMap, fs, path::Path};

use ::safetensors::{Dtype, serialize_to_file, tensor::TensorView};
use half::f16;

pub(super) const WIDTH: usize = 128;
pub(super) const MELS: usize = 80;
pub(super) const FRAMES: usize = 40;
const HIDDEN: usize = 256;
const VOCABULARY: usize = 64;
const TEXT_CONTEXT: usize = 32;
const LAYERS: usize = 2;

/// Tensors under the names of Hugging Face, all exact in f16.
pub(super) struct Tiny(pub(super) BTreeMap<String, (Vec<usize>, Vec<f32>)>);

impl Tiny {
    pub(super) fn new() -> Self {
        Self::shaped(MELS, [LAYERS, LAYERS])
    }

    /// With this many mel bands, and layers of the encoder and the decoder.
    pub(super) fn shaped(mels: usize, layers: [usize; 2]) -> Self {
        let mut tiny = Self(BTreeMap::new());
        tiny.add("encoder.conv1", &[WIDTH, mels, 3]);
        tiny.add("encoder.conv2", &[WIDTH, WIDTH, 3]);
        tiny.put("encoder.embed_positions.weight", &[FRAMES / 2, WIDTH], 0.5);
        tiny.put("decoder.embed_positions.weight", &[TEXT_CONTEXT, WIDTH], 0.5);
        tiny.put("decoder.embed_tokens.weight", &[VOCABULARY, WIDTH], 1.0);
        for (side, layers) in ["encoder", "decoder"].into_iter().zip(layers) {
            tiny.add(&format!("{side}.layer_norm"), &[WIDTH]);
            for layer in 0..layers {
                tiny.layer(&format!("{side}.layers.{layer}"), side == "decoder");
            }
        }
        tiny
    }

    fn layer(&mut self, name: &str, hears: bool) {
        let mut blocks = vec!["self_attn"];
        blocks.extend(hears.then_some("encoder_attn"));
        for block in blocks {
            self.add(&format!("{name}.{block}_layer_norm"), &[WIDTH]);
            for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                self.add(&format!("{name}.{block}.{part}"), &[WIDTH, WIDTH]);
            }
            self.0.remove(&format!("{name}.{block}.k_proj.bias"));
        }
        self.add(&format!("{name}.final_layer_norm"), &[WIDTH]);
        self.add(&format!("{name}.fc1"), &[HIDDEN, WIDTH]);
        self.add(&format!("{name}.fc2"), &[WIDTH, HIDDEN]);
    }

    fn add(&mut self, name: &str, shape: &[usize]) {
        self.put(&format!("{name}.weight"), shape, if shape.len() == 1 { 1.0 } else { 0.1 });
        self.put(&format!("{name}.bias"), &shape[..1], 0.1);
    }

    fn put(&mut self, name: &str, shape: &[usize], scale: f32) {
        let mut state =
            name.bytes().fold(0x811c_9dc5u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let mut value = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f16::from_f32(((state >> 8) as f32 / 8_388_608.0 - 1.0) * scale).to_f32()
        };
        let values = (0..shape.iter().product()).map(|_| value()).collect();
        self.0.insert(name.to_owned(), (shape.to_vec(), values));
    }

    /// Rounds the matrices of all linear layers to what int8 with a scale per row can hold.
    pub(super) fn quantize(&mut self) {
        for (shape, values) in self.0.values_mut().filter(|(shape, _)| shape.len() > 1) {
            let columns = values.len() / shape[0];
            for row in values.chunks_mut(columns) {
                let scale = row_scale(row);
                row.iter_mut().for_each(|value| *value = (*value * scale).round() / scale);
            }
        }
    }

    /// A folder as the hub has it. In `shards` parts if more than one.
    pub(super) fn write_hugging_face(&self, folder: &Path, dtype: Dtype, shards: usize) {
        let bytes: Vec<_> = self.0.values().map(|(_, values)| as_bytes(values, dtype)).collect();
        let views: Vec<_> = self
            .0
            .iter()
            .zip(&bytes)
            .map(|((name, (shape, _)), bytes)| {
                (format!("model.{name}"), TensorView::new(dtype, shape.clone(), bytes).unwrap())
            })
            .collect();
        if shards == 1 {
            serialize_to_file(views, None, &folder.join("model.safetensors")).unwrap();
        } else {
            let mut map = serde_json::Map::new();
            for (number, part) in views.chunks(views.len().div_ceil(shards)).enumerate() {
                let file = format!("model-{number}.safetensors");
                map.extend(part.iter().map(|(name, _)| (name.clone(), file.clone().into())));
                serialize_to_file(part.to_vec(), None, &folder.join(file)).unwrap();
            }
            let index = serde_json::json!({ "metadata": {}, "weight_map": map });
            fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
        }
        let config = serde_json::json!({ "d_model": WIDTH, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "num_mel_bins": self.0["encoder.conv1.weight"].0[1], "suppress_tokens": null });
        fs::write(folder.join("config.json"), config.to_string()).unwrap();
        write_tokenizer(folder);
    }

    /// A folder as CTranslate2's converter makes it.
    pub(super) fn write_ctranslate2(&self, folder: &Path, int8: bool) {
        fs::write(folder.join("model.bin"), self.ctranslate2(int8)).unwrap();
        fs::write(folder.join("config.json"), r#"{"suppress_ids":[3],"suppress_ids_begin":[]}"#).unwrap();
        write_tokenizer(folder);
    }

    fn ctranslate2(&self, int8: bool) -> Vec<u8> {
        let mut variables = Vec::new();
        for side in ["encoder", "decoder"] {
            variables.push((format!("{side}/num_heads"), vec![], 2, 2i16.to_le_bytes().to_vec()));
            self.weight(
                &mut variables,
                &format!("{side}/position_encodings/encodings"),
                &[&format!("{side}.embed_positions.weight")],
                false,
            );
            self.norm(&mut variables, &format!("{side}/layer_norm"), &format!("{side}.layer_norm"));
            let is_there = |layer: &usize| self.0.contains_key(&format!("{side}.layers.{layer}.fc1.weight"));
            for layer in (0..).take_while(is_there) {
                self.ct2_layer(
                    &mut variables,
                    &format!("{side}/layer_{layer}"),
                    &format!("{side}.layers.{layer}"),
                    int8,
                );
            }
        }
        self.linear(&mut variables, "encoder/conv1", &["encoder.conv1"], int8);
        self.linear(&mut variables, "encoder/conv2", &["encoder.conv2"], int8);
        self.weight(&mut variables, "decoder/embeddings/weight", &["decoder.embed_tokens.weight"], int8);
        file(&variables)
    }

    fn ct2_layer(&self, out: &mut Variables, to: &str, from: &str, int8: bool) {
        let part = |block: &str, part: &str| format!("{from}.{block}.{part}_proj");
        let [q, k, v] = ["q", "k", "v"].map(|name| part("self_attn", name));
        self.norm(out, &format!("{to}/self_attention/layer_norm"), &format!("{from}.self_attn_layer_norm"));
        self.linear(out, &format!("{to}/self_attention/linear_0"), &[&q, &k, &v], int8);
        self.linear(out, &format!("{to}/self_attention/linear_1"), &[&part("self_attn", "out")], int8);
        if from.starts_with("decoder") {
            let [q, k, v] = ["q", "k", "v"].map(|name| part("encoder_attn", name));
            self.norm(out, &format!("{to}/attention/layer_norm"), &format!("{from}.encoder_attn_layer_norm"));
            self.linear(out, &format!("{to}/attention/linear_0"), &[&q], int8);
            self.linear(out, &format!("{to}/attention/linear_1"), &[&k, &v], int8);
            self.linear(out, &format!("{to}/attention/linear_2"), &[&part("encoder_attn", "out")], int8);
        }
        self.norm(out, &format!("{to}/ffn/layer_norm"), &format!("{from}.final_layer_norm"));
        self.linear(out, &format!("{to}/ffn/linear_0"), &[&format!("{from}.fc1")], int8);
        self.linear(out, &format!("{to}/ffn/linear_1"), &[&format!("{from}.fc2")], int8);
    }

    fn norm(&self, out: &mut Variables, to: &str, from: &str) {
        self.weight(out, &format!("{to}/gamma"), &[&format!("{from}.weight")], false);
        self.weight(out, &format!("{to}/beta"), &[&format!("{from}.bias")], false);
    }

    fn linear(&self, out: &mut Variables, to: &str, from: &[&str], int8: bool) {
        let names = |kind: &str| from.iter().map(|name| format!("{name}.{kind}")).collect::<Vec<_>>();
        self.weight(
            out,
            &format!("{to}/weight"),
            &names("weight").iter().map(String::as_str).collect::<Vec<_>>(),
            int8,
        );
        self.weight(out, &format!("{to}/bias"), &names("bias").iter().map(String::as_str).collect::<Vec<_>>(), false);
    }

    /// Stacks tensors; a bias that is not there is zero.
    fn weight(&self, out: &mut Variables, to: &str, from: &[&str], int8: bool) {
        let zeros = (vec![WIDTH], vec![0.0; WIDTH]);
        let parts: Vec<_> = from.iter().map(|name| self.0.get(*name).unwrap_or(&zeros)).collect();
        let mut shape = parts[0].0.clone();
        shape[0] *= parts.len();
        let values: Vec<f32> = parts.iter().flat_map(|(_, values)| values).copied().collect();
        if !int8 {
            out.push((to.to_owned(), shape, 4, as_bytes(&values, Dtype::F16)));
            return;
        }
        let rows = values.chunks(values.len() / shape[0]);
        let bytes = rows
            .clone()
            .flat_map(|row| row.iter().map(|value| ((*value * row_scale(row)).round() as i8).cast_unsigned()))
            .collect();
        let scales: Vec<f32> = rows.map(row_scale).collect();
        out.push((to.to_owned(), shape.clone(), 1, bytes));
        out.push((format!("{to}_scale"), vec![shape[0]], 0, as_bytes(&scales, Dtype::F32)));
    }
}

/// Name, shape, type and bytes.
type Variables = Vec<(String, Vec<usize>, u8, Vec<u8>)>;

fn row_scale(row: &[f32]) -> f32 {
    127.0 / row.iter().fold(0f32, |largest, value| largest.max(value.abs()))
}

fn file(variables: &Variables) -> Vec<u8> {
    let name = |text: &str| [&(text.len() as u16 + 1).to_le_bytes()[..], text.as_bytes(), &[0]].concat();
    let number = |value: usize| (value as u32).to_le_bytes();
    let mut out = [&number(6)[..], &name("WhisperSpec"), &number(3), &number(variables.len())].concat();
    for (title, shape, kind, bytes) in variables {
        out.extend(name(title));
        out.push(shape.len() as u8);
        shape.iter().for_each(|size| out.extend(number(*size)));
        out.push(*kind);
        out.extend(number(bytes.len()));
        out.extend(bytes);
    }
    out.extend(number(1));
    out.extend(name("decoder/projection/weight"));
    out.extend(name("decoder/embeddings/weight"));
    out
}

fn as_bytes(values: &[f32], dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F16 => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|value| half::bf16::from_f32(*value).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

/// Letters as text, then the special tokens of a multilingual Whisper with two languages.
fn write_tokenizer(folder: &Path) {
    let vocabulary: serde_json::Map<_, _> = "abcdefghi Ġ"
        .split("")
        .filter(|letter| !letter.trim().is_empty())
        .zip(0..)
        .map(|(letter, id)| (letter.to_owned(), id.into()))
        .collect();
    let special = [
        "endoftext",
        "startoftranscript",
        "en",
        "zh",
        "translate",
        "transcribe",
        "startoflm",
        "startofprev",
        "nospeech",
        "notimestamps",
    ];
    let added: Vec<_> = special
        .iter()
        .zip(10..)
        .map(|(name, id)| serde_json::json!({ "id": id, "content": format!("<|{name}|>"), "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false }))
        .collect();
    let tokenizer = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
        "post_processor": null,
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "model": { "type": "BPE", "vocab": vocabulary, "merges": [] },
    });
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
}
