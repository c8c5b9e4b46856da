//! Brings the pictures of a job to the disk.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use shanshui_client::Picture;
use shanshui_pipeline::id::sha256_hex;
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::store::Store;

/// Most bytes of one picture: a PNG of 4096 x 4096 pixels that nothing compresses is 50 MB.
const MAX_PICTURE: u64 = 256 << 20;

/// Fetches one picture, checks its hash and writes it to `to`.
pub(crate) async fn save(store: &Store, picture: &Picture, to: &Path) -> anyhow::Result<()> {
    let bytes = store.get(&picture.key, MAX_PICTURE).await?;
    let found = sha256_hex(&bytes);
    ensure!(found == picture.sha256, "{}: sha256 is {found}, not {}", picture.key, picture.sha256);
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
