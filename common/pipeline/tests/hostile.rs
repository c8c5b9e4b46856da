//! What a hostile payload may cost: memory is measured where it is asked for.

use std::alloc::System;

use bytes::Bytes;
use cap::Cap;
use shanshui_pipeline::job::{AudioJob, TextJob};
use shanshui_pipeline::wire::{JSON, MSGPACK, decode};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// One test in this program: nothing else asks for memory meanwhile.
#[test]
fn s02_nesting_and_claimed_lengths_cost_less_than_a_mebibyte() {
    let deep_json = format!("{{\"text\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    let objects = format!("{{\"text\":\"a\",\"x\":{}1{}}}", "{\"x\":".repeat(200_000), "}".repeat(200_000));
    let nest = |byte: u8| [&b"\x82\xa4text\xa1a\xa1x"[..], &vec![byte; 200_000], b"\xc0"].concat();
    let claim = |byte: u8| [&b"\x82\xa4text\xa1a\xa1x"[..], &[byte, 0xff, 0xff, 0xff, 0xff]].concat();
    // A map within a map: the key of the outer one is the inner one.
    let keys = [&b"\x82\xa4text\xa1a"[..], &vec![0x81; 200_000]].concat();
    let mut payloads = vec![(JSON, deep_json.into_bytes()), (JSON, objects.into_bytes()), (MSGPACK, keys)];
    payloads.extend([0x91, 0x81].map(|byte| (MSGPACK, nest(byte))));
    // str32, bin32, array32, map32, ext32.
    payloads.extend([0xdb, 0xc6, 0xdd, 0xdf, 0xc9].map(|byte| (MSGPACK, claim(byte))));
    for (form, payload) in payloads {
        let (head, payload) = (payload[..payload.len().min(20)].to_vec(), Bytes::from(payload));
        ALLOCATOR.set_limit(ALLOCATOR.allocated() + (1 << 20)).expect("a higher limit");
        let refused = (decode::<TextJob>(Some(form), payload.clone()), decode::<AudioJob>(Some(form), payload));
        ALLOCATOR.set_limit(usize::MAX).expect("no limit");
        let (Err(text), Err(audio)) = refused else { panic!("{form} {head:x?} was taken") };
        assert_eq!((text.field.as_str(), audio.field.as_str()), ("payload", "payload"), "{form} {head:x?}: {text}");
    }
}
