//! Links to pictures that work without a key, for an hour: an `<img>` cannot send one.

use axum::http::{Method, Request};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::percent_decode_str;
use sha2::Sha256;
use shanshui_pipeline::config::Secret;
use shanshui_pipeline::id::hex;
use shanshui_pipeline::job::JobId;
use subtle::ConstantTimeEq;
use time::OffsetDateTime;

/// How long a link works, in seconds.
pub(crate) const LIFE: i64 = 3600;
/// How far the clocks of two gateways may be apart, in seconds: one of them signs, another one looks.
const SKEW: i64 = 300;
/// What the signature is for: the same secret has other uses.
const PURPOSE: &str = "shanshui link 1";

/// Whether a request may be served without a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// It has no link.
    None,
    /// Its link was one.
    Expired,
    /// It may see this one picture.
    Holds,
}

/// The path of a picture, with a link that works from now on.
pub(crate) fn signed(secret: &Secret, job: &JobId, index: u32) -> String {
    let until = OffsetDateTime::now_utc().unix_timestamp() + LIFE;
    let signature = signature(secret, job, index, until);
    format!("/v1/jobs/{job}/pictures/{index}?expires={until}&signature={signature}")
}

/// Looks for a link in a request.
pub(crate) fn look<B>(secret: Option<&Secret>, request: &Request<B>) -> Link {
    look_at(secret, request, OffsetDateTime::now_utc().unix_timestamp())
}

fn look_at<B>(secret: Option<&Secret>, request: &Request<B>, now: i64) -> Link {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let (Some(secret), true, Some((job, index))) = (secret, reads, picture(request.uri().path())) else {
        return Link::None;
    };
    let field = |name: &str| {
        let mut pairs = request.uri().query()?.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
    };
    let (Some(until), Some(given)) = (field("expires"), field("signature")) else { return Link::None };
    let Some(until) = until.parse().ok().filter(|time: &i64| time.to_string() == until) else { return Link::None };
    let own = signature(secret, &job, index, until);
    match bool::from(own.as_bytes().ct_eq(given.as_bytes())) {
        false => Link::None,
        // No longer than any link is made for, whoever made it.
        true if (now..=now + LIFE + SKEW).contains(&until) => Link::Holds,
        true => Link::Expired,
    }
}

/// The picture that a path means: the same as the router takes it for.
fn picture(path: &str) -> Option<(JobId, u32)> {
    let (job, index) = path.strip_prefix("/v1/jobs/")?.split_once("/pictures/")?;
    let job = percent_decode_str(job).decode_utf8().ok()?;
    // One spelling for each number: what is signed is what is served.
    let index = index.parse().ok().filter(|number: &u32| number.to_string() == index)?;
    Some((JobId::parse("id", &job).ok()?, index))
}

fn signature(secret: &Secret, job: &JobId, index: u32, until: i64) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()).expect("HMAC takes keys of any length");
    hex(&mac.chain_update(format!("{PURPOSE}\0{job}\0{index}\0{until}")).finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, path: &str) -> Request<()> {
        Request::builder().method(method).uri(path).body(()).unwrap()
    }

    #[test]
    fn s30_a_link_opens_one_picture_for_an_hour() {
        let (secret, other) = (Secret::from("a".repeat(24)), Secret::from("b".repeat(24)));
        let job = JobId::parse("id", "cat-1").unwrap();
        let (path, now) = (signed(&secret, &job, 1), OffsetDateTime::now_utc().unix_timestamp());
        let look = |method: &str, path: &str, now| look_at(Some(&secret), &request(method, path), now);
        assert_eq!((look("GET", &path, now), look("HEAD", &path, now + LIFE - 2)), (Link::Holds, Link::Holds));
        // The clock of a gateway that looks may be late.
        assert_eq!(look("GET", &path, now - 10), Link::Holds);
        let [late, early] = [now + LIFE + 2, now - SKEW - 10].map(|now| look("GET", &path, now));
        assert_eq!((late, early), (Link::Expired, Link::Expired));
        assert_eq!(look_at(Some(&other), &request("GET", &path), now), Link::None);
        assert_eq!(look_at(None, &request("GET", &path), now), Link::None);
        for wrong in [
            path.replace("pictures/1", "pictures/0"),
            path.replace("pictures/1", "pictures/01"),
            path.replace("pictures/1", "pictures/%31"),
            path.replace("cat-1", "cat-2"),
            path.replace("expires=", "expires=1"),
            path.replace("expires=", "expires=+"),
            path.replace("&signature=", "&signature=0"),
            path.replace("pictures/1?", "pictures/1/../0?"),
            path.split("&signature").next().unwrap().to_owned(),
            path.replace("/pictures/1", "/events"),
            path.replace("/v1/jobs/cat-1/pictures/1", "/v1/jobs"),
        ] {
            assert_eq!(look("GET", &wrong, now), Link::None, "{wrong}");
        }
        assert_eq!(look("DELETE", &path, now), Link::None);
    }
}
