//! What a pipeline is made of.

/// One step of a pipeline: a stage and the queue it takes its jobs from. A pipeline is a list of
/// them, in the order in which a job takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Name of the stage: its consumer, its events, its metrics.
    pub stage: &'static str,
    /// The queue: second token of the subject, and in upper case the stream.
    pub queue: &'static str,
    /// What the stage makes, in one word.
    pub makes: &'static str,
}

impl Step {
    /// Name of the stream, without a prefix.
    pub fn stream(&self) -> String {
        self.queue.to_ascii_uppercase()
    }

    /// The step that a name in a job's `until` means: a stage, or what it makes.
    pub fn named<'a>(steps: &'a [Step], name: &str) -> Option<&'a Step> {
        steps.iter().find(|step| [step.stage, step.makes].contains(&name))
    }

    /// What a job's `until` may be, in words.
    pub fn names(steps: &[Step]) -> String {
        let list = |name: fn(&Step) -> &str, between: &str| steps.iter().map(name).collect::<Vec<_>>().join(between);
        format!("{}, or a stage: {}", list(|step| step.makes, " or "), list(|step| step.stage, ", "))
    }
}

#[cfg(test)]
mod tests {
    use super::Step;

    #[test]
    fn until_names_a_stage_or_what_it_makes() {
        let steps = [
            Step { stage: "transcribe", queue: "audio", makes: "transcript" },
            Step { stage: "paint", queue: "text", makes: "picture" },
        ];
        assert_eq!(Step::named(&steps, "paint"), Some(&steps[1]));
        assert_eq!(Step::named(&steps, "transcript"), Some(&steps[0]));
        assert_eq!(Step::named(&steps, "text"), None);
        assert_eq!(Step::names(&steps), "transcript or picture, or a stage: transcribe, paint");
    }
}
