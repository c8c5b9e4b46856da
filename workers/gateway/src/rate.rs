//! How many jobs one caller may send to this process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A bucket of tokens for each caller; it is full after a minute without a job.
pub(crate) struct Rate {
    per_minute: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Rate {
    /// With 0 there is no limit.
    pub(crate) fn per_minute(jobs: u32) -> Self {
        Self { per_minute: jobs.into(), buckets: Mutex::default() }
    }

    /// Takes a token, or says after how many seconds there is one. Callers are as many as keys are.
    pub(crate) fn take(&self, caller: &str, now: Instant) -> Result<(), u64> {
        if self.per_minute == 0.0 {
            return Ok(());
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(caller.to_owned()).or_insert(Bucket { tokens: self.per_minute, at: now });
        let a_second = self.per_minute / 60.0;
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        *bucket = Bucket { tokens: (bucket.tokens + passed * a_second).min(self.per_minute), at: now };
        if bucket.tokens < 1.0 {
            return Err(((1.0 - bucket.tokens) / a_second).ceil() as u64);
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn s21_a_caller_that_used_its_minute_up_is_told_when_to_come_back() {
        let (rate, now) = (Rate::per_minute(30), Instant::now());
        assert!((0..30).all(|_| rate.take("anna", now).is_ok()));
        assert_eq!(rate.take("anna", now), Err(2));
        assert_eq!(rate.take("ben", now), Ok(()));
        assert_eq!(rate.take("anna", now + Duration::from_secs(2)), Ok(()));
        assert_eq!(rate.take("anna", now + Duration::from_secs(2)), Err(2));
    }
}
