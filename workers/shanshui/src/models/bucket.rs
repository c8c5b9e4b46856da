//! Models in the bucket, below `models/NAME/`: a cluster starts from there, without the hub.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use indicatif::DecimalBytes;
use serde_json::Value;
use shanshui_model::{Lock, LockedFile};
use shanshui_pipeline::id::sha256_hex;
use shanshui_pipeline::{Failure, Layout, ObjectKey, Offer, Store};

use super::staging::{Staging, files_below};
use super::verify;
use crate::print;

/// Largest lock that is read, in bytes.
const MAX_LOCK: u64 = 10 << 20;
/// Pause before another attempt while the store is away, or another process fetches.
const PAUSE: Duration = Duration::from_secs(1);
/// Attempts at a model whose files change while they are fetched.
const ATTEMPTS: usize = 3;

/// Puts the model in `folder` into the bucket under `name`, its lock last. Files that are there already
/// stay.
///
/// # Errors
/// A model that is damaged; a store that does not answer, or not to us.
pub(crate) async fn push(store: &Store, name: &str, folder: &Path, layout: &Layout) -> Result<Lock> {
    let (own, layout) = (folder.to_owned(), *layout);
    let lock = tokio::task::spawn_blocking(move || lock_of(&own, &layout)).await??;
    for (file, locked) in &lock.files {
        let key = ObjectKey::Model { model: name, file };
        let there = store.find(&key).await?;
        if there.is_some_and(|there| there.sha256 == locked.sha256 && there.bytes == locked.bytes) {
            print::note(format_args!("{file}: is in the bucket already"));
            continue;
        }
        store.put_file(&key, (&folder.join(file), &locked.sha256), &|_| ()).await?;
        print::note(format_args!("{file}: {}, sha256 {}", DecimalBytes(locked.bytes), locked.sha256));
    }
    let bytes = lock.to_bytes();
    let key = ObjectKey::Model { model: name, file: Lock::FILE };
    let sha256 = sha256_hex(&bytes);
    store.replace(&key, bytes.into(), &sha256).await?;
    Ok(lock)
}

/// The lock beside a model, after its files were verified; for a model without one, a lock of the files
/// that it needs.
fn lock_of(folder: &Path, layout: &Layout) -> Result<Lock> {
    if let Some(lock) = Lock::read(folder)? {
        let faults = verify::lock_faults(&lock, folder);
        ensure!(faults.is_empty(), "the model is damaged; pull it again: {}", faults.join("; "));
        return Ok(lock);
    }
    let below = |path: PathBuf| Some(path.strip_prefix(folder).ok()?.to_str()?.to_owned());
    let names: Vec<String> = files_below(folder).into_iter().filter_map(below).collect();
    let offer = Offer { files: &names, config: &Value::Null, full: true };
    let needed = (layout.files)(&offer).with_context(|| folder.display().to_string())?;
    let files: Result<BTreeMap<_, _>> =
        needed.into_iter().map(|name| Ok((name.clone(), LockedFile::of(&folder.join(name))?))).collect();
    Ok(Lock::new(files?))
}

/// Brings the model `name` from the bucket to `target`. While the store is away, or another process
/// brings the same model, it waits.
///
/// # Errors
/// A model that is not in the bucket, or whose files are not what its lock says.
pub(crate) async fn fetch(store: &Store, name: &str, target: &Path) -> Result<()> {
    let mut failed = 0;
    loop {
        match attempt(store, name, target).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(Failure::Outage(error)) => {
                tracing::warn!(model = name, error = format!("{error:#}"), "the store is away; trying again");
            }
            Err(Failure::Retry(error)) if failed < ATTEMPTS => {
                tracing::warn!(model = name, error = format!("{error:#}"), "cannot fetch the model; trying again");
                failed += 1;
            }
            Err(failure) => {
                return Err(failure).with_context(|| format!("cannot fetch the model {name} from the bucket"));
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether it is there now; not while another process fetches it.
async fn attempt(store: &Store, name: &str, target: &Path) -> Result<bool, Failure> {
    let lock = read_lock(store, name).await?;
    let same = |lock: &Lock, there: &Lock| lock == there && there.check_sizes(target).is_ok();
    if Lock::read(target).ok().flatten().is_some_and(|there| same(&lock, &there)) {
        return Ok(true);
    }
    let Some(staging) = Staging::open(target, &sha256_hex(&lock.to_bytes())).map_err(Failure::Reject)? else {
        return Ok(false);
    };
    for (file, locked) in &lock.files {
        let path = staging.place(file).map_err(Failure::Reject)?;
        let open = || OpenOptions::new().create(true).append(true).open(&path);
        let mut into = open().map_err(|error| Failure::Reject(anyhow!("cannot write {}: {error}", path.display())))?;
        shorten(&into, locked.bytes).map_err(Failure::Reject)?;
        let key = ObjectKey::Model { model: name, file }.path();
        store.get_file(&key, (&mut into, locked.bytes), &|_| ()).await?;
        check(locked.clone(), path).await?;
        tracing::info!(model = name, file, bytes = locked.bytes, "fetched from the bucket");
    }
    staging.finish(&lock).map_err(Failure::Reject)?;
    Ok(true)
}

async fn read_lock(store: &Store, name: &str) -> Result<Lock, Failure> {
    let key = ObjectKey::Model { model: name, file: Lock::FILE }.path();
    let bytes = store.get(&key, MAX_LOCK).await.map_err(|failure| match failure {
        Failure::Reject(error) => {
            Failure::Reject(error.context(format!("`shanshui models push {name}` puts it there")))
        }
        other => other,
    })?;
    Lock::parse(&bytes).map_err(|error| Failure::Reject(error.context(key)))
}

/// A file that is longer than it should be was another version's.
fn shorten(file: &File, bytes: u64) -> Result<()> {
    let longer = file.metadata()?.len() > bytes;
    if longer { Ok(file.set_len(0)?) } else { Ok(()) }
}

/// Removes a file that has the wrong hash: it would be the beginning of the next attempt.
async fn check(locked: LockedFile, path: PathBuf) -> Result<(), Failure> {
    let check = move || locked.check(&path).inspect_err(|_| drop(std::fs::remove_file(&path)));
    let checked = tokio::task::spawn_blocking(check).await;
    checked.map_err(|error| Failure::Retry(error.into()))?.map_err(Failure::Retry)
}
