// The ways to a job without a microphone: write, choose a file, drop one.
import { $, make, show } from "/page/dom.js";
import { isChinese, t } from "/page/language.js";
import { mostBytes } from "/page/settings.js";
import { clear, notice } from "/page/status.js";

// What the small model knows well. The texts are English on a Chinese page, too: not every picture model
// reads Chinese, and a text is painted as it is written.
const EXAMPLES = [
  { shown: ["moonlit mountains", "月下山水"], text: "high mountains and a river under a full moon" },
  { shown: ["an ink waterfall", "水墨瀑布"], text: "a shan shui painting of a waterfall" },
  { shown: ["a sail at sunset", "落日孤帆"], text: "a sailboat on the sea at sunset" },
];

export function examples() {
  const buttons = EXAMPLES.map(({ shown, text }) =>
    make("button", { type: "button", class: "example", onclick: () => fill(text) }, shown[isChinese() ? 1 : 0]));
  $("examples").replaceChildren(make("span", {}, t("try")), ...buttons);
}

function fill(text) {
  $("words").value = text;
  grow();
  $("words").focus();
}

// As tall as what is written, where the style sheet cannot do it (field-sizing).
function grow() {
  const field = $("words");
  if (CSS.supports("field-sizing", "content")) return;
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
}

const isSound = (file) => /^(audio|video)\//.test(file.type) || /\.(wav|mp3|m4a|aac|ogg|oga|opus|flac|webm|mp4|mka|amr|aiff?|caf)$/i.test(file.name);

function given(file, act) {
  if (!file) return;
  clear();
  if (!isSound(file)) return notice(t("notSound", { name: file.name }));
  const most = mostBytes();
  if (most && file.size > most) return notice(t("tooLargeFile", { name: file.name, size: Math.floor(most / 1_000_000) }));
  act.file(file);
}

// act.write(text), act.file(file)
export function compose(act) {
  const form = $("compose");
  const field = $("words");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) return field.focus();
    clear();
    return act.write(text);
  });
  field.addEventListener("input", grow);
  field.addEventListener("keydown", (event) => {
    // Enter sends, Shift and Enter make a line; while a Chinese word is being composed it is the word's.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  $("file").addEventListener("change", (event) => {
    given(event.target.files[0], act);
    event.target.value = "";
  });
  dropping(act);
  examples();
}

// The whole page takes files, so that nobody has to aim; and a file beside it does not leave the page.
function dropping(act) {
  let inside = 0;
  const files = (event) => event.dataTransfer?.types.includes("Files");
  const on = (kind, action) => addEventListener(kind, (event) => files(event) && (event.preventDefault(), action(event)));
  on("dragenter", () => show($("drop"), (inside += 1) > 0));
  on("dragover", (event) => (event.dataTransfer.dropEffect = "copy"));
  on("dragleave", () => show($("drop"), (inside -= 1) > 0));
  on("drop", (event) => {
    inside = 0;
    show($("drop"), false);
    given(event.dataTransfer.files[0], act);
  });
}
