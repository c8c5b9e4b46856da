// The fold of settings: what a job asks for beyond its words. An empty field asks for nothing, so that
// the model's own recommendation counts; the fields show which that is.
import { $, make, memory, put } from "/page/dom.js";
import { t } from "/page/language.js";

// Languages that are offered by name; Whisper finds out others by itself.
const SPOKEN = ["en", "zh", "es", "fr", "de", "it", "pt", "ru", "ja", "ko", "ar", "hi"];

// Forms of a picture in the model's own size, as the contract names them.
const SHAPES = ["square", "portrait", "landscape", "wide"];
// What the workers paint of a job that says nothing.
const COUNT = "2";

const DEFAULTS = { shape: "", width: "", height: "", count: "", seed: "", steps: "", guidance: "", sampler: "", negative: "", language: "" };

let chosen = { ...DEFAULTS, ...memory.read("settings", {}) };
// What the server allows.
let limits = {};
let samplers = [];

export function serverCan(capabilities) {
  limits = capabilities.limits ?? {};
  samplers = (capabilities.samplers ?? []).map((sampler) => sampler.id ?? sampler);
  draw();
}

export const mostBytes = () => limits.request_bytes;

export function spoken() {
  return chosen.language ? { language: chosen.language } : {};
}

// The job's `picture`: only what was chosen. Seeds stay text (64 bits), see api.js.
export function picture() {
  const [width, height] = chosen.shape === "custom" ? [chosen.width, chosen.height] : [];
  const wanted = { width, height, count: chosen.count, steps: chosen.steps, guidance: chosen.guidance };
  const numbers = Object.entries(wanted).filter(([, value]) => value !== "" && value !== undefined && Number.isFinite(Number(value)));
  return {
    ...Object.fromEntries(numbers.map(([name, value]) => [name, Number(value)])),
    ...(SHAPES.includes(chosen.shape) ? { shape: chosen.shape } : {}),
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
  // What was chosen before stays, also where this server does not offer it: it says so itself.
  const known = options.some(([value]) => value === chosen[name]) ? options : [...options, [chosen[name], chosen[name]]];
  const list = make("select", { onchange: (event) => choose(name, event.target.value) },
    known.map(([value, label]) => make("option", { value }, label)));
  list.value = chosen[name];
  return list;
}

function number(name, { least: min, most: max }, step) {
  const input = make("input", { type: "number", inputmode: "decimal", min, max, step, placeholder: t("modelsOwn"),
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
  const most = Math.min(4, limits.count?.most ?? 4);
  const options = Array.from({ length: most }, (_, i) => String(i + 1)).map((value) => {
    const radio = make("input", { type: "radio", name: "count", value, onchange: () => choose("count", value) });
    radio.checked = (chosen.count || COUNT) === value;
    return make("label", {}, radio, make("span", {}, value));
  });
  return make("fieldset", { class: "count" }, make("legend", {}, t("set.count")), make("div", {}, options));
}

function customSize() {
  const sides = limits.side ?? { least: 8, most: 2048 };
  const fields = ["width", "height"].map((name) => field(name, number(name, sides, sides.multiple_of ?? 8)));
  for (const one of fields) one.hidden = chosen.shape !== "custom";
  return fields;
}

export function draw() {
  const named = (name) => [name, t(`shape.${name}`)];
  const sizes = customSize();
  const shape = select("shape", [["", t("modelsOwn")], ...SHAPES.map(named), ["custom", t("shape.custom")]]);
  shape.addEventListener("change", () => sizes.forEach((one) => (one.hidden = shape.value !== "custom")));
  const spokenIn = SPOKEN.map((code) => [code, new Intl.DisplayNames([document.documentElement.lang], { type: "language" }).of(code)]);
  const negative = make("input", { type: "text", maxlength: 2000, autocomplete: "off", placeholder: t("negativeHint"), oninput: (event) => choose("negative", event.target.value) });
  negative.value = chosen.negative;
  const sampler = [["", t("modelsOwn")], ...samplers.map((name) => [name, name])];
  $("fields").replaceChildren(
    field("shape", shape), ...sizes, countField(), field("seed", seedField()), field("sampler", select("sampler", sampler)),
    field("steps", number("steps", limits.steps ?? { least: 1, most: 150 }, 1)),
    field("guidance", number("guidance", limits.guidance ?? { least: 0, most: 50 }, "any")),
    field("language", select("language", [["", t("findOut")], ...spokenIn])),
    field("negative", negative, true),
    make("p", { class: "all" }, make("button", { type: "button", class: "quiet", onclick: reset }, t("reset"))));
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
  const { shape, width, height, count = Number(COUNT), seed, sampler, steps } = picture();
  const parts = [shape && t(`shape.${shape}`), width && height && `${width} × ${height}`, t(count === 1 ? "picturesOne" : "pictures", { number: count }), seed && `${t("set.seed")} ${seed}`, sampler, steps && t("steps", { number: steps })];
  put($("chosen"), parts.filter(Boolean).join(" · "));
}
