//! Adaptations that a prompt names, and markup that is read as plain text.

/// The prompt without its `<lora:name:weight>`, and those by name and weight.
#[must_use]
pub fn take_loras(prompt: &str) -> (String, Vec<(String, f64)>) {
    let (mut text, mut loras, mut rest) = (String::with_capacity(prompt.len()), Vec::new(), prompt);
    while let Some((before, name, weight, after)) = next_lora(rest) {
        text.push_str(before);
        loras.push((name.to_owned(), weight));
        rest = after;
    }
    text.push_str(rest);
    (text.trim().to_owned(), loras)
}

/// Text before, name, weight and text behind the first tag. A second number, for the UNet alone in the web
/// UI, counts where it is the same as the first.
fn next_lora(text: &str) -> Option<(&str, &str, f64, &str)> {
    for (start, _) in text.match_indices("<lora:") {
        let inner = &text[start + "<lora:".len()..];
        let Some(end) = inner.find('>') else { break };
        let mut parts = inner[..end].split(':');
        let name = parts.next().unwrap_or_default().trim();
        let weights: Option<Vec<f64>> = parts.map(|part| part.trim().parse().ok()).collect();
        let weights = weights.unwrap_or_else(|| vec![f64::NAN]);
        let same = weights.iter().all(|weight| *weight == weights[0] && weight.is_finite());
        if !name.is_empty() && same && weights.len() <= 2 {
            return Some((&text[..start], name, weights.first().copied().unwrap_or(1.0), &inner[end + 1..]));
        }
    }
    None
}

/// Longest piece of markup that is quoted, and most pieces.
const QUOTED: usize = 40;
const MOST: usize = 8;

/// Markup of the web UI in a prompt that is read as plain text, so that a receipt can say so.
#[must_use]
pub fn plain_markup(prompt: &str) -> Vec<String> {
    let tags =
        between(prompt, '<', '>').filter(|inner| inner.contains(':') && !inner.contains(' ')).map(|i| format!("<{i}>"));
    let weights = between(prompt, '(', ')').filter(|inner| weighted(inner)).map(|inner| format!("({inner})"));
    let breaks = prompt.split_whitespace().filter(|word| *word == "BREAK").map(str::to_owned);
    tags.chain(weights).chain(breaks).take(MOST).collect()
}

/// Markup of the web UI that is not read even where its syntax is asked for: prompts that change on the way,
/// and prompts that are painted apart.
#[must_use]
pub fn unread_markup(prompt: &str) -> Vec<String> {
    let editing = |inner: &&str| inner.contains('|') || inner.matches(':').count() >= 2;
    let edited = between(prompt, '[', ']').filter(editing).map(|inner| format!("[{inner}]"));
    let apart = prompt.split_whitespace().filter(|word| *word == "AND").map(str::to_owned);
    let tags =
        between(prompt, '<', '>').filter(|inner| inner.contains(':') && !inner.contains(' ')).map(|i| format!("<{i}>"));
    edited.chain(apart).chain(tags).take(MOST).collect()
}

fn weighted(inner: &str) -> bool {
    inner.rsplit_once(':').is_some_and(|(_, number)| number.trim().parse::<f64>().is_ok())
}

/// Short texts between two brackets, without such brackets inside.
fn between(text: &str, open: char, close: char) -> impl Iterator<Item = &str> {
    text.split(open).skip(1).filter_map(move |rest| {
        let inner = &rest[..rest.find(close)?];
        (inner.chars().count() <= QUOTED && !inner.is_empty()).then_some(inner)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adaptations_are_taken_out_with_their_weights() {
        let (text, loras) = take_loras("<lora:a b:0.5> a cat <lora:detail> on <lora:x:1:1>a hill <lora:y:1:2> <lora:");
        assert_eq!(text, "a cat  on a hill <lora:y:1:2> <lora:");
        let wanted = [("a b", 0.5), ("detail", 1.0), ("x", 1.0)].map(|(name, weight)| (name.to_owned(), weight));
        assert_eq!(loras, wanted);
        assert_eq!(take_loras("<lora:x:NaN><lora::1>").1, []);
    }

    #[test]
    fn markup_in_plain_text_is_named() {
        let found = plain_markup("a cat <lora:detail:0.8>, (very (red):1.3) (so it is) BREAK 3 < 4 > 2 :) [a|b]");
        assert_eq!(found, ["<lora:detail:0.8>", "BREAK"]);
        assert_eq!(plain_markup("a (red:1.3) cat"), ["(red:1.3)"]);
        assert!(plain_markup("He said (at 10:30, he thinks): <hello world>").is_empty());
        assert_eq!(
            unread_markup("[cat:dog:0.5] AND [a|b] [far] <hypernet:x:1>"),
            ["[cat:dog:0.5]", "[a|b]", "AND", "<hypernet:x:1>"]
        );
    }
}
