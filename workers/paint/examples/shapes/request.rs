//! The request of every program that times a whole model.

use shanshui_paint::model::Model;
use shanshui_paint::paint::Request;
use shanshui_paint::prompt::syntax::Syntax;

/// So many pictures of one prompt, as the model recommends them.
pub(crate) fn recommended(model: &Model, seed: u64, count: usize) -> anyhow::Result<Request> {
    let best = model.recommended();
    Ok(Request {
        prompt: "high mountains and a river under a full moon".to_owned(),
        negative: String::new(),
        width: best.width,
        height: best.height,
        steps: best.steps,
        guidance: best.guidance,
        sampler: best.sampler.parse()?,
        seed,
        count,
        syntax: Syntax::Plain,
        loras: Vec::new(),
    })
}
