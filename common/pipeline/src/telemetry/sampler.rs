//! Which traces are told: the samplers of OpenTelemetry (opentelemetry.io/docs/specs/otel/trace/sdk).

use std::sync::OnceLock;

use crate::trace::TraceContext;

const NAME: &str = "OTEL_TRACES_SAMPLER";
const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
const ALLOWED: &str = "always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or \
    parentbased_traceidratio";

static SAMPLER: OnceLock<Sampler> = OnceLock::new();

/// How it is decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sampler {
    /// Whoever began the trace decides; the share counts for traces that begin here.
    parent: bool,
    /// How many of all traces, from 0 to 1.
    share: f64,
}

impl Default for Sampler {
    fn default() -> Self {
        Self { parent: true, share: 1.0 }
    }
}

impl Sampler {
    /// The one that the environment names. As the specification has it, a value that is none is ignored
    /// with a warning.
    pub(super) fn from_environment(variables: &dyn Fn(&str) -> Option<String>) -> (Self, Vec<String>) {
        let given = |name| variables(name).map(|it| it.trim().to_owned()).filter(|it| !it.is_empty());
        let Some(name) = given(NAME) else { return (Self::default(), Vec::new()) };
        let lower = name.to_ascii_lowercase();
        let (parent, own) = lower.strip_prefix("parentbased_").map_or((false, lower.as_str()), |own| (true, own));
        let share = match own {
            "always_on" => Ok(1.0),
            "always_off" => Ok(0.0),
            "traceidratio" => share(given(ARGUMENT)),
            _ => return (Self::default(), vec![format!("{NAME}: {name} is not allowed; allowed: {ALLOWED}")]),
        };
        let (share, warning) = share.map_or_else(|warning| (1.0, Some(warning)), |share| (share, None));
        (Self { parent, share }, warning.into_iter().collect())
    }

    fn takes(self, parent: Option<&TraceContext>, trace: &TraceContext) -> bool {
        match parent {
            Some(parent) if self.parent => parent.is_sampled(),
            // Every process chooses the same traces: by the lower half of the id, without its last bit, as the
            // SDKs of OpenTelemetry do.
            _ => self.share >= 1.0 || ((trace.lot() >> 1) as f64) < self.share * (1_u64 << 63) as f64,
        }
    }
}

fn share(given: Option<String>) -> Result<f64, String> {
    let Some(given) = given else { return Ok(1.0) };
    let share = given.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("{ARGUMENT}: {given} is not allowed; allowed: a number from 0 to 1; taken: 1"))
}

/// Has the process decide so. The first call counts.
pub(super) fn choose(sampler: Sampler) {
    let _ = SAMPLER.set(sampler);
}

/// The next place in the trace of `parent`, or the first one of a new trace.
pub(crate) fn next(parent: Option<&TraceContext>) -> TraceContext {
    let place = parent.map_or_else(TraceContext::start, TraceContext::child);
    let sampled = SAMPLER.get().copied().unwrap_or_default().takes(parent, &place);
    place.with_sampled(sampled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, argument: &str) -> (Sampler, Vec<String>) {
        let variables = |wanted: &str| [(NAME, name), (ARGUMENT, argument)].into_iter().find(|it| it.0 == wanted);
        Sampler::from_environment(&|wanted| variables(wanted).map(|it| it.1.to_owned()))
    }

    fn parent(sampled: bool) -> TraceContext {
        TraceContext::start().with_sampled(sampled)
    }

    #[test]
    fn each_sampler_decides_as_the_specification_says() {
        let root = TraceContext::start();
        // Sampler, and what it says of a new trace, a sampled parent and one that is not.
        for (name, told) in [
            ("", [true, true, false]),
            ("always_on", [true, true, true]),
            ("Always_Off", [false, false, false]),
            ("parentbased_always_on", [true, true, false]),
            ("parentbased_always_off", [false, true, false]),
            ("parentbased_traceidratio", [true, true, false]),
            ("traceidratio", [true, true, true]),
        ] {
            let (sampler, warnings) = read(name, "");
            let found = [None, Some(parent(true)), Some(parent(false))].map(|one| sampler.takes(one.as_ref(), &root));
            assert_eq!((found, warnings), (told, vec![]), "{name}");
        }
    }

    #[test]
    fn a_share_is_chosen_by_the_trace_alone() {
        let (sampler, _) = read("traceidratio", "0.25");
        let traces: Vec<TraceContext> = (0..4000).map(|_| TraceContext::start()).collect();
        let taken = traces.iter().filter(|trace| sampler.takes(None, trace)).count();
        assert!((800..1200).contains(&taken), "{taken} of 4000");
        assert!(traces.iter().all(|trace| sampler.takes(None, trace) == sampler.takes(Some(trace), &trace.child())));
        let (none, _) = read("traceidratio", "0");
        assert!(!traces.iter().any(|trace| none.takes(None, trace)));
    }

    #[test]
    fn what_is_no_sampler_is_ignored_with_a_warning_that_says_what_is_allowed() {
        for (name, argument, words) in [
            ("sometimes", "", "OTEL_TRACES_SAMPLER: sometimes is not allowed; allowed: always_on"),
            ("jaeger_remote", "", "allowed: always_on"),
            ("traceidratio", "2", "OTEL_TRACES_SAMPLER_ARG: 2 is not allowed; allowed: a number from 0 to 1"),
            ("parentbased_traceidratio", "half", "OTEL_TRACES_SAMPLER_ARG: half"),
            ("traceidratio", "NaN", "a number from 0 to 1"),
        ] {
            let (sampler, warnings) = read(name, argument);
            assert!(warnings.len() == 1 && warnings[0].contains(words), "{name}: {warnings:?}");
            assert!(sampler.takes(None, &TraceContext::start()), "{name}");
        }
    }
}
