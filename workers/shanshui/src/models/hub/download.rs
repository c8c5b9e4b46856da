//! One file, from where it broke off to its end.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use sha1::{Digest, Sha1};
use shanshui_model::{LockedFile, hash_file};
use ureq::Body;
use ureq::http::{Response, StatusCode};

use super::answer::{self, Trouble};
use super::client::{patiently, shown};
use super::{Client, Proof, RemoteFile};

/// Bytes read at a time.
const CHUNK: usize = 1 << 16;

/// Brings `file` from `url` into `into`, from where an earlier attempt broke off; `told` hears how many
/// bytes came. The file is there and right when this returns.
///
/// # Errors
/// What the hub says; or that other bytes came than the hub's metadata promise, which are removed.
pub(crate) fn download(
    client: &Client,
    url: &str,
    (file, into): (&RemoteFile, &Path),
    told: &dyn Fn(u64),
) -> Result<LockedFile> {
    let there = fs::metadata(into).map_or(0, |metadata| metadata.len()).min(file.bytes);
    let mut whole =
        OpenOptions::new().create(true).append(true).open(into).map_err(|error| unwritable(into, &error))?;
    whole.set_len(there)?;
    told(there);
    patiently(|advanced| {
        go_on(client, url, (file, &mut whole), &mut |bytes| {
            *advanced = true;
            told(bytes);
        })
    })
    .with_context(|| format!("cannot fetch {}", shown(url)))?;
    whole.sync_all().map_err(|error| unwritable(into, &error))?;
    let found = file.proof.check(into, file.bytes);
    if found.is_err() {
        // It would be the beginning of the next attempt.
        fs::remove_file(into)?;
    }
    found.with_context(|| format!("cannot fetch {}", shown(url)))
}

fn go_on(
    client: &Client,
    url: &str,
    (file, whole): (&RemoteFile, &mut File),
    told: &mut dyn FnMut(u64),
) -> Result<(), Trouble> {
    let unwritable = |error: std::io::Error| Trouble::Refused(anyhow!("cannot write the file: {error}"));
    let at = whole.metadata().map_err(unwritable)?.len();
    if at >= file.bytes {
        return Ok(());
    }
    let answer = client.get(url, at)?;
    let begins = if answer.status() == StatusCode::PARTIAL_CONTENT { answer::start(&answer).unwrap_or(at) } else { 0 };
    if begins != at {
        // A server without ranges begins anew.
        if begins != 0 {
            return Err(Trouble::Refused(anyhow!("bytes from {begins} came, not from {at}")));
        }
        whole.set_len(0).map_err(unwritable)?;
    }
    copy(answer, file.bytes - begins, whole, told)
}

fn copy(answer: Response<Body>, mut missing: u64, whole: &mut File, told: &mut dyn FnMut(u64)) -> Result<(), Trouble> {
    let broken = |why: String| Trouble::Passing(anyhow!("the transfer broke off: {why}"), None);
    let (mut body, mut chunk) = (answer.into_body().into_reader(), vec![0; CHUNK]);
    while missing > 0 {
        let read = body.read(&mut chunk).map_err(|error| broken(error.to_string()))?;
        if read == 0 {
            return Err(broken(format!("{missing} bytes are missing")));
        }
        // What comes behind the promised size is not looked at: the hash decides.
        let taken = read.min(usize::try_from(missing).unwrap_or(read));
        let written = whole.write_all(&chunk[..taken]);
        written.map_err(|error| Trouble::Refused(anyhow!("cannot write the file: {error}")))?;
        missing -= taken as u64;
        told(taken as u64);
    }
    Ok(())
}

impl Proof {
    /// Describes the file at `path`, if its bytes are the promised ones.
    ///
    /// # Errors
    /// Says what they are instead.
    pub(crate) fn check(&self, path: &Path, bytes: u64) -> Result<LockedFile> {
        let found = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
        ensure!(found == bytes, "{found} bytes are there, not {bytes}");
        let sha256 = hash_file(path).with_context(|| format!("cannot read {}", path.display()))?;
        match self {
            Self::Sha256(promised) => ensure!(sha256 == *promised, "sha256 is {sha256}, not {promised}"),
            Self::GitBlob(promised) => {
                let blob = git_blob(path, bytes)?;
                ensure!(blob == *promised, "git's hash is {blob}, not {promised}");
            }
        }
        Ok(LockedFile { bytes, sha256 })
    }
}

/// Git's name of a file's content.
fn git_blob(path: &Path, bytes: u64) -> Result<String> {
    let mut hasher = Sha1::new();
    hasher.update(format!("blob {bytes}\0"));
    // Only small files are in git itself.
    hasher.update(fs::read(path)?);
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn unwritable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    anyhow!("cannot write {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gits_name_of_a_file_is_the_one_that_git_gives() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("hello");
        fs::write(&path, "hello\n").unwrap();
        // `echo hello | git hash-object --stdin`
        assert_eq!(git_blob(&path, 6).unwrap(), "ce013625030ba8dba906f756967f9e9ca394464a");
        let error = Proof::GitBlob("00".into()).check(&path, 6).unwrap_err().to_string();
        assert!(error.contains("git's hash is ce01"), "{error}");
        assert!(
            Proof::Sha256("00".into()).check(&path, 7).unwrap_err().to_string().contains("6 bytes are there, not 7")
        );
    }
}
