//! W3C Trace Context (level 1, <https://www.w3.org/TR/trace-context/>): which trace a job belongs to.

use std::fmt;

/// Most bytes of a `tracestate` that is passed on; the specification asks for at least 512.
const MAX_STATE: usize = 512;
const SAMPLED: u8 = 1;

/// The place of one step in a trace, as it travels in the headers `traceparent` (its
/// `Display`) and `tracestate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    sampled: bool,
    /// The header `tracestate`, passed on as it came.
    pub state: Option<String>,
}

impl TraceContext {
    /// Starts a trace.
    pub fn start() -> Self {
        Self { trace: nonzero(rand::random), span: nonzero(rand::random), sampled: true, state: None }
    }

    /// Reads the headers; `None` if `traceparent` is not valid, and the state is dropped if it
    /// is not. Later versions of the header are read as far as they are known.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let mut fields = traceparent.trim_matches([' ', '\t']).split('-');
        let version = hex::<2>(fields.next()?)?;
        let trace = hex::<32>(fields.next()?).filter(|trace| *trace != 0)?;
        let span = hex::<16>(fields.next()?).filter(|span| *span != 0)?;
        let flags = hex::<2>(fields.next()?)?;
        if version == 0xff || (version == 0 && fields.next().is_some()) {
            return None;
        }
        let plain = |state: &&str| {
            !state.is_empty() && state.len() <= MAX_STATE && state.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        };
        Some(Self {
            trace,
            span: span as u64,
            sampled: flags as u8 & SAMPLED != 0,
            state: tracestate.filter(plain).map(str::to_owned),
        })
    }

    /// A new step in the same trace.
    pub fn child(&self) -> Self {
        Self { span: nonzero(rand::random), ..self.clone() }
    }

    /// Hands out the headers with which the trace goes on, as name and value.
    pub fn carry(&self, mut header: impl FnMut(&'static str, &str)) {
        header("traceparent", &self.to_string());
        self.state.iter().for_each(|state| header("tracestate", state));
    }

    /// The trace's id, for the log: 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// The step's id.
    pub fn span(&self) -> u64 {
        self.span
    }

    /// The step's id, for the log: 16 hexadecimal digits.
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span)
    }

    /// The same place, wanted or not.
    #[must_use]
    pub fn with_sampled(self, sampled: bool) -> Self {
        Self { sampled, ..self }
    }

    /// The random half of the trace's id: what a share of all traces is chosen by.
    pub fn lot(&self) -> u64 {
        self.trace as u64
    }

    /// Whether whoever started the trace wants to see it.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled) * SAMPLED)
    }
}

/// Exactly `DIGITS` lower-case hexadecimal digits.
fn hex<const DIGITS: usize>(text: &str) -> Option<u128> {
    let fits = text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// Zero is not an id.
fn nonzero<T: Default + PartialEq>(random: impl Fn() -> T) -> T {
    loop {
        let id = random();
        if id != T::default() {
            return id;
        }
    }
}
