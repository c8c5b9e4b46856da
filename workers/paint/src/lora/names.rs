//! What the tensors of an adaptation are called: by kohya's scripts, by diffusers, by PEFT.
//!
//! All are brought to one form: the part of the model, a colon, and the module's path with `_` for dots,
//! which is how kohya writes it and which no two modules of a model share.

use anyhow::{Result, bail, ensure};

/// Which tensor of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Down,
    Up,
    Alpha,
}

const ENDS: &[(&str, Role)] = &[
    (".lora_down.weight", Role::Down),
    (".lora_up.weight", Role::Up),
    (".lora_A.weight", Role::Down),
    (".lora_B.weight", Role::Up),
    (".lora_A.default.weight", Role::Down),
    (".lora_B.default.weight", Role::Up),
    (".lora.down.weight", Role::Down),
    (".lora.up.weight", Role::Up),
    ("_lora.down.weight", Role::Down),
    ("_lora.up.weight", Role::Up),
    (".lora_linear_layer.down.weight", Role::Down),
    (".lora_linear_layer.up.weight", Role::Up),
    (".alpha", Role::Alpha),
];

const UNET: &str = "unet";
const TEXT: &str = "text_encoder";

/// Part and module of a tensor in a file, and what it is.
///
/// # Errors
/// When it is no part of a low-rank product of Stable Diffusion 1.x or 2.x.
pub(super) fn module(tensor: &str) -> Result<(String, Role)> {
    let ends = |end: &&(&str, Role)| tensor.ends_with(end.0);
    let Some((end, role)) = ENDS.iter().find(ends) else {
        bail!("is not of a LoRA that can be merged; allowed: lora_down and lora_up, lora_A and lora_B, alpha");
    };
    let path = &tensor[..tensor.len() - end.len()];
    ensure!(!path.starts_with("lora_te2_") && !path.starts_with("text_encoder_2."), "is for Stable Diffusion XL");
    let path = path.strip_prefix("base_model.model.").unwrap_or(path);
    let starts =
        [("lora_unet_", UNET), ("unet.", UNET), ("lora_te1_", TEXT), ("lora_te_", TEXT), ("text_encoder.", TEXT)];
    let found = starts.into_iter().find_map(|(start, part)| Some((part, path.strip_prefix(start)?)));
    let (part, path) = found.unwrap_or((if path.starts_with("text_model.") { TEXT } else { UNET }, path));
    Ok((key(part, path), *role))
}

fn key(part: &str, path: &str) -> String {
    let flat = path.replace(".processor.", ".").replace('.', "_");
    format!("{part}:{}", flat.strip_prefix("text_model_").unwrap_or(&flat))
}

/// The keys under which a file may have the change of the tensor at `path`.
pub(super) fn candidates(part: &str, path: &str) -> Vec<String> {
    let Some(module) = path.strip_suffix(".weight") else { return Vec::new() };
    let own = key(part, module);
    let mut keys = vec![own.clone()];
    // Diffusers before its use of PEFT.
    for (name, old) in [
        ("_to_out_0", "_to_out"),
        ("_q_proj", "_to_q"),
        ("_k_proj", "_to_k"),
        ("_v_proj", "_to_v"),
        ("_out_proj", "_to_out"),
    ] {
        keys.extend(own.strip_suffix(name).map(|start| format!("{start}{old}")));
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_layer_has_one_name_whoever_wrote_it() {
        let path = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0";
        let keys = candidates("unet", &format!("{path}.weight"));
        for tensor in [
            "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0.lora_down.weight".to_owned(),
            format!("unet.{path}.lora_A.weight"),
            format!("unet.{path}.lora.down.weight"),
            format!("base_model.model.{path}.lora_A.default.weight"),
            "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora.down.weight".to_owned(),
            "down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora.down.weight".to_owned(),
        ] {
            let (found, role) = module(&tensor).unwrap();
            assert!(keys.contains(&found) && role == Role::Down, "{tensor}: {found}");
        }
        let keys = candidates("text_encoder", "text_model.encoder.layers.1.self_attn.q_proj.weight");
        for tensor in [
            "lora_te_text_model_encoder_layers_1_self_attn_q_proj.lora_up.weight",
            "text_encoder.text_model.encoder.layers.1.self_attn.q_proj.lora_B.weight",
            "text_encoder.text_model.encoder.layers.1.self_attn.to_q_lora.up.weight",
            "text_encoder.text_model.encoder.layers.1.self_attn.q_proj.lora_linear_layer.up.weight",
        ] {
            let (found, role) = module(tensor).unwrap();
            assert!(keys.contains(&found) && role == Role::Up, "{tensor}: {found}");
        }
    }

    #[test]
    fn products_of_other_kinds_and_other_models_are_refused() {
        for (tensor, words) in [
            ("lora_unet_mid_block_attentions_0_proj_in.hada_w1_a", "lora_down and lora_up"),
            ("lora_unet_mid_block_attentions_0_proj_in.dora_scale", "lora_down and lora_up"),
            ("lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight", "Stable Diffusion XL"),
        ] {
            assert!(module(tensor).unwrap_err().to_string().contains(words), "{tensor}");
        }
    }
}
