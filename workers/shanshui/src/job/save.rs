//! Brings what a job made to the disk.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::Value;
use shanshui_client::{Picture, Story};
use shanshui_pipeline::event::Event;
use shanshui_pipeline::id::sha256_hex;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::made::MadeObject;
use shanshui_pipeline::store::Store;

/// Most bytes of one picture: a PNG of 4096 x 4096 pixels that nothing compresses is 50 MB.
const MAX_PICTURE: u64 = 256 << 20;

/// Most bytes of a receipt.
const MAX_RECEIPT: u64 = 16 << 20;

/// What the last stage made, if no event told of it: its objects, as the receipt lists them.
pub(crate) async fn untold(store: &Store, story: &Story) -> anyhow::Result<Vec<MadeObject>> {
    let events = || story.events.iter().map(|envelope| &envelope.data);
    let end = events().rev().find_map(|event| match event {
        Event::Done { stage, key: Some(key), .. } => Some((stage, key)),
        _ => None,
    });
    let Some((stage, key)) = end else { return Ok(Vec::new()) };
    let receipt: Value = serde_json::from_slice(&store.get(key, MAX_RECEIPT).await?).context(key.clone())?;
    let objects = receipt["stages"][stage]["objects"].clone();
    let objects: Vec<MadeObject> = serde_json::from_value(objects).context(key.clone())?;
    let told = |object: &MadeObject| {
        events().any(
            |event| matches!(event, Event::Picture { key, .. } | Event::Transcript { key, .. } if *key == object.key),
        )
    };
    Ok(if objects.iter().any(told) { Vec::new() } else { objects })
}

/// Where such an object goes: `OUT/<job>-<name>`.
pub(crate) fn path_of_object(out: &Path, job: &JobId, object: &MadeObject) -> PathBuf {
    let name = Path::new(&object.key).file_name().unwrap_or_default();
    let mut path = OsString::from(format!("{job}-"));
    path.push(name);
    out.join(path)
}

/// Fetches an object, checks its hash and writes it to `to`.
pub(crate) async fn save(store: &Store, (key, sha256): (&str, &str), to: &Path) -> anyhow::Result<()> {
    let bytes = store.get(key, MAX_PICTURE).await?;
    let found = sha256_hex(&bytes);
    ensure!(found == sha256, "{key}: sha256 is {found}, not {sha256}");
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().prefix(".shanshui-").permissions(readable()).tempfile_in(folder)?;
        file.write_all(&bytes)?;
        file.persist(to)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", to.display()))
}

/// Where a picture goes: `OUT/<job>-<index>.<ext>`, or the file that was named, numbered from the
/// second picture on.
pub(crate) fn path(out: &Path, output: Option<&Path>, job: &JobId, picture: &Picture) -> PathBuf {
    let extension = Path::new(&picture.key).extension().unwrap_or_default().to_owned();
    let Some(output) = output else {
        let mut name = OsString::from(format!("{job}-{}.", picture.index));
        name.push(extension);
        return out.join(name);
    };
    if picture.index == 0 {
        return output.to_owned();
    }
    let mut name = output.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{}.", picture.index));
    name.push(output.extension().unwrap_or(&extension));
    output.with_file_name(name)
}

fn readable() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o644)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use shanshui_pipeline::job::JobId;

    use super::{Picture, path};

    fn picture(index: u32) -> Picture {
        Picture { index, key: format!("jobs/a/{index}.webp"), sha256: String::new(), seed: 1, size: (8, 8) }
    }

    #[test]
    fn pictures_are_named_by_job_and_index_unless_a_file_is_named() {
        let job = JobId::parse("id", "a").unwrap();
        let at = |output: Option<&str>, index| path(Path::new("out"), output.map(Path::new), &job, &picture(index));
        assert_eq!(at(None, 0), Path::new("out/a-0.webp"));
        assert_eq!(at(Some("x/cat.png"), 0), Path::new("x/cat.png"));
        assert_eq!(at(Some("x/cat.png"), 1), Path::new("x/cat-1.png"));
        assert_eq!(at(Some("cat"), 1), Path::new("cat-1.webp"));
    }
}
