//! Brings a model from the hub: only the files that are needed, each one verified, all or none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use indicatif::{DecimalBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use shanshui_model::{CachedSnapshot, Lock, LockedFile};
use shanshui_pipeline::config::Secret;
use shanshui_pipeline::{Layout, Offer};

use super::hub::{Client, HubFolders, HubOptions, Proof, RemoteFile, Repository, download};
use super::manifest::Model;
use super::name::HubName;
use super::staging::{Staging, files_below};
use super::verify;
use crate::exit::{Exit, OrExit, Refusal};
use crate::print;

/// A model that somebody wants from the hub.
pub(crate) struct Order<'a> {
    /// Where on the hub.
    pub(crate) name: HubName,
    /// What is known of it beforehand.
    pub(crate) listed: Option<&'a Model>,
    /// Weights in full precision.
    pub(crate) full: bool,
    /// Where it goes.
    pub(crate) target: PathBuf,
}

/// How to get it.
pub(crate) struct Means<'a> {
    pub(crate) layouts: &'a [Layout],
    pub(crate) hub: &'a HubOptions,
    pub(crate) folders: &'a HubFolders,
}

/// One model at one commit, and its files.
struct Plan {
    repository: Repository,
    files: Vec<RemoteFile>,
    /// Files that lie in the hub's cache.
    cached: Option<PathBuf>,
}

impl Order<'_> {
    /// Puts the model into its folder, with its lock.
    pub(crate) fn pull(&self, means: &Means<'_>) -> Result<(), Refusal> {
        self.check_target()?;
        if means.hub.offline {
            return self.take_cached(means);
        }
        let token: Option<Secret> = means.hub.token(means.folders);
        let client = Client::new(&means.hub.address, token).or_exit(Exit::Usage)?;
        let plan = self.plan(&client, means)?;
        plan.announce();
        if plan.is_here(&self.target) {
            print::note("all of it is here already");
            return Ok(());
        }
        let staging = self.stage(&plan.repository.commit)?;
        let bar = bar(plan.files.iter().map(|file| file.bytes).sum());
        let mut files = BTreeMap::new();
        for file in &plan.files {
            bar.set_message(file.path.clone());
            files.insert(file.path.clone(), plan.fetch(file, (&client, &staging, &self.target), &bar)?);
        }
        bar.finish_and_clear();
        staging.finish(&plan.lock(files))?;
        Ok(())
    }

    fn plan(&self, client: &Client, means: &Means<'_>) -> anyhow::Result<Plan> {
        let repository = Repository::ask(client, &self.name.repository, &self.name.revision)?;
        let mut files = self.choose(&repository, means).with_context(|| {
            format!("{}@{} is not a model that is read here", repository.name, &repository.commit[..12])
        })?;
        // Configs first: they tell early what is wrong.
        files.sort_by_key(|file| file.bytes);
        let snapshot = means.folders.cache().map(|cache| snapshot(&cache, &repository.name, &repository.commit));
        Ok(Plan { repository, files, cached: snapshot.filter(|folder| folder.is_dir()) })
    }

    /// The files that are needed, with what is pinned of them.
    fn choose(&self, repository: &Repository, means: &Means<'_>) -> anyhow::Result<Vec<RemoteFile>> {
        let pinned = self.listed.map(|model| &model.files).filter(|files| !files.is_empty());
        let names = match (pinned, &self.name.file) {
            (Some(pinned), _) => pinned.keys().cloned().collect(),
            (None, Some(file)) => vec![file.clone()],
            (None, None) => needed(repository, means.layouts, self.full)?,
        };
        let find = |name: &String| {
            let file = repository.files.iter().find(|file| file.path == *name).cloned();
            let mut file = file.with_context(|| format!("the repository has no {name}"))?;
            if let Some(sha256) = pinned.and_then(|pinned| pinned.get(name)) {
                file.proof = Proof::Sha256(sha256.clone());
            }
            anyhow::Ok(file)
        };
        names.iter().map(find).collect()
    }

    /// The same without the hub, for a model all of whose hashes are pinned.
    fn take_cached(&self, means: &Means<'_>) -> Result<(), Refusal> {
        let name = &self.name.repository;
        let pinned = self.listed.filter(|model| !model.files.is_empty());
        let cache = means.folders.cache().unwrap_or_default();
        let missing = |file: &str| {
            anyhow!(
                "offline: {file} of {name} is not in the hub's cache ({}) and must not be fetched; pull without \
                 --offline and HF_HUB_OFFLINE, or put the files there yourself",
                cache.display()
            )
        };
        let Some(model) = pinned else {
            let error = anyhow!(
                "offline: {name} must not be fetched; pull without --offline and HF_HUB_OFFLINE. Workers find a \
                 model of the hub's cache ({}) by its name",
                cache.display()
            );
            return Err(error).or_exit(Exit::Usage);
        };
        let folder = snapshot(&cache, name, &model.revision);
        let staging = self.stage(&model.revision)?;
        let mut files = BTreeMap::new();
        for (file, sha256) in &model.files {
            let from = [self.target.join(file), folder.join(file)].into_iter().find(|path| path.is_file());
            let from = from.ok_or_else(|| missing(file)).or_exit(Exit::Usage)?;
            let found = LockedFile::of(&from)?;
            if found.sha256 != *sha256 {
                let (found, from) = (found.sha256, from.display());
                return Err(anyhow!("{file}: sha256 is {found}, not {sha256}; {from} is damaged: remove it").into());
            }
            staging.take(file, &from)?;
            files.insert(file.clone(), found);
        }
        let lock = Lock {
            repository: Some(name.clone()),
            commit: Some(model.revision.clone()),
            licence: Some(model.licence.clone()),
            ..Lock::new(files)
        };
        Ok(staging.finish(&lock)?)
    }

    fn stage(&self, commit: &str) -> Result<Staging, Refusal> {
        let busy = || anyhow!("another process pulls {} now", self.target.display());
        Staging::open(&self.target, commit)?.ok_or_else(busy).or_exit(Exit::Busy)
    }

    /// What somebody put there by hand is not replaced.
    fn check_target(&self) -> Result<(), Refusal> {
        let target = &self.target;
        let listed = |path: &PathBuf| {
            let name = path.strip_prefix(target).map(|name| name.to_string_lossy().into_owned());
            self.listed.zip(name.ok()).is_some_and(|(model, name)| model.files.contains_key(&name))
        };
        let own = Lock::read(target).is_ok_and(|lock| lock.is_some()) || files_below(target).iter().all(listed);
        let what = || anyhow!("{} holds files that no pull put there; move them, or pull with --as", target.display());
        ensure_usage(own, what)
    }
}

