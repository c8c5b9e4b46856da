//! Finds a model by name or path.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use shanshui_model::CachedSnapshot;
use shanshui_pipeline::store::is_model_name;
use shanshui_pipeline::{Layout, Serve};

use super::hub::HubFolders;
use super::manifest;
use crate::data::DataDir;

/// Where models lie.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Models")]
pub(crate) struct ModelFolders {
    /// Folders of models to search before DATA/models and the folders beside the executable;
    /// several are separated by ':'
    #[arg(
        long = "models",
        id = "model_folders",
        env = "SHANSHUI_MODELS",
        value_name = "DIR",
        value_delimiter = ':',
        global = true
    )]
    pub(crate) folders: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) hub: HubFolders,
}

impl ModelFolders {
    /// Every folder that is searched, first match wins.
    pub(crate) fn all(&self, data: &DataDir) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = self.folders.iter().filter(|path| !path.as_os_str().is_empty()).cloned().collect();
        all.push(data.models());
        let executable = std::env::current_exe().ok();
        // Installed: PREFIX/bin and PREFIX/models; built by cargo: target/debug below the models.
        let above = executable.iter().flat_map(|path| path.ancestors().skip(2).take(2));
        all.extend(above.map(|folder| folder.join("models")));
        all
    }

    /// Where a pulled model goes.
    pub(crate) fn target(&self, data: &DataDir) -> PathBuf {
        let own = self.folders.iter().find(|path| !path.as_os_str().is_empty());
        own.cloned().unwrap_or_else(|| data.models())
    }

    /// The folder of the model that a stage is told to load; an empty path for a stage without one.
    pub(crate) fn of_stage<S: Serve>(&self, options: &S::Options, data: &DataDir) -> anyhow::Result<PathBuf> {
        S::LAYOUT.map_or(Ok(PathBuf::new()), |layout| self.locate(S::wanted(options), layout, data))
    }

    /// The folder of the model that is called `wanted`, or that lies at `wanted`.
    pub(crate) fn locate(&self, wanted: &str, layout: Layout, data: &DataDir) -> anyhow::Result<PathBuf> {
        let path = Path::new(wanted);
        let Layout { flag, find, .. } = layout;
        let refused = match find(path) {
            Ok(found) => return Ok(found),
            Err(error) => anyhow!("{flag}: {error:#}"),
        };
        if !is_model_name(wanted) {
            // The layout knows half a download and other kinds of files.
            return Err(refused);
        }
        let searched = self.all(data);
        let mut found = self.places(wanted, &searched).into_iter().filter_map(|path| find(&path).ok());
        found.next().ok_or_else(|| missing(wanted, &layout, &searched))
    }

    /// Where a model of this name may lie.
    fn places(&self, wanted: &str, searched: &[PathBuf]) -> Vec<PathBuf> {
        let names = [wanted.to_owned(), format!("{wanted}.safetensors")];
        let own = searched.iter().flat_map(|folder| names.iter().map(|name| folder.join(name)));
        let cached = self.hub.cache().filter(|_| wanted.contains('/'));
        own.chain(cached.map(|cache| cache.join(CachedSnapshot::folder_of(wanted)))).collect()
    }
}

fn missing(wanted: &str, layout: &Layout, searched: &[PathBuf]) -> anyhow::Error {
    let Layout { flag, file, .. } = layout;
    let places: Vec<String> = searched.iter().map(|path| format!("  {}", path.display())).collect();
    let places = places.join("\n");
    if wanted.contains('/') {
        return anyhow!(
            "{flag}: {wanted} is the name of a repository, and neither the hub's cache has it nor\n{places}\ntry \
             `shanshui models pull {wanted}`"
        );
    }
    let known = manifest::model(wanted).is_ok();
    let advice = if known { format!("shanshui models pull {wanted}") } else { "shanshui models list".to_owned() };
    anyhow!("{flag}: no model {wanted} (a folder with {file}) in\n{places}\ntry `{advice}`")
}

#[cfg(test)]
mod tests {
    use shanshui_paint::stage::Paint;
    use shanshui_pipeline::Serve;
    use shanshui_transcribe::stage::Transcribe;

    use super::{HubFolders, ModelFolders};
    use crate::data::DataDir;

    #[test]
    fn a_missing_model_says_where_it_looked_and_what_to_run() {
        let data = tempfile::tempdir().unwrap();
        let folders = ModelFolders { folders: vec!["/nowhere/at/all".into()], hub: HubFolders::default() };
        let data = DataDir::at(Some(data.path())).unwrap();
        let error = folders.locate("whisper-large-v3", Transcribe::LAYOUT.unwrap(), &data).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all"), "{error}");
        assert!(error.contains("shanshui models pull whisper-large-v3"), "{error}");
    }

    #[test]
    fn a_picture_model_may_be_one_file_and_a_repositorys_name_is_called_that() {
        let place = tempfile::tempdir().unwrap();
        let data = DataDir::at(Some(place.path())).unwrap();
        let file = place.path().join("dream.safetensors");
        std::fs::write(&file, [0; 16]).unwrap();
        let folders = ModelFolders { folders: vec![place.path().to_owned()], hub: HubFolders::default() };
        let locate = |wanted: &str| folders.locate(wanted, Paint::LAYOUT.unwrap(), &data);
        assert_eq!(locate(file.to_str().unwrap()).unwrap(), file);
        assert_eq!(locate("dream").unwrap(), file);
        let error = format!("{:#}", locate("no-such-owner/sd-turbo").unwrap_err());
        assert!(error.contains("picture-model: no-such-owner/sd-turbo is the name of a repository"), "{error}");
    }

    #[test]
    fn a_repositorys_name_is_that_of_a_pulled_model_or_of_one_in_the_hubs_cache() {
        let place = tempfile::tempdir().unwrap();
        let data = DataDir::at(Some(&place.path().join("data"))).unwrap();
        let hub = HubFolders { home: Some(place.path().join("home")), cache: None };
        let folders = ModelFolders { folders: Vec::new(), hub };
        let locate = || folders.locate("owner/tiny", Paint::LAYOUT.unwrap(), &data);
        let cached = place.path().join("home/hub/models--owner--tiny/snapshots/0123abcd");
        for folder in [&cached, &data.models().join("owner/tiny")] {
            assert!(locate().is_err() || *folder != cached);
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(folder.join("model_index.json"), "{}").unwrap();
            assert_eq!(locate().unwrap(), *folder);
        }
    }

    #[test]
    fn the_first_folder_that_has_the_model_wins() {
        let place = tempfile::tempdir().unwrap();
        let data = DataDir::at(Some(place.path())).unwrap();
        let own = place.path().join("own");
        for folder in [own.join("toy"), data.models().join("toy")] {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("model_index.json"), "{}").unwrap();
        }
        let folders = ModelFolders { folders: vec![own.clone()], hub: HubFolders::default() };
        assert_eq!(folders.locate("toy", Paint::LAYOUT.unwrap(), &data).unwrap(), own.join("toy"));
        let error = folders.locate("toy", Transcribe::LAYOUT.unwrap(), &data).unwrap_err().to_string();
        assert!(error.contains("config.json"), "{error}");
    }
}
