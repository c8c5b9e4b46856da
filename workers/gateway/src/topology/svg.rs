//! The pipeline as a picture, in the colours of the page that shows it.

use super::view::{Stage, View, is_abandoned, state};

const WIDTH: usize = 300;
const GAP: usize = 40;
const LINE: usize = 18;
const TOP: usize = 56;

/// A box for each stage, an arrow from each to the next.
#[must_use]
pub fn of(view: &View) -> String {
    let boxes: Vec<Vec<String>> = view.stages.iter().map(words).collect();
    let height = boxes.iter().map(Vec::len).max().unwrap_or(0) * LINE + TOP + 2 * GAP;
    let width = (WIDTH + GAP) * boxes.len() + GAP;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n<title>Pipeline</title>\n\
         <style>rect,path{{fill:none;stroke:currentColor}}text{{fill:currentColor}}.lost{{stroke:#c00;stroke-width:3}}\
         svg{{color:#222;background:#fff}}@media(prefers-color-scheme:dark){{svg{{color:#eee;background:#111}}}}</style>\n"
    );
    for (at, (stage, words)) in view.stages.iter().zip(&boxes).enumerate() {
        let x = GAP + at * (WIDTH + GAP);
        svg.push_str(&of_stage(stage, words, x, height));
    }
    svg.push_str("</svg>");
    svg
}

fn of_stage(stage: &Stage, words: &[String], x: usize, height: usize) -> String {
    let lost = stage.pools.iter().any(|pool| is_abandoned(&pool.level));
    let class = if lost { " class=\"lost\"" } else { "" };
    let (middle, from) = (GAP + 14, x - GAP + 4);
    let mut svg = format!(
        "<path d=\"M{from} {middle}H{}m-6 -4l6 4l-6 4\"/>\n<rect{class} x=\"{x}\" y=\"{GAP}\" width=\"{WIDTH}\" \
         height=\"{}\" rx=\"8\"/>\n<text x=\"{}\" y=\"{}\" font-weight=\"bold\" font-size=\"14\">{}</text>\n",
        x - 4,
        height - 2 * GAP,
        x + 12,
        GAP + 24,
        escaped(stage.step.stage),
    );
    for (line, words) in words.iter().enumerate() {
        let y = GAP + TOP - 8 + line * LINE;
        svg.push_str(&format!("<text x=\"{}\" y=\"{y}\">{}</text>\n", x + 12, escaped(words)));
    }
    svg
}

fn words(stage: &Stage) -> Vec<String> {
    let mut words =
        vec![format!("takes {} from {}", stage.subject, stage.stream), format!("makes {}", stage.step.makes)];
    for pool in &stage.pools {
        let consumers = pool.consumers.len();
        words.push(format!("pool {} ({consumers} consumers)", pool.level.pool));
        words.extend(state(&pool.level).split(", ").map(|part| format!("   {part}")));
    }
    words.extend(stage.dead.filter(|dead| *dead > 0).map(|dead| format!("{dead} jobs in DEAD")));
    words.extend(stage.workers.iter().take(8).map(|name| format!("worker {name}")));
    words
}

/// Names come from outside; a line fits into its box.
fn escaped(text: &str) -> String {
    let cut: String = text.chars().filter(|c| !c.is_control()).take(46).collect();
    cut.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
