//! What CTranslate2 calls a tensor, in the names of the Hugging Face checkpoints.

type Parts = &'static [&'static str];

const WHOLE: Parts = &[""];

/// (prefix, parts, suffix): the variable holds the tensors `prefix + part + suffix`, their rows
/// stacked. `None` for variables that are not weights of Whisper.
pub(super) fn translate(name: &str) -> Option<(String, Parts, &'static str)> {
    let (path, kind) = name.rsplit_once('/')?;
    let suffix = match kind {
        "weight" | "gamma" | "encodings" => ".weight",
        "bias" | "beta" => ".bias",
        _ => return None,
    };
    let (side, rest) = path.split_once('/')?;
    if !matches!(side, "encoder" | "decoder") {
        return None;
    }
    let (prefix, parts) = match rest {
        "conv1" | "conv2" | "layer_norm" => (format!("{side}.{rest}"), WHOLE),
        "position_encodings" => (format!("{side}.embed_positions"), WHOLE),
        "embeddings" => (format!("{side}.embed_tokens"), WHOLE),
        _ => {
            let (layer, module) = rest.strip_prefix("layer_")?.split_once('/')?;
            let (module, parts) = layer_module(module)?;
            (format!("{side}.layers.{layer}.{module}"), parts)
        }
    };
    Some((prefix, parts, suffix))
}

fn layer_module(module: &str) -> Option<(&'static str, Parts)> {
    Some(match module {
        "self_attention/layer_norm" => ("self_attn_layer_norm", WHOLE),
        "self_attention/linear_0" => ("self_attn.", &["q_proj", "k_proj", "v_proj"]),
        "self_attention/linear_1" => ("self_attn.out_proj", WHOLE),
        "attention/layer_norm" => ("encoder_attn_layer_norm", WHOLE),
        "attention/linear_0" => ("encoder_attn.q_proj", WHOLE),
        "attention/linear_1" => ("encoder_attn.", &["k_proj", "v_proj"]),
        "attention/linear_2" => ("encoder_attn.out_proj", WHOLE),
        "ffn/layer_norm" => ("final_layer_norm", WHOLE),
        "ffn/linear_0" => ("fc1", WHOLE),
        "ffn/linear_1" => ("fc2", WHOLE),
        _ => return None,
    })
}
