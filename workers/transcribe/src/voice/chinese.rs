//! How wishes are said in Chinese.

use super::{Grammar, Order, Wish, numbers};

pub(super) const GRAMMAR: Grammar = Grammar { clause, order, tail: |_| None, comma: "，" };

const SHAPES: [(&str, &str); 14] = [
    ("竖版", "portrait"),
    ("豎版", "portrait"),
    ("竖图", "portrait"),
    ("竖幅", "portrait"),
    ("竖构图", "portrait"),
    ("横版", "landscape"),
    ("橫版", "landscape"),
    ("横图", "landscape"),
    ("横构图", "landscape"),
    ("宽幅", "wide"),
    ("寬幅", "wide"),
    ("宽屏", "wide"),
    ("正方形", "square"),
    ("方形", "square"),
];
const STYLES: [&str; 13] =
    ["水墨画", "水墨畫", "水墨", "中国画", "国画", "油画", "油畫", "水彩画", "水彩", "素描", "版画", "照片", "漫画"];
/// What a picture can do without.
const THINGS: [&str; 14] =
    ["人物", "人", "文字", "字", "动物", "汽车", "车", "房子", "建筑", "云", "树", "鸟", "水印", "边框"];
const MEASURES: [&str; 3] = ["张", "張", "幅"];
const PICTURES: [&str; 7] = ["", "图", "图片", "图画", "画", "照片", "作品"];
/// Words before a wish that change nothing.
const STARTS: [&str; 12] = ["请", "請", "给我", "帮我", "要", "用", "以", "来", "做成", "画成", "画", "畫"];
const ENDS: [&str; 10] = ["吧", "的", "风格", "風格", "画风", "构图", "格式", "画面", "效果", "图"];

fn clause(text: &str) -> Option<Vec<Wish>> {
    let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let body = strip(&plain, &STARTS);
    let wish = without(&plain).or_else(|| seed(body)).or_else(|| count(body)).or_else(|| shape(body));
    wish.or_else(|| styled(body)).map(|wish| vec![wish])
}

/// Takes words off the beginning as long as there are any.
fn strip<'a>(mut text: &'a str, known: &[&str]) -> &'a str {
    while let Some(rest) = known.iter().find_map(|start| text.strip_prefix(start)) {
        text = rest;
    }
    text
}

/// 竖版, 用宽幅构图
fn shape(text: &str) -> Option<Wish> {
    let found = SHAPES.iter().find_map(|(word, shape)| Some((text.strip_prefix(word)?, shape)));
    found.filter(|(rest, _)| ends(rest)).map(|(_, shape)| Wish::Shape(shape))
}

/// 水墨画, 用油画风格
fn styled(text: &str) -> Option<Wish> {
    let style = STYLES.into_iter().find(|style| text.strip_prefix(style).is_some_and(ends))?;
    Some(Wish::Style(style.to_owned()))
}

fn ends(mut rest: &str) -> bool {
    while let Some(before) = ENDS.iter().find_map(|end| rest.strip_suffix(end)) {
        rest = before;
    }
    rest.is_empty()
}

/// 四张, 画四幅画
fn count(text: &str) -> Option<Wish> {
    let (number, measure) = MEASURES.iter().find_map(|measure| Some((text.find(measure)?, measure)))?;
    let rest = &text[number + measure.len()..];
    PICTURES.contains(&rest.trim_end_matches('吧')).then_some(())?;
    number_of(&text[..number])
}

fn number_of(text: &str) -> Option<Wish> {
    let count = u32::try_from(numbers::chinese(text)?).ok();
    count.filter(|count| (1..=64).contains(count)).map(Wish::Count)
}

/// 不要人, 别画人物. 没有人 may be what is to be painted.
fn without(text: &str) -> Option<Wish> {
    let text = strip(text, &["请", "請"]);
    let rest = ["不要有", "不要画", "不要", "别画"].iter().find_map(|start| text.strip_prefix(start))?;
    THINGS.contains(&rest).then(|| Wish::Without(rest.to_owned()))
}

/// 种子四十二
fn seed(text: &str) -> Option<Wish> {
    let rest = text.strip_prefix("种子").or_else(|| text.strip_prefix("種子"))?;
    numbers::chinese(strip(rest, &["号码", "号", "數", "数", "是", "为"])).map(Wish::Seed)
}

/// 画四张猫在屋顶上的图: the measure word, then what they show. 画四张桌子 are four tables in one.
fn order(text: &str) -> Option<Order> {
    let body = strip(text, &["请", "請", "给我", "帮我"]);
    let rest = ["画", "畫"].iter().find_map(|verb| body.strip_prefix(verb))?;
    ["的图", "的画", "的图片", "的照片", "的圖", "的畫"]
        .iter()
        .any(|end| rest.trim_end().ends_with(end))
        .then_some(())?;
    let (at, measure) = MEASURES.iter().filter_map(|measure| Some((rest.find(measure)?, measure))).min()?;
    let wish = number_of(&rest[..at])?;
    let taken = text.len() - rest.len() + at + measure.len();
    Some((vec![wish], taken))
}
