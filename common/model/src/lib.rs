//! What every stage with a model needs: a device to compute on, and the files of its weights.

mod device;
mod header;
mod instead;
mod mapped;

pub use device::DeviceKind;
pub use header::{MAX_HEADER_BYTES, header};
pub use instead::{instead, instead_at};
pub use mapped::{MappedFile, sha256};
