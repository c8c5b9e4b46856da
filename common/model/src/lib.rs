//! What every stage with a model needs: a device to compute on, and the files of its weights.

mod cache;
mod device;
pub mod gpu;
mod header;
mod instead;
mod lock;
mod mapped;
mod origin;

pub use cache::{CachedSnapshot, snapshot};
pub use device::DeviceKind;
pub use header::{MAX_HEADER_BYTES, header};
pub use instead::{instead, instead_at};
pub use lock::{Lock, LockedFile};
pub use mapped::{MappedFile, hash_file, sha256};
pub use origin::Origin;
