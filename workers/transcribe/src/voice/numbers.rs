//! Numbers as they are spoken.

const UNITS: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const SCALES: [(&str, u64); 2] = [("thousand", 1_000), ("million", 1_000_000)];

/// An English number at the beginning of `words`, and how many of them it takes.
pub(super) fn english(words: &[&str]) -> Option<(u64, usize)> {
    let first = words.first()?;
    if first.starts_with(|c: char| c.is_ascii_digit()) {
        return Some((first.replace(',', "").parse().ok()?, 1));
    }
    let digits: Vec<u64> = words.iter().map_while(|word| unit(word).filter(|unit| *unit < 10)).collect();
    if digits.len() > 1 {
        let number = digits.iter().try_fold(0_u64, |all, digit| all.checked_mul(10)?.checked_add(*digit))?;
        return Some((number, digits.len()));
    }
    let (mut total, mut part, mut taken, mut last) = (0_u64, None, 0, u64::MAX);
    while let Some(word) = words.get(taken) {
        let joins = *word == "and" && last >= 100 && taken > 0;
        let small = unit(word).or_else(|| tens(word));
        match (part, small) {
            (None, Some(number)) => (part, last) = (Some(number), number),
            // "forty two", "three hundred five": the next one fits below the last one.
            (Some(sum), Some(number)) if below(last, number) => (part, last) = (Some(sum + number), number),
            (Some(sum), None) if *word == "hundred" && sum < 20 => (part, last) = (Some(sum * 100), 100),
            (Some(sum), None) if scale(word).is_some_and(|_| sum > 0) => {
                let scale = scale(word)?;
                (total, part, last) = (total + sum * scale, Some(0), scale);
            }
            _ if joins && words.get(taken + 1).is_some_and(|next| unit(next).or_else(|| tens(next)).is_some()) => {}
            _ => break,
        }
        taken += 1;
    }
    part.map(|part| (total + part, taken))
}

fn below(last: u64, number: u64) -> bool {
    (last >= 100 && number < 100) || ((20..100).contains(&last) && last.is_multiple_of(10) && (1..10).contains(&number))
}

fn unit(word: &str) -> Option<u64> {
    UNITS.iter().position(|unit| *unit == word).map(|at| at as u64)
}

fn tens(word: &str) -> Option<u64> {
    TENS.iter().position(|ten| *ten == word).map(|at| 20 + 10 * at as u64)
}

fn scale(word: &str) -> Option<u64> {
    SCALES.iter().find(|(name, _)| *name == word).map(|(_, scale)| *scale)
}

/// A Chinese number, or one in digits, that is the whole text.
pub(super) fn chinese(text: &str) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    if text.chars().all(|c| c.is_ascii_digit()) {
        return text.parse().ok();
    }
    let digits: Option<Vec<u64>> = text.chars().map(digit).collect();
    if let Some(digits) = digits {
        return digits.iter().try_fold(0_u64, |all, digit| all.checked_mul(10)?.checked_add(*digit));
    }
    let (mut total, mut part, mut number) = (0_u64, 0_u64, None);
    for c in text.chars() {
        match (digit(c), power(c)) {
            (Some(0), _) => {}
            (Some(digit), _) if number.is_none() => number = Some(digit),
            (None, Some(10_000)) => {
                total += (part + number.take().unwrap_or(0)) * 10_000;
                part = 0;
            }
            (None, Some(power)) => part += number.take().unwrap_or(1) * power,
            _ => return None,
        }
    }
    Some(total + part + number.unwrap_or(0))
}

fn digit(c: char) -> Option<u64> {
    if c == '两' || c == '兩' {
        return Some(2);
    }
    "零一二三四五六七八九"
        .chars()
        .position(|known| known == c)
        .or_else(|| "〇".contains(c).then_some(0))
        .map(|at| at as u64)
}

fn power(c: char) -> Option<u64> {
    [('十', 10), ('百', 100), ('千', 1_000), ('万', 10_000), ('萬', 10_000)]
        .into_iter()
        .find_map(|(known, power)| (known == c).then_some(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_spoken() {
        let read = |text: &str| english(&text.split(' ').collect::<Vec<_>>());
        assert_eq!(read("forty two and four pictures"), Some((42, 2)));
        assert_eq!(read("three hundred and five x"), Some((305, 4)));
        assert_eq!(read("two thousand twenty six"), Some((2026, 4)));
        assert_eq!(read("one two three four"), Some((1234, 4)));
        assert_eq!(read("1,234"), Some((1234, 1)));
        assert_eq!(read("four wide"), Some((4, 1)));
        assert_eq!(read("wide"), None);
        assert_eq!(read("99999999999999999999999"), None);
        assert_eq!(
            ["四十二", "十二", "两", "三百零五", "一千二百三十四", "2026", "一二三四", "三万"].map(chinese),
            [42, 12, 2, 305, 1234, 2026, 1234, 30000].map(Some)
        );
        assert_eq!(["", "猫", "四张", "99999999999999999999999"].map(chinese), [None; 4]);
    }
}
