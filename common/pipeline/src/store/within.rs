//! A part of a store as a store of its own, and what lies in it: for the judge of stages.

use std::collections::BTreeSet;

use super::Store;
use super::answer::Answer;
use crate::failure::Failure;

impl Store {
    /// What lies below `prefix` of this store, as a store of its own.
    pub(crate) fn within(&self, prefix: &str) -> Self {
        Self { prefix: format!("{}{prefix}", self.prefix).into(), ..self.clone() }
    }

    /// SHA-256 of an object's bytes, whatever its metadata says.
    pub(crate) async fn sha256_at(&self, path: &str) -> Result<String, Failure> {
        self.in_time(path, self.hash(path)).await
    }

    /// The keys of all objects, below the store's prefix.
    pub(crate) async fn keys(&self) -> Result<BTreeSet<String>, Failure> {
        let (mut found, mut last) = (BTreeSet::new(), None);
        loop {
            let list = self.client.list_objects_v2().bucket(&*self.bucket).prefix(&*self.prefix);
            let page = list.set_start_after(last.clone()).send().await;
            let page = page.map_err(|error| Answer::of(&error).failure(&format!("list {}", self.name(""))))?;
            let keys: Vec<String> =
                page.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect();
            let Some(newest) = keys.last().cloned() else { return Ok(found) };
            let own = keys.iter().filter_map(|key| key.strip_prefix(&*self.prefix));
            found.extend(own.map(str::to_owned));
            // Some stores give back the key that the list was to start after.
            if last.replace(newest.clone()).is_some_and(|before| before >= newest) {
                return Ok(found);
            }
        }
    }
}
