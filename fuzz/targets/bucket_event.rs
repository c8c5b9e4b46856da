//! What stores tell of their buckets: any bytes start only jobs of the watched bucket, under sound keys.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use shanshui_intake::event::read;
use shanshui_intake::watch::Watch;

static WATCH: LazyLock<Watch> =
    LazyLock::new(|| Watch::new("recordings", "", Some(""), None).unwrap_or_else(|error| panic!("{error}")));

fuzz_target!(|data: &[u8]| {
    let reading = read(data, &WATCH);
    for found in &reading.found {
        assert_eq!(found.bucket, "recordings");
        assert_eq!(WATCH.passes_over(&found.key), None);
        assert!(found.key.len() <= 1024 && !found.key.chars().any(char::is_control), "{found:?}");
        assert!(!found.key.split('/').any(|part| part == ".."), "{found:?}");
    }
    for (at, found) in reading.found.iter().enumerate() {
        let again =
            reading.found[..at].iter().any(|other| (&other.key, &other.version) == (&found.key, &found.version));
        assert!(!again, "{found:?}");
    }
});
