//! Forms of a picture in the size that its model paints best.

/// Width and height of the form `name` for a model whose own are `best`; no form leaves them.
///
/// Sides are in eighths of the model's own. None has more pixels than the square, and both stay multiples
/// of what the UNet halves three times.
pub fn sides(name: Option<&str>, best: (usize, usize)) -> (usize, usize) {
    let (width, height) = match name {
        Some("square") => (8, 8),
        Some("portrait") => (6, 9),
        Some("landscape") => (9, 6),
        Some("wide") => (10, 6),
        // The contract knows no other.
        _ => return best,
    };
    (best.0 * width / 64 * 8, best.1 * height / 64 * 8)
}

#[cfg(test)]
mod tests {
    use super::sides;

    #[test]
    fn a_shape_follows_the_model_and_has_no_more_pixels_than_its_square() {
        let of = |name: &str, side: usize| sides(Some(name), (side, side));
        assert_eq!((of("portrait", 512), of("wide", 512)), ((384, 576), (640, 384)));
        assert_eq!((of("landscape", 1024), of("wide", 128)), ((1152, 768), (160, 96)));
        assert_eq!(sides(None, (768, 512)), (768, 512));
    }
}
