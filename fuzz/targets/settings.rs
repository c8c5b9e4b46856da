//! A settings file.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

// The program is no library; this module of it needs nothing else.
#[allow(dead_code)]
#[path = "../../workers/shanshui/src/settings/file.rs"]
mod file;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if let Ok(file) = file::SettingsFile::parse(Path::new("shanshui.toml"), &text) {
        assert!(file.values.keys().all(|name| !name.contains('_')));
    }
});
