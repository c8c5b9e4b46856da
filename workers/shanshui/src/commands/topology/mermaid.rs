//! The pipeline as a chart for Markdown (mermaid.js.org).

use shanshui_gateway::topology::{Stage, View, is_abandoned, state};

/// A flow chart from left to right.
pub(super) fn of(view: &View) -> String {
    let mut lines = vec!["flowchart LR".to_owned(), "  sender([sender])".to_owned()];
    let mut before = "sender".to_owned();
    for stage in &view.stages {
        lines.extend(of_stage(stage, &before));
        before = stage.step.stage.to_owned();
    }
    lines.push(format!("  {before} --> done([receipt])"));
    lines.push("  classDef lost stroke:#c00,stroke-width:3px".to_owned());
    lines.join("\n")
}

fn of_stage(stage: &Stage, before: &str) -> Vec<String> {
    let (name, stream) = (stage.step.stage, text(&stage.stream));
    let mut lines = vec![format!("  {before} --> {name}_queue[(\"{stream}\")]")];
    if stage.pools.is_empty() {
        lines.push(format!("  {name}_queue --> {name}[\"{name}\"]"));
    } else {
        lines.push(format!("  {name}[\"{name}{}\"]", workers(stage)));
    }
    for pool in &stage.pools {
        let said = text(&state(&pool.level));
        lines.push(format!("  {name}_queue -- \"{}: {said}\" --> {name}", text(&pool.level.pool)));
    }
    if stage.pools.iter().any(|pool| is_abandoned(&pool.level)) {
        lines.push(format!("  class {name} lost"));
    }
    if let Some(dead) = stage.dead.filter(|dead| *dead > 0) {
        lines.push(format!("  {name} -.-> {name}_dead[(\"DEAD: {dead}\")]"));
    }
    lines
}

fn workers(stage: &Stage) -> String {
    let names = stage.workers.iter().map(|name| format!("<br>{}", text(name)));
    names.take(6).collect()
}

/// Names of workers come from outside: nothing in them is syntax.
fn text(from: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || " ,.:;()/_-<>".contains(c);
    let kept: String = from.chars().map(|c| if plain(c) { c } else { '?' }).take(120).collect();
    kept.replace('<', "#lt;").replace('>', "#gt;")
}
