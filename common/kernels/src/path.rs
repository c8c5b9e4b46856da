//! Which instructions a CPU has, and which are used.

use std::fmt;

#[cfg(target_arch = "x86_64")]
use crate::isa::amx_state;

/// The variable that forces a path.
const VARIABLE: &str = "SHANSHUI_KERNELS";

/// A set of instructions that the kernels are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// AMX beside AVX-512 with VNNI and BF16: Intel since Sapphire Rapids, under Linux.
    Amx,
    /// AVX-512 with VNNI and BF16: AMD since Zen 4, Intel since Cooper Lake and Sapphire Rapids.
    Avx512Bf16,
    /// AVX-512 with VNNI: Intel since Cascade Lake and Ice Lake, AMD since Zen 4.
    Avx512,
    /// AVX2 with AVX-VNNI: Intel's Alder Lake and later.
    AvxVnni,
    /// AVX2 alone. Its product of bytes saturates, so activations have 16 bits here and not 8.
    Avx2,
    /// What the compiler makes of plain Rust.
    Portable,
}

impl Path {
    /// All of them, the quickest first.
    pub const ALL: [Self; 6] = [Self::Amx, Self::Avx512Bf16, Self::Avx512, Self::AvxVnni, Self::Avx2, Self::Portable];

    /// As the environment spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Amx => "amx",
            Self::Avx512Bf16 => "avx512bf16",
            Self::Avx512 => "avx512",
            Self::AvxVnni => "avxvnni",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        }
    }

    /// Whether this CPU has the instructions.
    #[must_use]
    #[cfg(target_arch = "x86_64")]
    pub fn is_available(self) -> bool {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        match self {
            Self::Amx => Self::Avx512Bf16.is_available() && amx_state::is_available(),
            Self::Avx512Bf16 => Self::Avx512.is_available() && is_x86_feature_detected!("avx512bf16"),
            Self::Avx512 => {
                avx2 && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            Self::AvxVnni => avx2 && is_x86_feature_detected!("avxvnni"),
            Self::Avx2 => avx2,
            Self::Portable => true,
        }
    }

    /// Whether this CPU has the instructions.
    #[must_use]
    #[cfg(not(target_arch = "x86_64"))]
    pub fn is_available(self) -> bool {
        self == Self::Portable
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A path was asked for that does not exist, or that this CPU lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathError {
    value: String,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allowed: Vec<&str> = Path::ALL.into_iter().filter(|path| path.is_available()).map(Path::name).collect();
        let value: String = self.value.chars().take(60).flat_map(char::escape_default).collect();
        write!(f, "{VARIABLE}: {value} is not allowed; allowed on this CPU: {}", allowed.join(", "))
    }
}

impl std::error::Error for PathError {}

/// The kernels of one path. There are none for a path that the CPU lacks, which is what makes
/// calling them safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernels {
    path: Path,
}

impl Kernels {
    /// Those of `SHANSHUI_KERNELS`, or the quickest that this CPU has.
    ///
    /// # Errors
    /// The variable names something else than a path that this CPU has.
    pub fn choose() -> Result<Self, PathError> {
        let Some(value) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) else {
            return Ok(Self::quickest());
        };
        let value = value.to_string_lossy().into_owned();
        let wanted = Path::ALL.into_iter().find(|path| path.name() == value);
        wanted.and_then(Self::of).ok_or(PathError { value })
    }

    /// Those of a path, if this CPU has it.
    #[must_use]
    pub fn of(path: Path) -> Option<Self> {
        path.is_available().then_some(Self { path })
    }

    /// Those of all paths that this CPU has, the quickest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Path::ALL.into_iter().filter_map(Self::of)
    }

    /// The instructions that these use.
    #[must_use]
    pub fn path(self) -> Path {
        self.path
    }

    fn quickest() -> Self {
        Self::available().next().unwrap_or(Self { path: Path::Portable })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_rust_runs_everywhere_and_a_refusal_names_what_is_allowed() {
        assert_eq!(Kernels::available().last().map(Kernels::path), Some(Path::Portable));
        let refusal = PathError { value: "sse\n9".to_owned() }.to_string();
        assert!(refusal.starts_with("SHANSHUI_KERNELS: sse\\n9 is not allowed; allowed on this CPU: "), "{refusal}");
        assert!(refusal.ends_with("portable"), "{refusal}");
    }
}
