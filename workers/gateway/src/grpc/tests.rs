//! The messages are those of the `.proto`.

use std::collections::HashMap;

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

use super::{DESCRIPTORS, message, told};

/// A message of the `.proto` in which every field has a value, `choice` of each group of which one counts.
fn filled(all: &HashMap<String, DescriptorProto>, name: &str, choice: i32) -> Vec<u8> {
    let message = &all[name];
    let mut bytes = Vec::new();
    for field in &message.field {
        let others = |other: &&FieldDescriptorProto| {
            other.oneof_index == field.oneof_index && other.proto3_optional != Some(true)
        };
        let alone = field.oneof_index.is_none() || field.proto3_optional == Some(true);
        let group: Vec<_> = message.field.iter().filter(others).collect();
        if alone || group[choice as usize % group.len()].number == field.number {
            put(all, field, &mut bytes);
        }
    }
    bytes
}

fn put(all: &HashMap<String, DescriptorProto>, field: &FieldDescriptorProto, bytes: &mut Vec<u8>) {
    use prost::encoding::{WireType, encode_key, encode_varint};
    let number = field.number() as u32;
    let mut length_delimited = |content: &[u8]| {
        encode_key(number, WireType::LengthDelimited, bytes);
        encode_varint(content.len() as u64, bytes);
        bytes.extend(content);
    };
    match field.r#type() {
        Type::String => length_delimited(format!("text {number}").as_bytes()),
        Type::Bytes => length_delimited(&[0xff, number as u8]),
        Type::Message => length_delimited(&filled(all, field.type_name(), 0)),
        Type::Double => {
            encode_key(number, WireType::SixtyFourBit, bytes);
            bytes.extend((number as f64 + 0.5).to_le_bytes());
        }
        Type::Bool => {
            encode_key(number, WireType::Varint, bytes);
            bytes.push(1);
        }
        Type::Uint32 | Type::Uint64 => {
            let most = if field.r#type() == Type::Uint32 { u64::from(u32::MAX) } else { u64::MAX };
            encode_key(number, WireType::Varint, bytes);
            encode_varint(most - u64::from(number), bytes);
        }
        other => panic!("{other:?} of {} is not known here", field.name()),
    }
}

type Kept = fn(&[u8]) -> Vec<u8>;

/// What a message keeps of these bytes.
fn kept<M: Message + Default>(bytes: &[u8]) -> Vec<u8> {
    M::decode(bytes).unwrap().encode_to_vec()
}

#[test]
fn every_field_of_the_proto_file_is_read_and_written() {
    let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let mut all = HashMap::new();
    let mut gather = vec![(".shanshui.v1".to_owned(), set.file[0].message_type.clone())];
    while let Some((at, messages)) = gather.pop() {
        for message in messages {
            let name = format!("{at}.{}", message.name());
            gather.push((name.clone(), message.nested_type.clone()));
            all.insert(name, message);
        }
    }
    let messages: [(&str, Kept); 21] = [
        ("SubmitRequest", kept::<message::SubmitRequest>),
        ("RecordingPart", kept::<message::RecordingPart>),
        ("Settings", kept::<message::Settings>),
        ("PictureSettings", kept::<message::PictureSettings>),
        ("Lora", kept::<message::Lora>),
        ("SubmitReply", kept::<message::SubmitReply>),
        ("GetRequest", kept::<message::GetRequest>),
        ("CancelRequest", kept::<message::CancelRequest>),
        ("CancelReply", kept::<message::CancelReply>),
        ("EraseRequest", kept::<message::EraseRequest>),
        ("EraseReply", kept::<told::EraseReply>),
        ("FollowRequest", kept::<message::FollowRequest>),
        ("Event", kept::<message::Event>),
        ("PictureRequest", kept::<message::PictureRequest>),
        ("PicturePart", kept::<message::PicturePart>),
        ("PictureInfo", kept::<message::PictureInfo>),
        ("CapabilitiesRequest", kept::<message::CapabilitiesRequest>),
        ("CapabilitiesReply", kept::<message::CapabilitiesReply>),
        ("ListRequest", kept::<message::ListRequest>),
        ("ListReply", kept::<told::ListReply>),
        ("Job", kept::<told::Job>),
    ];
    let known = messages.len() + ["Transcript", "Picture", "Stage", "Error", "Erased"].len();
    assert_eq!(set.file[0].message_type.len(), known, "each message of the file is looked at");
    for (name, kept) in messages {
        for choice in 0..2 {
            let bytes = filled(&all, &format!(".shanshui.v1.{name}"), choice);
            assert_eq!(kept(&bytes), bytes, "{name}");
        }
    }
    assert!(set.file[0].message_type[0].field.iter().all(|field| field.label() == Label::Optional));
}
