//! Removing what belongs to jobs.

use super::{Store, answer::Answer};
use crate::failure::Failure;

impl Store {
    /// The keys of all objects below `path`, as [`Store::get`] takes them.
    ///
    /// # Errors
    /// The store does not answer, or not to us.
    pub async fn below(&self, path: &str) -> Result<Vec<String>, Failure> {
        let (prefix, mut all) = (self.full_key(path), Vec::new());
        let mut after = None;
        loop {
            let page = self.page(&prefix, after).await?;
            let Some(last) = page.last() else { return Ok(all) };
            after = Some(last.key.clone());
            all.extend(page.iter().filter_map(|listed| listed.key.strip_prefix(&*self.prefix)).map(str::to_owned));
        }
    }

    /// Whether something lies at `path`.
    ///
    /// # Errors
    /// The store does not answer, or not to us.
    pub async fn is_there(&self, path: &str) -> Result<bool, Failure> {
        let head = self.client.head_object().bucket(&*self.bucket).key(self.full_key(path));
        match head.send().await {
            Ok(_) => Ok(true),
            Err(error) => match Answer::of(&error) {
                answer if answer.is_missing() => Ok(false),
                answer => Err(answer.failure(&format!("head {}", self.name(path)))),
            },
        }
    }

    /// Removes the object at `path`, if there is one. A bucket that keeps versions keeps the old one.
    ///
    /// # Errors
    /// The store does not answer, or does not let us.
    pub async fn erase(&self, path: &str) -> Result<(), Failure> {
        Store::remove(self, &self.full_key(path)).await
    }
}
