//! Shows a job that goes on: bars on a terminal, lines elsewhere.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;
use shanshui_pipeline::event::Event;

use crate::print;

/// Bars count in thousandths, for the units of the stages differ.
const WHOLE: u64 = 1000;
/// The stage whose words come while it works.
const LISTENS: &str = "transcribe";
const TICK: Duration = Duration::from_millis(120);
/// How many characters of the words so far stand beside a bar: the last ones.
const WORDS: usize = 48;

/// Where the progress of a job is shown.
pub(crate) struct Display {
    /// None: standard error is no terminal.
    bars: Option<MultiProgress>,
    stages: HashMap<String, ProgressBar>,
    /// The end of what is understood so far.
    heard: Heard,
}

/// Words of a recording on their way.
#[derive(Default)]
struct Heard {
    settled: String,
    text: String,
}

impl Heard {
    /// The last words on one line, without what would steer the terminal.
    fn tail(&self) -> String {
        let all: Vec<char> = self.settled.chars().chain(self.text.chars()).filter(|c| !c.is_control()).collect();
        let tail = &all[all.len().saturating_sub(WORDS)..];
        if tail.len() < all.len() { format!("…{}", String::from_iter(tail)) } else { tail.iter().collect() }
    }

    fn hear(&mut self, text: &str, settled: bool) {
        if settled {
            self.text.clear();
            // No more is shown than its end.
            self.settled = self.tail() + text;
        } else {
            self.text = text.to_owned();
        }
    }
}

impl Display {
    /// Shows on standard error what it can.
    pub(crate) fn new() -> Self {
        let bars = print::is_watched().then(MultiProgress::new);
        Self { bars, stages: HashMap::new(), heard: Heard::default() }
    }

    /// Shows one event.
    pub(crate) fn event(&mut self, event: &Event) {
        match event {
            Event::Progress { stage, done, total, eta } => self.progress(stage, (*done, *total), *eta),
            Event::Preview { .. } => {}
            Event::Partial { text, settled, .. } => self.partial(text, *settled),
            event => {
                self.stage_of(event);
                self.say(&describe(event));
            }
        }
    }

    /// Shows a line.
    pub(crate) fn say(&self, line: &str) {
        match &self.bars {
            // Above the bars, which stay at the bottom.
            Some(bars) => drop(bars.println(line)),
            None => print::note(line),
        }
    }

    /// Takes the bars away.
    pub(crate) fn end(&self) {
        if let Some(bars) = &self.bars {
            drop(bars.clear());
        }
    }

    fn progress(&mut self, stage: &str, (done, total): (f64, f64), eta: Option<f64>) {
        let Some(bar) = self.bar(stage) else { return };
        let share = if total > 0.0 { (done / total).clamp(0.0, 1.0) } else { 0.0 };
        bar.set_position((share * WHOLE as f64) as u64);
        let left = eta.map(|eta| format!(", {eta:.0} s to go")).unwrap_or_default();
        bar.set_message(format!("{done:.0} of {total:.0}{left} {}", self.heard.tail()));
    }

    fn partial(&mut self, text: &str, settled: bool) {
        self.heard.hear(text, settled);
        if let Some(bar) = self.stages.get(LISTENS) {
            bar.set_message(self.heard.tail());
        }
    }

    /// Opens the bar of a stage that starts, fills that of one that ends.
    fn stage_of(&mut self, event: &Event) {
        match event {
            Event::Started { stage, .. } => {
                self.heard = Heard::default();
                if let Some(bar) = self.bar(stage) {
                    bar.set_position(0);
                    bar.set_message("");
                }
            }
            Event::Finished { stage, .. } => {
                if let Some(bar) = self.stages.get(stage) {
                    bar.finish();
                }
            }
            _ => {}
        }
    }

    fn bar(&mut self, stage: &str) -> Option<ProgressBar> {
        let bars = self.bars.as_ref()?;
        let bar = self.stages.entry(stage.to_owned()).or_insert_with(|| {
            let bar = bars.add(ProgressBar::new(WHOLE)).with_prefix(stage.to_owned());
            if let Ok(style) = ProgressStyle::with_template("{prefix:>10} {spinner} [{bar:32}] {msg}") {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.enable_steady_tick(TICK);
            bar
        });
        Some(bar.clone())
    }
}

/// What was read as wishes, with the settings that came of it.
fn wishes(voice: &Value) -> String {
    let words: Vec<&str> = voice["words"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    format!(" (read as settings: {}; {})", words.join(", "), voice["settings"])
}

/// An event on one line.
pub(crate) fn describe(event: &Event) -> String {
    match event {
        Event::Accepted { stage, .. } => format!("accepted at {stage}"),
        Event::Started { stage, worker, attempt } => format!("{stage}: started by {worker}, attempt {attempt}"),
        Event::Progress { stage, done, total, .. } => format!("{stage}: {done:.0} of {total:.0}"),
        Event::Queued { stage, pool, place, seconds, workers, .. } => queued((stage, pool), *place, *seconds, *workers),
        Event::Transcript { text, language, incomplete, voice, .. } => {
            let cut = incomplete.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            format!("transcript ({language}): {text}{cut}{}", voice.as_ref().map(wishes).unwrap_or_default())
        }
        Event::Partial { text, .. } => format!("heard so far: {text}"),
        Event::Preview { index, step, steps, .. } => format!("preview of picture {index}: step {step} of {steps}"),
        Event::Finished { stage, seconds, .. } => format!("{stage}: finished after {seconds:.2} s"),
        Event::PassedOn { stage, pool, workers: 0 } => {
            format!("{stage}: passed on to pool {pool}, which has no live worker yet")
        }
        Event::PassedOn { stage, pool, .. } => format!("{stage}: passed on to pool {pool}"),
        Event::Refused { code, reason, .. } => format!("refused ({code}): {reason}"),
        Event::Picture { index, width, height, seed, .. } => {
            format!("picture {index}: {width} x {height}, seed {seed}")
        }
        Event::Retrying { stage, attempt, reason, delay, .. } => {
            format!("{stage}: attempt {attempt} failed, next one in {delay:.0} s: {reason}")
        }
        Event::Released { stage, reason, .. } => format!("{stage}: released, no attempt counted: {reason}"),
        Event::Done { stage, seconds, .. } => format!("done: {stage} took {seconds:.2} s"),
        Event::Failed { stage, code, reason, attempts } => {
            format!("failed at {stage} ({code}), attempts {attempts}: {reason}")
        }
        Event::Canceled { stage } => format!("canceled at {stage}"),
        Event::NoSpeech { reason, .. } => format!("no speech: {reason}"),
    }
}

fn queued((stage, pool): (&str, &str), place: u64, seconds: Option<f64>, workers: u64) -> String {
    let wait = match (workers, seconds) {
        (0, _) => "; no worker serves this pool yet".to_owned(),
        (_, Some(seconds)) => format!(", about {seconds:.0} s"),
        (_, None) => String::new(),
    };
    format!("{stage}: waits in pool {pool} behind {place} other jobs{wait}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_on_their_way_are_replaced_until_they_are_settled_and_steer_no_terminal() {
        let mut heard = Heard::default();
        heard.hear("Paint hi", false);
        heard.hear("Paint high \u{1b}[2Jmountains", false);
        assert_eq!(heard.tail(), "Paint high [2Jmountains");
        heard.hear("Paint high mountains.", true);
        heard.hear(" And a river", false);
        assert_eq!(heard.tail(), "Paint high mountains. And a river");
        heard.hear(&"山".repeat(100), false);
        assert_eq!(heard.tail(), format!("…{}", "山".repeat(WORDS)));
    }
}
