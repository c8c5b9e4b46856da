//! From the names of diffusers to those of the original code (CompVis/latent-diffusion).

use super::Text;
use crate::diffusers::unet_config::Level;
use crate::diffusers::weight_file::Place;

/// A UNet's tensor, without its prefix.
pub(super) fn unet(levels: &[Level], name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let rest = |from: usize| parts.get(from..).unwrap_or_default().join(".");
    let number = |at: usize| parts.get(at).and_then(|part| part.parse::<usize>().ok()).unwrap_or_default();
    match parts[0] {
        "conv_in" => format!("input_blocks.0.0.{}", rest(1)),
        "conv_norm_out" => format!("out.0.{}", rest(1)),
        "conv_out" => format!("out.2.{}", rest(1)),
        "time_embedding" => format!("time_embed.{}.{}", if parts[1] == "linear_1" { 0 } else { 2 }, rest(2)),
        "mid_block" => {
            // Residual, attention, residual.
            let place = if parts[1] == "attentions" { 1 } else { 2 * number(2) };
            format!("middle_block.{place}.{}", layer(parts[1], &rest(3)))
        }
        "down_blocks" => {
            let first = 1 + levels.iter().take(number(1)).map(|level| level.layers + 1).sum::<usize>();
            block("input_blocks", first, levels.get(number(1)).map_or(0, |level| level.layers), &parts)
        }
        "up_blocks" => {
            let above = levels.iter().rev().take(number(1));
            let first = above.map(|level| level.layers + 1).sum::<usize>();
            let level = levels.iter().rev().nth(number(1));
            let layers = level.map_or(0, |level| level.layers);
            if parts[2] == "upsamplers" {
                let place = if level.is_some_and(|level| level.attends_up) { 2 } else { 1 };
                return format!("output_blocks.{}.{place}.conv.{}", first + layers, rest(5));
            }
            block("output_blocks", first, layers, &parts)
        }
        _ => name.to_owned(),
    }
}

/// `SIDE.index.KIND.layer.…`, where the side's blocks of this level begin at `first`.
fn block(side: &str, first: usize, layers: usize, parts: &[&str]) -> String {
    let layer_number: usize = parts.get(3).and_then(|part| part.parse().ok()).unwrap_or_default();
    let rest = |from: usize| parts.get(from..).unwrap_or_default().join(".");
    match parts[2] {
        "downsamplers" => format!("{side}.{}.0.op.{}", first + layers, rest(5)),
        kind => {
            let place = usize::from(kind == "attentions");
            format!("{side}.{}.{place}.{}", first + layer_number, layer(kind, &rest(4)))
        }
    }
}

/// Inside an attention nothing differs; inside a residual block everything does.
fn layer(kind: &str, name: &str) -> String {
    let (module, tensor) = name.split_once('.').unwrap_or((name, ""));
    let module = match (kind, module) {
        ("resnets", "norm1") => "in_layers.0",
        ("resnets", "conv1") => "in_layers.2",
        ("resnets", "time_emb_proj") => "emb_layers.1",
        ("resnets", "norm2") => "out_layers.0",
        ("resnets", "conv2") => "out_layers.3",
        ("resnets", "conv_shortcut") => "skip_connection",
        (_, module) => module,
    };
    format!("{module}.{tensor}")
}

/// An autoencoder's tensor; its decoder's levels are counted from the finest.
pub(super) fn vae(blocks: usize, name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let rest = |from: usize| parts.get(from..).unwrap_or_default().join(".");
    let number = |at: usize| parts.get(at).and_then(|part| part.parse::<usize>().ok()).unwrap_or_default();
    let shortcut = |name: String| name.replace("conv_shortcut", "nin_shortcut");
    let Some(second) = parts.get(1) else { return name.to_owned() };
    let side = parts[0];
    match *second {
        "conv_norm_out" => format!("{side}.norm_out.{}", rest(2)),
        "mid_block" if parts[2] == "resnets" => format!("{side}.mid.block_{}.{}", number(3) + 1, shortcut(rest(4))),
        "mid_block" => {
            let (module, tensor) = match parts[4] {
                "group_norm" => ("norm", rest(5)),
                "to_q" => ("q", rest(5)),
                "to_k" => ("k", rest(5)),
                "to_v" => ("v", rest(5)),
                _ => ("proj_out", rest(6)),
            };
            format!("{side}.mid.attn_1.{module}.{tensor}")
        }
        "down_blocks" | "up_blocks" => {
            let (way, level) = match *second {
                "down_blocks" => ("down", number(2)),
                _ => ("up", (blocks - 1).saturating_sub(number(2))),
            };
            match parts[3] {
                "resnets" => format!("{side}.{way}.{level}.block.{}.{}", number(4), shortcut(rest(5))),
                "downsamplers" => format!("{side}.{way}.{level}.downsample.conv.{}", rest(6)),
                _ => format!("{side}.{way}.{level}.upsample.conv.{}", rest(6)),
            }
        }
        _ => name.to_owned(),
    }
}

/// A text encoder's tensor, with or without `text_model.` in front.
pub(super) fn text(text: Text, name: &str) -> Place {
    let plain = name.strip_prefix("text_model.").unwrap_or(name);
    match text {
        Text::Clip => Place::whole(format!("cond_stage_model.transformer.{name}")),
        Text::OpenClip => open_clip(plain),
    }
}

/// Query, key and value are one tensor there.
fn open_clip(name: &str) -> Place {
    const ROOT: &str = "cond_stage_model.model.";
    let whole = |name: String| Place::whole(format!("{ROOT}{name}"));
    match name {
        "embeddings.token_embedding.weight" => return whole("token_embedding.weight".into()),
        "embeddings.position_embedding.weight" => return whole("positional_embedding".into()),
        _ => {}
    }
    if let Some(rest) = name.strip_prefix("final_layer_norm.") {
        return whole(format!("ln_final.{rest}"));
    }
    let Some((layer, rest)) = name.strip_prefix("encoder.layers.").and_then(|rest| rest.split_once('.')) else {
        return whole(name.to_owned());
    };
    let block = format!("transformer.resblocks.{layer}");
    for (index, projection) in ["q_proj", "k_proj", "v_proj"].into_iter().enumerate() {
        if let Some(tensor) = rest.strip_prefix("self_attn.").and_then(|rest| rest.strip_prefix(projection)) {
            let joined = tensor.replace('.', "_");
            return Place { name: format!("{ROOT}{block}.attn.in_proj{joined}"), part: (index, 3) };
        }
    }
    for (from, to) in [
        ("layer_norm1.", "ln_1."),
        ("layer_norm2.", "ln_2."),
        ("mlp.fc1.", "mlp.c_fc."),
        ("mlp.fc2.", "mlp.c_proj."),
        ("self_attn.out_proj.", "attn.out_proj."),
    ] {
        if let Some(tensor) = rest.strip_prefix(from) {
            return whole(format!("{block}.{to}{tensor}"));
        }
    }
    whole(name.to_owned())
}
