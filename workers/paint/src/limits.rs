//! What a worker agrees to paint.

use std::fmt::Display;

use anyhow::Result;
use shanshui_pipeline::fields::FieldError;

use crate::paint::Request;

/// Bounds of one request; the defaults suit a Stable Diffusion model on one GPU.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Longest side, in pixels.
    pub max_side: usize,
    /// Width times height.
    pub max_pixels: usize,
    /// Denoising steps.
    pub max_steps: usize,
    /// Pictures of one request.
    pub max_count: usize,
    /// Scale of classifier-free guidance.
    pub max_guidance: f64,
    /// Characters of a prompt, and of a negative prompt, once cleaned.
    pub max_prompt_chars: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_side: 2048,
            max_pixels: 1024 * 1024,
            max_steps: 150,
            max_count: 16,
            max_guidance: 30.0,
            max_prompt_chars: 2000,
        }
    }
}

/// Sides are multiples of this, whatever the model's scale.
const SIDE_UNIT: usize = 8;

impl Limits {
    /// Whether a request may be painted.
    ///
    /// # Errors
    /// A [`FieldError`] that names the field as the job spells it, its value and what is allowed.
    pub fn check(&self, request: &Request) -> Result<(), FieldError> {
        let Self { max_steps, max_count, max_guidance, max_pixels, .. } = *self;
        self.check_text("text", &request.prompt, 1)?;
        self.check_text("picture.negative", &request.negative, 0)?;
        self.check_side("picture.width", request.width)?;
        self.check_side("picture.height", request.height)?;
        let (size, pixels) = (format!("{}x{}", request.width, request.height), request.width * request.height);
        ensure(pixels <= max_pixels, "picture.width", size, format!("at most {max_pixels} pixels in all"))?;
        let steps = request.steps;
        ensure((1..=max_steps).contains(&steps), "picture.steps", steps, format!("1 to {max_steps}"))?;
        let count = request.count;
        ensure((1..=max_count).contains(&count), "picture.count", count, format!("1 to {max_count}"))?;
        let guidance = request.guidance;
        let fits = (0.0..=max_guidance).contains(&guidance);
        ensure(fits, "picture.guidance", guidance, format!("0 to {max_guidance}"))
    }

    fn check_text(&self, field: &str, text: &str, least: usize) -> Result<(), FieldError> {
        let (chars, most) = (text.chars().count(), self.max_prompt_chars);
        let allowed = format!("{least} to {most} visible characters");
        ensure((least..=most).contains(&chars), field, format!("{chars} characters"), allowed)
    }

    fn check_side(&self, field: &str, side: usize) -> Result<(), FieldError> {
        let most = self.max_side;
        let fits = (SIDE_UNIT..=most).contains(&side) && side.is_multiple_of(SIDE_UNIT);
        ensure(fits, field, side, format!("multiples of {SIDE_UNIT} from {SIDE_UNIT} to {most}"))
    }
}

fn ensure(fits: bool, field: &str, value: impl Display, allowed: impl Display) -> Result<(), FieldError> {
    if fits { Ok(()) } else { Err(FieldError::new(field, value, allowed)) }
}
