//! Embeds the files of the page, so that none is forgotten; and makes of its modules and of its style sheets
//! one file each, which a browser asks for once and keeps.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Where the page has its files.
const AT: &str = "/page/";
const INDEX: &str = "index.html";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(&env::var_os("CARGO_MANIFEST_DIR").ok_or("no folder of the crate")?).join("page");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no folder for the list")?);
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.is_file() && path.file_name().is_some_and(|name| name != INDEX) {
            files.push(path);
        }
    }
    files.sort();
    files.extend(bundled(&folder, &out)?);
    let mut list = String::from("[\n");
    for path in &files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        writeln!(list, "    ({name:?}, include_bytes!({:?})),", path.display().to_string())?;
    }
    list.push_str("]\n");
    fs::write(out.join("page.rs"), list)?;
    Ok(())
}

/// The page with its scripts and its styles in one file each; their names change with their content, so
/// that they may be kept for ever.
fn bundled(folder: &Path, out: &Path) -> Result<[PathBuf; 3], Box<dyn Error>> {
    let index = fs::read_to_string(folder.join(INDEX))?;
    let sheets = index.lines().filter_map(|line| quoted(line, "<link rel=\"stylesheet\" href=\"/page/"));
    let sheets: Result<Vec<String>, _> = sheets.map(|name| fs::read_to_string(folder.join(name))).collect();
    let entry = index.lines().find_map(|line| quoted(line, "<script type=\"module\" src=\"/page/"));
    let mut script = String::new();
    module(folder, entry.ok_or("index.html has no module")?, &mut BTreeSet::new(), &mut script)?;
    let (style, script) = (named(&sheets?.concat(), "css", out)?, named(&script, "js", out)?);
    let link = |path: &Path| format!("{AT}{}", path.file_name().unwrap_or_default().to_string_lossy());
    let mut lines: Vec<String> = Vec::new();
    for line in index.lines() {
        let (is_style, is_script) = (line.contains("rel=\"stylesheet\""), line.contains("type=\"module\""));
        if is_script {
            lines.push(format!("  <link rel=\"stylesheet\" href=\"{}\">", link(&style)));
            lines.push(format!("  <script type=\"module\" src=\"{}\"></script>", link(&script)));
        } else if !is_style && !line.contains("modulepreload") {
            lines.push(line.to_owned());
        }
    }
    let page = out.join(INDEX);
    fs::write(&page, lines.join("\n") + "\n")?;
    Ok([page, style, script])
}

fn named(text: &str, ending: &str, out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let path = out.join(format!("bundle-{:016x}.{ending}", hasher.finish()));
    fs::write(&path, text)?;
    Ok(path)
}

/// Adds a module behind those that it imports: a function that returns what it exports. The page writes each
/// import on one line, and exports only what it declares; anything else is an error here.
fn module(folder: &Path, name: &str, done: &mut BTreeSet<String>, all: &mut String) -> Result<(), Box<dyn Error>> {
    if !done.insert(name.to_owned()) {
        let whole = all.contains(&format!("const {} = ", variable(name)));
        return if whole { Ok(()) } else { Err(format!("{name}: it imports itself by way of others").into()) };
    }
    let (mut body, mut exports) = (String::new(), Vec::new());
    for line in fs::read_to_string(folder.join(name))?.lines() {
        if let Some(rest) = line.strip_prefix("import ") {
            let (what, from) = rest.split_once(" from \"/page/").ok_or_else(|| format!("{name}: {line}"))?;
            let from = from.strip_suffix("\";").ok_or_else(|| format!("{name}: {line}"))?;
            module(folder, from, done, all)?;
            let what = what.strip_prefix("* as ").map_or_else(|| what.replace(" as ", ": "), str::to_owned);
            writeln!(body, "const {what} = {};", variable(from))?;
        } else if let Some(declared) = line.strip_prefix("export ") {
            exports.push(declaration(declared).ok_or_else(|| format!("{name}: {line}"))?.to_owned());
            writeln!(body, "{declared}")?;
        } else {
            writeln!(body, "{line}")?;
        }
    }
    writeln!(all, "const {} = (() => {{\n{body}return {{ {} }};\n}})();", variable(name), exports.join(", "))?;
    Ok(())
}

/// The name that a declaration declares.
fn declaration(text: &str) -> Option<&str> {
    let text = text.strip_prefix("async ").unwrap_or(text);
    let rest = ["function ", "class ", "const "].iter().find_map(|word| text.strip_prefix(word))?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '$')?;
    Some(&rest[..end]).filter(|name| !name.is_empty())
}

fn variable(file: &str) -> String {
    format!("module_{}", file.trim_end_matches(".js").replace('-', "_"))
}

/// The rest of an attribute behind `start`, if a line has it.
fn quoted<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.trim().strip_prefix(start)?.split('"').next()
}
