//! Removing what belongs to jobs.

use super::{Store, answer::Answer};
use crate::failure::Failure;

impl Store {
    /// The keys of all objects below `path`, as [`Store::get`] takes them. Asks for one folder at a time:
    /// a store that keeps objects as files then need not walk through all of them.
    ///
    /// # Errors
    /// The store does not answer, or not to us.
    pub async fn below(&self, path: &str) -> Result<Vec<String>, Failure> {
        let (mut folders, mut all) = (vec![self.full_key(path)], Vec::new());
        while let Some(folder) = folders.pop() {
            let mut after = None;
            while let Some(last) = self.level(&folder, after, (&mut all, &mut folders)).await? {
                after = Some(last);
            }
        }
        Ok(all)
    }

    /// The next keys and folders of a folder behind `after`; returns the last of both, none at the end.
    async fn level(
        &self,
        folder: &str,
        after: Option<String>,
        (keys, folders): (&mut Vec<String>, &mut Vec<String>),
    ) -> Result<Option<String>, Failure> {
        let list = self.client.list_objects_v2().bucket(&*self.bucket).prefix(folder).delimiter("/");
        let page = list.set_start_after(after.clone()).send().await;
        let page = page.map_err(|error| Answer::of(&error).failure(&format!("list {}/{folder}", self.bucket)))?;
        let mut last = after.clone();
        // Some stores give back what the list was to start after.
        let is_next = |name: &&str| after.as_deref().is_none_or(|after| *name > after);
        for key in page.contents().iter().filter_map(|object| object.key()).filter(is_next) {
            keys.extend(key.strip_prefix(&*self.prefix).map(str::to_owned));
            last = last.max(Some(key.to_owned()));
        }
        for name in page.common_prefixes().iter().filter_map(|common| common.prefix()).filter(is_next) {
            folders.push(name.to_owned());
            last = last.max(Some(name.to_owned()));
        }
        Ok(last.filter(|last| Some(last) != after.as_ref()))
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