fn ensure_usage(holds: bool, what: impl FnOnce() -> anyhow::Error) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(what()).or_exit(Exit::Usage) }
}

impl Plan {
    /// What is about to come, before it does.
    fn announce(&self) {
        let Repository { name, commit, licence, .. } = &self.repository;
        let (count, bytes) = (self.files.len(), DecimalBytes(self.files.iter().map(|file| file.bytes).sum()));
        let licence = licence.as_deref().unwrap_or("not stated");
        print::note(format_args!("{name}@{}: {count} files, {bytes}, licence: {licence}", &commit[..12]));
    }

    /// Whether this very model lies at `target`, whole.
    fn is_here(&self, target: &Path) -> bool {
        let Ok(Some(lock)) = Lock::read(target) else { return false };
        let same = lock.commit.as_ref() == Some(&self.repository.commit) && lock.files.len() == self.files.len();
        same && self.files.iter().all(|file| lock.files.contains_key(&file.path))
            && verify::lock_faults(&lock, target).is_empty()
    }

    /// One file, from this machine if it is here.
    fn fetch(
        &self,
        file: &RemoteFile,
        (client, staging, target): (&Client, &Staging, &Path),
        bar: &ProgressBar,
    ) -> anyhow::Result<LockedFile> {
        let here = [Some(target.to_owned()), self.cached.clone()];
        for from in here.into_iter().flatten().map(|folder| folder.join(&file.path)) {
            if let Ok(found) = file.proof.check(&from, file.bytes) {
                staging.take(&file.path, &from)?;
                note(file, "is here already", bar);
                return Ok(found);
            }
        }
        let (url, into) = (self.repository.url(client, &file.path), staging.place(&file.path)?);
        let done = download(client, &url, (file, &into), &|bytes| bar.inc(bytes));
        let done = done.inspect_err(|_| bar.abandon())?;
        if !print::is_watched() {
            print::note(format_args!("{}: {}, sha256 {}", file.path, DecimalBytes(done.bytes), done.sha256));
        }
        Ok(done)
    }

    fn lock(&self, files: BTreeMap<String, LockedFile>) -> Lock {
        let Repository { name, commit, licence, .. } = &self.repository;
        Lock {
            repository: Some(name.clone()),
            commit: Some(commit.clone()),
            licence: licence.clone(),
            ..Lock::new(files)
        }
    }
}

fn note(file: &RemoteFile, what: &str, bar: &ProgressBar) {
    bar.inc(file.bytes);
    if !print::is_watched() {
        print::note(format_args!("{}: {what}", file.path));
    }
}

/// What the first layout that knows such a model needs of the repository.
fn needed(repository: &Repository, layouts: &[Layout], full: bool) -> anyhow::Result<Vec<String>> {
    let names: Vec<String> = repository.files.iter().map(|file| file.path.clone()).collect();
    let offer = Offer { files: &names, config: &repository.config, full };
    let (mut reasons, mut found) = (Vec::new(), None);
    for layout in layouts {
        match (layout.files)(&offer) {
            Ok(files) => found = found.or(Some(files)),
            Err(error) => reasons.push(format!("for {}, {error:#}", layout.kind)),
        }
    }
    ensure!(!layouts.is_empty(), "this program has no stage with a model");
    found.with_context(|| reasons.join("; "))
}

/// A commit of a repository in the hub's cache.
fn snapshot(cache: &Path, repository: &str, commit: &str) -> PathBuf {
    cache.join(CachedSnapshot::folder_of(repository)).join("snapshots").join(commit)
}

fn bar(bytes: u64) -> ProgressBar {
    let target = if print::is_watched() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template(
        "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}",
    );
    let bar = ProgressBar::with_draw_target(Some(bytes), target);
    style.map_or(bar.clone(), |style| bar.with_style(style))
}
