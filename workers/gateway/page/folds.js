// What lies folded under a job: the same job as a command, and the receipt of how it was made.
import { make } from "/page/dom.js";
import { format, job as fetchJob } from "/page/api.js";
import { commands } from "/page/commands.js";
import { t } from "/page/language.js";
import { announce } from "/page/status.js";

function fold(title, fill) {
  const body = make("div", { class: "fold-body" });
  const element = make("details", { class: "fold" }, make("summary", {}, title), body);
  element.addEventListener("toggle", () => element.open && fill(body));
  return { element };
}

export const commandsFold = (job) => fold(t("copyAs"), (body) => {
  body.replaceChildren(...commands(job()).map(([name, text]) => command(name, text)));
});

function command(name, text) {
  const copy = make("button", { type: "button", class: "quiet", "aria-label": t("copyName", { name }) }, t("copy"));
  const code = make("pre", { tabindex: "0", "aria-label": name }, text);
  copy.addEventListener("click", async () => {
    const done = await copied(text, code);
    copy.textContent = t(done ? "copied" : "copyByHand");
    announce(copy.textContent);
    setTimeout(() => (copy.textContent = t("copy")), 2000);
  });
  return make("div", { class: "command" }, make("p", {}, make("span", {}, name), copy), code);
}

// On plain http there is no clipboard: the text is selected, and the keyboard does the rest.
async function copied(text, code) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(code);
    return false;
  }
}

export const receiptFold = (job) => fold(t("receipt"), async (body) => {
  if (body.firstChild) return;
  body.append(make("p", { class: "empty" }, t("loading")));
  try {
    const said = await fetchJob(job().id);
    body.replaceChildren(...stages(said).map(stage), whole(said));
  } catch (error) {
    body.replaceChildren(make("p", { class: "empty" }, t("noReceipt", { reason: error.message })));
  }
});

// The receipt has what each stage made and how; the document beside it how long the job waited for it.
function stages({ stages, receipt }) {
  return stages.map(({ stage, wait_seconds: waited }) => ({ stage, waited, ...receipt?.stages?.[stage] }));
}

// What people ask first; the rest is in the JSON below.
const FACTS = ["model", "language", "task", "sampler", "steps", "guidance", "seed", "width", "height", "negative", "device", "dtype", "waited", "seconds", "code"];

function stage(made) {
  const all = { ...made, ...made.recipe };
  const facts = FACTS.filter((name) => all[name] !== undefined && all[name] !== null && all[name] !== "");
  const rows = facts.flatMap((name) => [make("dt", {}, t(`fact.${name}`)), make("dd", {}, value(name, all[name]))]);
  return make("section", { class: "made" }, make("h3", {}, t(`stage.${made.stage}`).replace(/^stage\./, "")), make("dl", {}, rows));
}

function value(name, given) {
  if (name === "seconds" || name === "waited") return `${Number(given).toFixed(1)} s`;
  if (name === "model") return given.name ?? String(given);
  return typeof given === "object" ? JSON.stringify(given) : String(given);
}

const whole = (said) => make("details", { class: "fold inner" }, make("summary", {}, "JSON"), make("pre", { tabindex: "0", "aria-label": "JSON" }, format(said, 2)));
