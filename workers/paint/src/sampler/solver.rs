//! The classes of diffusers that our solvers stand for, with what each takes where a file is silent.

use crate::diffusers::scheduler::{BetaSchedule, TimestepSpacing};

/// A way to walk; the spacing of the noise levels is apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Solver {
    Ddim,
    Euler { ancestral: bool },
    DpmPp2m { sde: bool },
    DpmPpSde,
    Plms,
    Lms,
    Heun,
    UniPc,
    Lcm,
    Tcd,
}

impl Solver {
    /// The class of diffusers.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Ddim => "DDIMScheduler",
            Self::Euler { ancestral: false } => "EulerDiscreteScheduler",
            Self::Euler { ancestral: true } => "EulerAncestralDiscreteScheduler",
            Self::DpmPp2m { .. } => "DPMSolverMultistepScheduler",
            Self::DpmPpSde => "DPMSolverSDEScheduler",
            Self::Plms => "PNDMScheduler",
            Self::Lms => "LMSDiscreteScheduler",
            Self::Heun => "HeunDiscreteScheduler",
            Self::UniPc => "UniPCMultistepScheduler",
            Self::Lcm => "LCMScheduler",
            Self::Tcd => "TCDScheduler",
        }
    }

    pub(super) fn default_spacing(self) -> TimestepSpacing {
        match self {
            Self::Ddim | Self::Plms | Self::Lcm | Self::Tcd => TimestepSpacing::Leading,
            _ => TimestepSpacing::Linspace,
        }
    }

    /// Beta of the first and last training step, and the curve between.
    pub(super) fn default_betas(self) -> (f64, f64, BetaSchedule) {
        match self {
            Self::Heun | Self::DpmPpSde => (0.00085, 0.012, BetaSchedule::Linear),
            Self::Lcm | Self::Tcd => (0.00085, 0.012, BetaSchedule::ScaledLinear),
            _ => (0.0001, 0.02, BetaSchedule::Linear),
        }
    }

    /// Whether the class knows `rescale_betas_zero_snr`; the others ignore it.
    pub(super) fn rescales(self) -> bool {
        !matches!(self, Self::Plms | Self::Lms | Self::Heun | Self::DpmPpSde)
    }

    /// Whether the class knows `thresholding`; the others ignore it.
    pub(super) fn thresholds(self) -> bool {
        matches!(self, Self::Ddim | Self::DpmPp2m { .. } | Self::UniPc | Self::Lcm)
    }
}
