// The fold of settings: what a job asks for beyond its words. An empty field asks for nothing, so that
// the model's own recommendation counts; the fields show which that is.
import { $, make, memory, put } from "/page/dom.js";
import { t } from "/page/language.js";

// Languages that are offered by name; Whisper finds out others by itself.
const SPOKEN = ["en", "zh", "es", "fr", "de", "it", "pt", "ru", "ja", "ko", "ar", "hi"];

const DEFAULTS = { shape: "", width: "", height: "", count: "2", seed: "", steps: "", guidance: "", sampler: "", negative: "", language: "" };

let chosen = { ...DEFAULTS, ...memory.read("settings", {}) };
let facts = { width: 512, height: 512, samplers: [], limits: {} };

// What the server says it can do; the names differ between a pool's facts and the whole.
export function serverCan(capabilities) {
  const paint = (capabilities.stages ?? []).find?.((stage) => (stage.stage ?? stage.name) === "paint") ?? {};
  const pool = paint.pools?.[0] ?? {};
  const pick = (name) => pool[name] ?? pool.model?.[name] ?? paint[name] ?? capabilities.picture?.[name] ?? capabilities[name];
  const samplers = pick("samplers") ?? [];
  facts = {
    width: pick("width"), height: pick("height"), steps: pick("steps"), guidance: pick("guidance"), sampler: pick("sampler"),
    languages: pick("languages"), limits: capabilities.limits ?? {},
    samplers: samplers.map((sampler) => sampler.name ?? sampler),
  };
  draw();
}

export const limits = () => facts.limits;
export const languages = () => facts.languages;

const round = (pixels) => Math.max(8, Math.round(pixels / 8) * 8);

// The side that the model was trained on, and one and a half of it for portrait and wide.
function shapes() {
  const side = facts.width ?? 512;
  const long = round(side * 1.5);
  return { square: [side, side], portrait: [side, long], wide: [long, side] };
}

export function spoken() {
  return chosen.language ? { language: chosen.language } : {};
}

// The job's `picture`: only what was chosen. Seeds stay text (64 bits), see api.js.
export function picture() {
  const [width, height] = chosen.shape === "custom" ? [chosen.width, chosen.height] : (shapes()[chosen.shape] ?? []);
  const wanted = { width, height, count: chosen.count, steps: chosen.steps, guidance: chosen.guidance };
  const numbers = Object.entries(wanted).filter(([, value]) => value !== "" && value !== undefined && Number.isFinite(Number(value)));
  return {
    ...Object.fromEntries(numbers.map(([name, value]) => [name, Number(value)])),
    ...(chosen.seed ? { seed: chosen.seed } : {}),
    ...(chosen.sampler ? { sampler: chosen.sampler } : {}),
    ...(chosen.negative.trim() ? { negative: chosen.negative.trim() } : {}),
  };
}

function choose(name, value) {
  chosen = { ...chosen, [name]: value };
  memory.write("settings", chosen);
  summary();
}

function field(name, control, wide) {
  control.id = `set-${name}`;
  return make("p", { class: wide ? "wide" : null }, make("label", { for: control.id }, t(`set.${name}`)), control);
}

function select(name, options) {
  const known = options.some(([value]) => value === chosen[name]) ? options : [...options, [chosen[name], chosen[name]]];
  const list = make("select", { onchange: (event) => choose(name, event.target.value) },
    known.map(([value, label]) => make("option", { value }, label)));
  list.value = chosen[name];
  return list;
}

function number(name, { min, max, step, hint }) {
  const input = make("input", { type: "number", inputmode: "decimal", min, max, step, placeholder: hint === undefined ? t("modelsOwn") : String(hint),
    oninput: (event) => event.target.validity.valid && choose(name, event.target.value) });
  input.value = chosen[name];
  return input;
}

function seedField() {
  const input = make("input", { type: "text", inputmode: "numeric", pattern: "[0-9]{1,20}", autocomplete: "off", placeholder: t("newEachTime"),
    oninput: (event) => event.target.validity.valid && choose("seed", event.target.value.trim()) });
  input.value = chosen.seed;
  return input;
}

function countField() {
  const most = Math.min(4, facts.limits.count ?? facts.limits.pictures ?? 4);
  const options = Array.from({ length: most }, (_, i) => String(i + 1)).map((value) => {
    const radio = make("input", { type: "radio", name: "count", value, onchange: () => choose("count", value) });
    radio.checked = chosen.count === value;
    return make("label", {}, radio, make("span", {}, value));
  });
  return make("fieldset", { class: "count" }, make("legend", {}, t("set.count")), make("div", {}, options));
}

function customSize() {
  const side = { min: 8, max: facts.limits.side ?? 2048, step: 8 };
  const fields = [field("width", number("width", { ...side, hint: facts.width })), field("height", number("height", { ...side, hint: facts.height }))];
  for (const one of fields) one.hidden = chosen.shape !== "custom";
  return fields;
}

export function draw() {
  const sized = (name) => [name, `${t(`shape.${name}`)} · ${shapes()[name].join(" × ")}`];
  const sizes = customSize();
  const shape = select("shape", [["", t("modelsOwn")], sized("square"), sized("portrait"), sized("wide"), ["custom", t("shape.custom")]]);
  shape.addEventListener("change", () => sizes.forEach((one) => (one.hidden = shape.value !== "custom")));
  const spokenIn = SPOKEN.map((code) => [code, new Intl.DisplayNames([document.documentElement.lang], { type: "language" }).of(code)]);
  const negative = make("input", { type: "text", maxlength: 2000, autocomplete: "off", placeholder: t("negativeHint"), oninput: (event) => choose("negative", event.target.value) });
  negative.value = chosen.negative;
  const samplers = facts.samplers.map((name) => [name, name]);
  const sampler = [["", facts.sampler ? `${t("modelsOwn")} · ${facts.sampler}` : t("modelsOwn")], ...samplers];
  $("fields").replaceChildren(
    field("shape", shape), ...sizes, countField(), field("seed", seedField()), field("sampler", select("sampler", sampler)),
    field("steps", number("steps", { min: 1, max: facts.limits.steps ?? 150, step: 1, hint: facts.steps })),
    field("guidance", number("guidance", { min: 0, max: 50, step: "any", hint: facts.guidance })),
    field("language", select("language", [["", t("findOut")], ...spokenIn])),
    field("negative", negative, true),
    make("p", { class: "wide" }, make("button", { type: "button", class: "quiet", onclick: reset }, t("reset"))));
  summary();
}

function reset() {
  chosen = { ...DEFAULTS };
  memory.write("settings", chosen);
  draw();
  $("set-shape").focus();
}

// What differs from the model's wishes, beside the closed fold.
function summary() {
  const { width, height, count, seed, sampler, steps } = picture();
  const parts = [width && height && `${width} × ${height}`, t(count === 1 ? "picturesOne" : "pictures", { number: count }), seed && `${t("set.seed")} ${seed}`, sampler, steps && t("steps", { number: steps })];
  put($("chosen"), parts.filter(Boolean).join(" · "));
}
