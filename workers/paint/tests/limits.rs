//! What a worker refuses to paint, and how it says so.

use shanshui_paint::limits::Limits;
use shanshui_paint::paint::Request;
use shanshui_paint::prompt::syntax::Syntax;
use shanshui_paint::sampler::SamplerKind;

#[test]
fn s12_requests_beyond_the_limits_are_refused_by_field_value_and_what_is_allowed() {
    let good = Request {
        prompt: "a red cat".to_owned(),
        negative: String::new(),
        width: 64,
        height: 64,
        steps: 4,
        guidance: 5.0,
        sampler: SamplerKind::EulerAncestral,
        seed: 42,
        count: 1,
        syntax: Syntax::Plain,
        loras: Vec::new(),
    };
    let limits = Limits::default();
    limits.check(&good).unwrap();
    let base = || good.clone();
    for (request, error) in [
        (Request { steps: 0, ..base() }, "picture.steps: 0 is not allowed; allowed: 1 to 150"),
        (Request { steps: 151, ..base() }, "picture.steps: 151 is not allowed; allowed: 1 to 150"),
        (Request { count: 0, ..base() }, "picture.count: 0 is not allowed; allowed: 1 to 16"),
        (Request { count: 17, ..base() }, "picture.count: 17 is not allowed; allowed: 1 to 16"),
        (Request { width: 60, ..base() }, "picture.width: 60 is not allowed; allowed: multiples of 8 from 8 to 2048"),
        (Request { height: 0, ..base() }, "picture.height: 0 is not allowed; allowed: multiples of 8 from 8 to 2048"),
        (Request { height: usize::MAX, ..base() }, "allowed: multiples of 8 from 8 to 2048"),
        (
            Request { width: 2048, height: 1024, ..base() },
            "picture.width: 2048x1024 is not allowed; allowed: at most 1048576 pixels in all",
        ),
        (Request { guidance: f64::NAN, ..base() }, "picture.guidance: NaN is not allowed; allowed: 0 to 30"),
        (Request { guidance: -1.0, ..base() }, "picture.guidance: -1 is not allowed; allowed: 0 to 30"),
        (
            Request { prompt: String::new(), ..base() },
            "text: 0 characters is not allowed; allowed: 1 to 2000 visible characters",
        ),
        (
            Request { negative: "x".repeat(100_000), ..base() },
            "picture.negative: 100000 characters is not allowed; allowed: 0 to 2000 visible characters",
        ),
    ] {
        let refused = limits.check(&request).unwrap_err().to_string();
        assert!(refused.ends_with(error), "{refused}");
    }
}
