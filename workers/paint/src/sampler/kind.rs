//! Names of samplers, as the programs that people come from spell them.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};

pub(super) use super::solver::Solver;

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
    /// DPM-Solver++ (2M) of the stochastic equation: fresh noise every step.
    DpmPp2mSde,
    /// The same over the noise levels of Karras et al.
    DpmPp2mSdeKarras,
    /// DPM-Solver++ of the stochastic equation with two model calls a step, as in k-diffusion.
    DpmPpSde,
    /// The same over the noise levels of Karras et al.
    DpmPpSdeKarras,
    /// PNDM without Runge-Kutta start, Liu et al., arXiv:2202.09778: one more model call than steps.
    Plms,
    /// Linear multistep of fourth order, as in k-diffusion.
    Lms,
    /// The same over the noise levels of Karras et al.
    LmsKarras,
    /// Heun's method, Karras et al., arXiv:2206.00364: two model calls a step.
    Heun,
    /// The same over the noise levels of Karras et al.
    HeunKarras,
    /// UniPC, Zhao et al., arXiv:2302.04867: predictor and corrector with one model call a step.
    UniPc,
    /// The same over the noise levels of Karras et al.
    UniPcKarras,
    /// Latent consistency, Luo et al., arXiv:2310.04378, for models distilled to it.
    Lcm,
    /// Trajectory consistency, Zheng et al., arXiv:2402.19159, for models distilled to it.
    Tcd,
}

/// Id, display name, and other spellings; compared by letters, digits and plus signs only.
type Names = (SamplerKind, &'static str, &'static str, &'static [&'static str]);

const NAMES: [Names; 20] = [
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
    (SamplerKind::DpmPp2mSde, "dpm++-2m-sde", "DPM++ 2M SDE", &["dpmpp_2m_sde", "k_dpmpp_2m_sde", "sde-dpmsolver++"]),
    (
        SamplerKind::DpmPp2mSdeKarras,
        "dpm++-2m-sde-karras",
        "DPM++ 2M SDE Karras",
        &["dpmpp_2m_sde_karras", "k_dpmpp_2m_sde_karras"],
    ),
    (SamplerKind::DpmPpSde, "dpm++-sde", "DPM++ SDE", &["DPMSolverSDEScheduler", "dpmpp_sde", "k_dpmpp_sde"]),
    (SamplerKind::DpmPpSdeKarras, "dpm++-sde-karras", "DPM++ SDE Karras", &["dpmpp_sde_karras", "k_dpmpp_sde_karras"]),
    (SamplerKind::Plms, "plms", "PLMS", &["PNDMScheduler", "pndm"]),
    (SamplerKind::Lms, "lms", "LMS", &["LMSDiscreteScheduler", "k_lms", "lms_discrete"]),
    (SamplerKind::LmsKarras, "lms-karras", "LMS Karras", &["k_lms_karras"]),
    (SamplerKind::Heun, "heun", "Heun", &["HeunDiscreteScheduler", "k_heun", "heun_discrete"]),
    (SamplerKind::HeunKarras, "heun-karras", "Heun Karras", &["k_heun_karras"]),
    (SamplerKind::UniPc, "unipc", "UniPC", &["UniPCMultistepScheduler", "uni_pc", "uni_pc_bh2"]),
    (SamplerKind::UniPcKarras, "unipc-karras", "UniPC Karras", &["uni_pc_karras"]),
    (SamplerKind::Lcm, "lcm", "LCM", &["LCMScheduler"]),
    (SamplerKind::Tcd, "tcd", "TCD", &["TCDScheduler"]),
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

    /// The same sampler over the noise levels of Karras et al., where there is one.
    #[must_use]
    pub fn over_karras(self) -> Self {
        let karras = |kind: &Self| kind.solver() == self.solver() && kind.is_karras();
        Self::all().find(karras).unwrap_or(self)
    }

    /// The class of diffusers that walks so.
    pub(crate) fn class(self) -> &'static str {
        self.solver().class()
    }

    pub(super) fn solver(self) -> Solver {
        match self {
            Self::Ddim => Solver::Ddim,
            Self::Euler | Self::EulerKarras => Solver::Euler { ancestral: false },
            Self::EulerAncestral | Self::EulerAncestralKarras => Solver::Euler { ancestral: true },
            Self::DpmPp2m | Self::DpmPp2mKarras => Solver::DpmPp2m { sde: false },
            Self::DpmPp2mSde | Self::DpmPp2mSdeKarras => Solver::DpmPp2m { sde: true },
            Self::DpmPpSde | Self::DpmPpSdeKarras => Solver::DpmPpSde,
            Self::Plms => Solver::Plms,
            Self::Lms | Self::LmsKarras => Solver::Lms,
            Self::Heun | Self::HeunKarras => Solver::Heun,
            Self::UniPc | Self::UniPcKarras => Solver::UniPc,
            Self::Lcm => Solver::Lcm,
            Self::Tcd => Solver::Tcd,
        }
    }

    /// Whether its noise levels are those of Karras et al.
    #[must_use]
    pub fn is_karras(self) -> bool {
        self.id().ends_with("-karras")
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
            ("PNDMScheduler", SamplerKind::Plms),
            ("LMS Karras", SamplerKind::LmsKarras),
            ("k_heun", SamplerKind::Heun),
            ("UniPC", SamplerKind::UniPc),
            ("dpmpp_sde_karras", SamplerKind::DpmPpSdeKarras),
            ("DPM++ 2M SDE Karras", SamplerKind::DpmPp2mSdeKarras),
        ] {
            assert_eq!(name.parse::<SamplerKind>().unwrap(), kind, "{name}");
        }
    }

    #[test]
    fn an_unknown_sampler_is_refused_with_the_list_of_known_ones() {
        for name in ["", "restart", "euler b"] {
            let error = name.parse::<SamplerKind>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("picture.sampler: {name:?} is not allowed; allowed: ddim, euler,")),
                "{error}"
            );
        }
    }
}
