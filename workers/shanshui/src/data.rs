//! The data directory: what one installation keeps on disk.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use crate::exit::{Exit, OrExit, Refusal};

/// One data directory.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    root: PathBuf,
}

impl DataDir {
    /// The directory that was given, or the user's own.
    pub(crate) fn at(given: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = given {
            return Ok(Self { root: std::path::absolute(path)? });
        }
        // The two variables of the XDG base directory specification are not settings of ours.
        let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let data = data.or_else(|| Some(std::env::home_dir()?.join(".local/share")));
        let data = data.ok_or_else(|| anyhow!("data: no home directory is known; name a directory with --data"))?;
        Ok(Self { root: data.join("shanshui") })
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Models that were pulled.
    pub(crate) fn models(&self) -> PathBuf {
        self.root.join("models")
    }

    /// Addresses and credentials of the running instance.
    pub(crate) fn addresses(&self) -> PathBuf {
        self.root.join("up.toml")
    }

    /// A folder below, made if need be; nobody else may look into it.
    pub(crate) fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        use std::os::unix::fs::DirBuilderExt;
        let path = self.root.join(name);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.with_context(|| format!("data: cannot make {}", path.display()))?;
        Ok(path)
    }

    /// Takes the directory for this process alone, until the lock is dropped or the process dies.
    pub(crate) fn lock(&self) -> Result<File, Refusal> {
        self.folder("")?;
        let path = self.root.join("up.lock");
        let mut file = open_lock(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only for the message; the lock itself has spoken.
                let _ = file.read_to_string(&mut holder);
                let (root, holder) = (self.root.display(), holder.trim());
                return Err(anyhow!("data: {root} is in use by another `shanshui up` (process {holder})"))
                    .or_exit(Exit::Busy);
            }
            Err(TryLockError::Error(error)) => {
                return Err(error)
                    .with_context(|| format!("data: cannot lock {}", path.display()))
                    .or_exit(Exit::Failed);
            }
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(file)
    }
}

/// Opens a lock file without touching what is in it.
pub(crate) fn open_lock(path: &Path) -> anyhow::Result<File> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
    file.with_context(|| format!("data: cannot open {}", path.display()))
}

/// Writes a file that only the user may read, all of it or nothing.
pub(crate) fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> anyhow::Result<()> {
        // tempfile makes files with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
