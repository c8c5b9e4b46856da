//! `shanshui models`: what is listed, what is here, what is whole; from the hub, and to the bucket.

mod list;
mod verify;

use clap::{Args, Subcommand};
use shanshui_pipeline::Layout;
use shanshui_pipeline::config::S3Options;
use shanshui_pipeline::store::{Store, is_model_name};

use crate::data::DataDir;
use crate::exit::{Exit, OrExit, Refusal};
use crate::models::bucket;
use crate::models::hub::HubOptions;
use crate::models::locate::ModelFolders;
use crate::models::manifest;
use crate::models::name::HubName;
use crate::models::pull::{Means, Order};
use crate::print;

/// List, fetch and verify models
#[derive(Debug, Clone, Args)]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    command: ModelsCommand,
    #[command(flatten)]
    folders: ModelFolders,
}

#[derive(Debug, Clone, Subcommand)]
enum ModelsCommand {
    /// List the models that have a name here, and all others found in the model folders and the hub's cache
    List,
    /// Fetch a model from the hub: only the files that are needed, each one verified
    Pull(Box<PullArgs>),
    /// Put a model of this machine into the bucket, for workers with --models-from-bucket
    Push(Box<PushArgs>),
    /// Compare files with their pinned SHA-256; exit code 1 if any differs
    Verify {
        /// Name, as listed [default: every model that is here and has hashes]
        name: Option<String>,
    },
}

#[derive(Debug, Clone, Args)]
struct PullArgs {
    /// A name as listed, or any repository: OWNER/NAME, OWNER/NAME@REVISION, OWNER/NAME:FILE.safetensors
    name: String,
    /// Name to give the model here [default: its own]
    #[arg(long = "as", value_name = "NAME")]
    own: Option<String>,
    /// Fetch weights in full precision where there are some in half precision as well
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    hub: HubOptions,
}

#[derive(Debug, Clone, Args)]
struct PushArgs {
    /// Name of a model in the model folders or the hub's cache
    name: String,
    #[command(flatten)]
    s3: S3Options,
}

/// Does what was asked.
pub(crate) async fn run(args: ModelsArgs, layouts: Vec<Layout>, data: DataDir) -> Result<Exit, Refusal> {
    let folders = args.folders;
    // Hashing and fetching block for minutes.
    let work = move || match args.command {
        ModelsCommand::List => list::list(&folders, &layouts, &data),
        ModelsCommand::Pull(args) => pull(*args, &folders, &layouts, &data),
        ModelsCommand::Verify { name } => verify::verify(name.as_deref(), &folders, &data),
        ModelsCommand::Push(args) => tokio::runtime::Handle::current().block_on(push(*args, &folders, &layouts, &data)),
    };
    tokio::task::spawn_blocking(work).await?
}

fn pull(args: PullArgs, folders: &ModelFolders, layouts: &[Layout], data: &DataDir) -> Result<Exit, Refusal> {
    let listed =
        if HubName::is_meant(&args.name) { None } else { Some(manifest::model(&args.name).or_exit(Exit::Usage)?) };
    let name = match &listed {
        Some(model) => HubName { repository: model.repository.clone(), revision: model.revision.clone(), file: None },
        None => args.name.parse().map_err(|allowed| Refusal::setting("name", &args.name, allowed))?,
    };
    let usual = listed.as_ref().map_or(name.folder(), |model| model.name.as_str()).to_owned();
    let own = args.own.unwrap_or(usual);
    if !is_model_name(&own) {
        return Err(Refusal::setting("as", own, "a name of letters, digits, '.', '_' and '-'"));
    }
    let target = folders.target(data).join(&own);
    let order = Order { name, listed: listed.as_ref(), full: args.full, target };
    order.pull(&Means { layouts, hub: &args.hub, folders: &folders.hub })?;
    print::line(order.target.display());
    Ok(Exit::Done)
}

async fn push(args: PushArgs, folders: &ModelFolders, layouts: &[Layout], data: &DataDir) -> Result<Exit, Refusal> {
    args.s3.check().or_exit(Exit::Usage)?;
    let name = args.name.as_str();
    if !is_model_name(name) {
        return Err(Refusal::setting("name", name, "the name of a model, without a path"));
    }
    let places = layouts.iter().map(|layout| (folders.locate(name, *layout, data), layout));
    let mut refused = None;
    for (place, layout) in places {
        match place {
            Ok(path) => {
                let store = Store::connect(&args.s3).await.or_exit(Exit::Unreachable)?;
                let folder = if path.is_dir() { path.as_path() } else { path.parent().unwrap_or(&path) };
                let lock = bucket::push(&store, name, folder, layout).await?;
                print::line(format_args!("models/{name}/ {} files, {} bytes", lock.files.len(), lock.bytes()));
                return Ok(Exit::Done);
            }
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| anyhow::anyhow!("this program has no stage with a model"))).or_exit(Exit::Usage)
}
