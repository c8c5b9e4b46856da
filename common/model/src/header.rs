//! The header of a safetensors file, from files that nobody has checked.

use safetensors::SafeTensors;
use safetensors::tensor::Metadata;

/// Published headers stay below 1 MB; the JSON parser must not be fed what a hostile length says.
pub const MAX_HEADER_BYTES: u64 = 10 << 20;

/// Where the tensors of a safetensors file begin, and what its header says of them. All its offsets
/// lie within `file`.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn header(file: &[u8]) -> Result<(usize, Metadata), String> {
    let length = file.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)).ok_or("shorter than its header")?;
    if length > MAX_HEADER_BYTES {
        return Err(format!("header of {length} bytes, allowed are {MAX_HEADER_BYTES}"));
    }
    let (header_bytes, metadata) = SafeTensors::read_metadata(file).map_err(|_| broken(file, length))?;
    Ok((size_of::<u64>() + header_bytes, metadata))
}

/// What is wrong with a file whose header is `length` bytes long.
fn broken(file: &[u8], length: u64) -> String {
    let (data_start, there) = (size_of::<u64>() as u64 + length, file.len() as u64);
    let header = file.get(size_of::<u64>()..data_start as usize);
    let header = header.and_then(|header| serde_json::from_slice::<serde_json::Value>(header).ok());
    let ends = header.as_ref().and_then(|header| header.as_object()).into_iter().flatten();
    let end = ends.filter_map(|(_, tensor)| tensor["data_offsets"][1].as_u64()).max();
    let needed = end.and_then(|end| end.checked_add(data_start)).unwrap_or(data_start);
    if there < needed {
        return format!("not a whole safetensors file: {there} of {needed} bytes are there, its download broke off");
    }
    "not a whole safetensors file".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
    }

    #[test]
    fn a_header_says_where_its_tensors_are() {
        let whole = file(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 8);
        let (start, metadata) = header(&whole).unwrap();
        assert_eq!(start, whole.len() - 8);
        assert_eq!(metadata.info("a").unwrap().shape, [2]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let whole = file(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 8);
        for (bytes, words) in [
            (&whole[..4], "shorter than its header"),
            (&whole[..20], "broke off"),
            (&whole[..whole.len() - 1], "broke off"),
            (&u64::MAX.to_le_bytes(), "allowed are 10485760"),
            (&file("not json", 0), "not a whole safetensors file"),
            (&file(r#"{"a":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,8]}}"#, 8), "not a whole"),
        ] {
            let told = header(bytes).unwrap_err();
            assert!(told.contains(words), "{told}");
        }
    }
}
