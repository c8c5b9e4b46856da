//! The header `traceparent` of W3C Trace Context, level 1.

use shanshui_pipeline::trace::TraceContext;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn a_header_is_read_and_written_again_as_it_was() {
    for flags in ["00", "01"] {
        let header = format!("00-{TRACE}-b7ad6b7169203331-{flags}");
        assert_eq!(TraceContext::parse(&header, None).unwrap().to_string(), header);
    }
}

#[test]
fn a_child_keeps_trace_state_and_sampling_and_has_its_own_span() {
    let parent = TraceContext::parse(PARENT, Some("vendor=a,other=b")).unwrap();
    let child = parent.child();
    assert_eq!((child.trace_id(), child.state.as_deref()), (TRACE.into(), Some("vendor=a,other=b")));
    assert_ne!(child.to_string(), PARENT);
    assert!(child.to_string().ends_with("-01"));
}

#[test]
fn a_new_trace_is_valid_and_different_every_time() {
    let (one, two) = (TraceContext::start(), TraceContext::start());
    assert_eq!(TraceContext::parse(&one.to_string(), None), Some(one.clone()));
    assert_ne!(one.trace_id(), two.trace_id());
}

#[test]
fn a_later_version_is_read_as_far_as_it_is_known() {
    let later = PARENT.replacen("00", "cc", 1) + "-what-is-this";
    assert_eq!(TraceContext::parse(&later, None).unwrap().to_string(), PARENT);
}

#[test]
fn what_is_not_a_traceparent_is_ignored() {
    let zero_trace = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
    let zero_span = format!("00-{TRACE}-{}-01", "0".repeat(16));
    let upper = PARENT.to_uppercase();
    let longer = format!("{PARENT}-extra");
    let sign = PARENT.replacen("0a", "+a", 1);
    let wide = PARENT.replacen("0a", "０a", 1);
    let version_ff = PARENT.replacen("00", "ff", 1);
    let short = &PARENT[..PARENT.len() - 1];
    for bad in ["", "-", "00", &zero_trace, &zero_span, &upper, &longer, &sign, &wide, &version_ff, short] {
        assert_eq!(TraceContext::parse(bad, None), None, "{bad}");
    }
}

#[test]
fn s31_a_state_that_could_break_a_header_is_dropped_and_the_trace_kept() {
    let long = "a".repeat(513);
    for state in ["a=1\r\nEvil: yes", "a=\u{e9}", "", &long] {
        assert_eq!(TraceContext::parse(PARENT, Some(state)).unwrap().state, None, "{state}");
    }
}
