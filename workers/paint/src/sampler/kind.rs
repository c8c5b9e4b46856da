//! Names of samplers, as the programs that people come from spell them.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};

/// A sampler, with the spacing of its noise levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SamplerKind {
    /// Song et al., arXiv:2010.02502, with eta 0: deterministic.
    Ddim,
    /// Euler's method in the noise level, Karras et al., arXiv:2206.00364.
    Euler,
    /// Euler's method over the noise levels of Karras et al. (rho 7).
    EulerKarras,
    /// Euler's method that goes a little too far and adds fresh noise, every step.
    EulerAncestral,
    /// The same over the noise levels of Karras et al.
    EulerAncestralKarras,
    /// DPM-Solver++ (2M), Lu et al., arXiv:2211.01095: second order, one model call a step.
    DpmPp2m,
    /// DPM-Solver++ (2M) over the noise levels of Karras et al.
    DpmPp2mKarras,
}

/// The three solvers; the spacing of the noise levels is apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Solver {
    Ddim,
    Euler { ancestral: bool },
    DpmPp2m,
}

/// Id, display name, and other spellings; compared by letters, digits and plus signs only.
type Names = (SamplerKind, &'static str, &'static str, &'static [&'static str]);

const NAMES: [Names; 7] = [
    (SamplerKind::Ddim, "ddim", "DDIM", &["DDIMScheduler"]),
    (SamplerKind::Euler, "euler", "Euler", &["EulerDiscreteScheduler", "k_euler", "euler_discrete"]),
    (SamplerKind::EulerKarras, "euler-karras", "Euler Karras", &["k_euler_karras"]),
    (
        SamplerKind::EulerAncestral,
        "euler-a",
        "Euler a",
        &["EulerAncestralDiscreteScheduler", "k_euler_a", "euler_ancestral", "euler_ancestral_discrete"],
    ),
    (SamplerKind::EulerAncestralKarras, "euler-a-karras", "Euler a Karras", &["euler_ancestral_karras"]),
    (
        SamplerKind::DpmPp2m,
        "dpm++-2m",
        "DPM++ 2M",
        &["DPMSolverMultistepScheduler", "dpmpp_2m", "k_dpmpp_2m", "dpmsolver++", "dpm_multistep"],
    ),
    (SamplerKind::DpmPp2mKarras, "dpm++-2m-karras", "DPM++ 2M Karras", &["dpmpp_2m_karras", "k_dpmpp_2m_karras"]),
];

impl SamplerKind {
    /// Every sampler.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|names| names.0)
    }

    /// The name in job descriptions: lower case, no spaces.
    #[must_use]
    pub fn id(self) -> &'static str {
        self.names().1
    }

    /// The name in picture metadata, as the AUTOMATIC1111 web UI writes it.
    #[must_use]
    pub fn display_name(self) -> &'static str {
        self.names().2
    }

    pub(super) fn solver(self) -> Solver {
        match self {
            Self::Ddim => Solver::Ddim,
            Self::Euler | Self::EulerKarras => Solver::Euler { ancestral: false },
            Self::EulerAncestral | Self::EulerAncestralKarras => Solver::Euler { ancestral: true },
            Self::DpmPp2m | Self::DpmPp2mKarras => Solver::DpmPp2m,
        }
    }

    pub(super) fn is_karras(self) -> bool {
        matches!(self, Self::EulerKarras | Self::EulerAncestralKarras | Self::DpmPp2mKarras)
    }

    fn names(self) -> &'static Names {
        // The table has a row for each variant, which a test holds; the first row is never the answer.
        NAMES.iter().find(|names| names.0 == self).unwrap_or(&NAMES[0])
    }
}

impl fmt::Display for SamplerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.display_name())
    }
}

impl FromStr for SamplerKind {
    type Err = anyhow::Error;

    /// Reads an id, a display name, a diffusers class name or a common alias, in any case.
    fn from_str(name: &str) -> Result<Self> {
        let wanted = letters(name);
        let found = NAMES.iter().find(|(_, id, display, aliases)| {
            letters(id) == wanted || letters(display) == wanted || aliases.iter().any(|alias| letters(alias) == wanted)
        });
        if let Some(names) = found {
            return Ok(names.0);
        }
        let allowed: Vec<_> = NAMES.iter().map(|names| names.1).collect();
        let name: String = name.chars().take(64).collect();
        bail!("picture.sampler: {name:?} is not allowed; allowed: {}", allowed.join(", "))
    }
}

fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric() || *c == '+').flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sampler_is_read_back_from_its_id_and_its_display_name() {
        for kind in SamplerKind::all() {
            assert_eq!(kind.id().parse::<SamplerKind>().unwrap(), kind);
            assert_eq!(kind.display_name().parse::<SamplerKind>().unwrap(), kind);
        }
        assert_eq!(SamplerKind::DpmPp2mKarras.display_name(), "DPM++ 2M Karras");
        assert_eq!(SamplerKind::EulerAncestral.id(), "euler-a");
    }

    #[test]
    fn spellings_of_other_programs_are_understood() {
        for (name, kind) in [
            ("EulerAncestralDiscreteScheduler", SamplerKind::EulerAncestral),
            ("euler a", SamplerKind::EulerAncestral),
            ("EULER_ANCESTRAL", SamplerKind::EulerAncestral),
            ("k_euler", SamplerKind::Euler),
            ("DPMSolverMultistepScheduler", SamplerKind::DpmPp2m),
            ("dpmpp_2m_karras", SamplerKind::DpmPp2mKarras),
            ("DDIMScheduler", SamplerKind::Ddim),
        ] {
            assert_eq!(name.parse::<SamplerKind>().unwrap(), kind, "{name}");
        }
    }

    #[test]
    fn an_unknown_sampler_is_refused_with_the_list_of_known_ones() {
        for name in ["", "plms", "euler b"] {
            let error = name.parse::<SamplerKind>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("picture.sampler: {name:?} is not allowed; allowed: ddim, euler,")),
                "{error}"
            );
        }
    }
}
