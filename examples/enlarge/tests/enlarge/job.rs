//! The job as it travels.

use bytes::Bytes;
use shanshui_enlarge::job::PicturesJob;
use shanshui_pipeline::fields::FieldError;
use shanshui_pipeline::{Job, wire};

fn read(json: &'static str) -> Result<PicturesJob, FieldError> {
    wire::decode(Some("application/json"), Bytes::from_static(json.as_bytes()))
}

#[test]
fn a_job_keeps_its_own_wish_and_what_it_does_not_know() {
    let job = read(r#"{"text": "a cat", "enlarge": {"factor": 3}}"#).unwrap();
    assert_eq!(job.factor, Some(3));
    let (_, payload) = wire::encode(&job);
    let again: PicturesJob = wire::decode(Some("application/json"), payload).unwrap();
    assert_eq!(again, job);
    assert!(again.to_value().to_string().contains("a cat"));
}

#[test]
fn a_factor_out_of_range_and_a_job_without_pictures_are_refused_by_name() {
    let error = read(r#"{"enlarge": {"factor": 17}}"#).unwrap_err().to_string();
    assert_eq!(error, "enlarge.factor: 17 is not allowed; allowed: a whole number from 2 to 16");
    let error = read("{}").unwrap().pictures().unwrap_err().to_string();
    assert!(error.starts_with("made: (missing) is not allowed"), "{error}");
}
