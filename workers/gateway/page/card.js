// The open job: its words, how far it is, its pictures, and what can be done with it.
import { make, put, show } from "/page/dom.js";
import { commandsFold, receiptFold } from "/page/folds.js";
import { Frame } from "/page/frame.js";
import { ENDED, heardSoFar, painted, part } from "/page/job.js";
import { about, count, hour, known, t } from "/page/language.js";

// What the job does now, in one sentence.
export function sentence(job) {
  if (job.canceling && !ENDED.has(job.state)) return t("canceling");
  if (job.state === "queued") return waiting(job);
  if (job.state === "working") return working(job);
  if (job.state === "done") return job.took === undefined ? t("done") : t("doneIn", { time: about(job.took) });
  if (job.state === "failed") return t(known(`code.${job.code}`) ? `code.${job.code}` : "code.failed");
  return t(`state.${job.state}`);
}

function waiting(job) {
  if (job.note) return t("waitsAgain");
  if (job.workers === 0) return t(job.stage === "transcribe" ? "noListener" : "noPainter");
  if (job.place === undefined) return t("queued");
  const before = job.place === 0 ? t("next") : count("before", job.place);
  return job.seconds ? `${before} · ${about(job.seconds)}` : before;
}

function working(job) {
  if (job.stage === "transcribe") return job.eta > 1.5 ? `${t("listening")} · ${about(job.eta)}` : t("listening");
  const done = part(job);
  if (done === undefined) return t("painting");
  // Not "step 5 of 18": the units count decoding, too.
  const percent = t("paintingPart", { part: Math.round(100 * done) });
  return job.eta > 1.5 ? `${percent} · ${about(job.eta)}` : percent;
}

export class Card {
  #job;
  #act;

  constructor(job, act) {
    this.#job = job;
    this.#act = act;
    this.frame = new Frame();
    this.kind = make("p", { class: "kind" });
    this.words = make("blockquote", { class: "words", id: "heard" });
    this.remark = make("p", { class: "remark" });
    this.read = make("p", { class: "remark read" });
    this.readWords = make("span", {});
    this.state = make("p", { class: "state" });
    this.bar = make("progress", { class: "bar", max: "1", "aria-label": t("progress") });
    this.reason = make("p", { class: "reason" });
    this.actions = make("div", { class: "actions" });
    this.commands = commandsFold(() => this.#job);
    this.receipt = receiptFold(() => this.#job);
    const colophon = make("div", { class: "colophon" }, this.kind, this.words, this.read, this.remark, this.state, this.bar, this.reason, this.actions, this.commands.element, this.receipt.element);
    this.element = make("article", { class: "work", tabindex: "-1", data: { job: job.id ?? "" } }, make("h2", { class: "unseen" }, t("work")), this.frame.element, colophon);
    this.#buttons();
    this.update(job);
  }

  #buttons() {
    const button = (name, act, look = "quiet") => make("button", { type: "button", class: look, data: { act: name }, onclick: () => act(this.#job) }, t(`act.${name}`));
    this.cancel = button("cancel", this.#act.cancel, "line");
    this.again = button("again", this.#act.again, "line");
    this.edit = button("edit", () => this.#editor(), "line");
    this.resend = button("resend", this.#act.resend, "solid");
    this.remove = button("remove", this.#act.remove);
    this.read.append(this.readWords, " ", button("asSpoken", this.#act.asSpoken));
    this.actions.append(this.cancel, this.resend, this.again, this.edit, this.remove);
  }

  update(job) {
    this.#job = job;
    const ended = ENDED.has(job.state);
    this.element.dataset.job = job.id ?? "";
    this.element.dataset.state = job.state;
    put(this.kind, [t(`from.${job.source}`, { name: job.name ?? "" }), hour(job.created), seedOf(job)].filter(Boolean).join(" · "));
    if (!this.editing) this.#say(job);
    put(this.state, sentence(job));
    this.#progress(job);
    put(this.reason, job.reason ?? job.note ?? "");
    show(this.reason, Boolean(job.reason ?? job.note));
    put(this.remark, job.incomplete ? t("incomplete", { what: job.incomplete }) : "");
    show(this.remark, Boolean(job.incomplete));
    put(this.readWords, job.voice ? t("readAs", { words: job.voice.words.join(", ") }) : "");
    show(this.read, Boolean(job.voice));
    show(this.cancel, Boolean(job.id) && !ended && !job.canceling);
    show(this.resend, job.state === "unsent");
    show(this.again, ended && Boolean(job.words));
    show(this.edit, Boolean(job.words) && job.state !== "sending" && !this.editing);
    show(this.remove, ended || job.state === "unsent");
    show(this.commands.element, Boolean(job.words));
    show(this.receipt.element, job.state === "done");
    this.frame.update(job);
  }

  #say(job) {
    // While nothing is heard yet, the place of the words is held by what happens there.
    const text = job.words || heardSoFar(job) || (ENDED.has(job.state) ? "" : "…");
    if (this.words.textContent !== text) {
      // They appear once; words that were there already only change.
      this.words.classList.toggle("fresh", ["", "…"].includes(this.words.textContent) && text !== "…");
      this.words.textContent = text;
    }
    this.words.classList.toggle("hearing", !job.words && text !== "…");
    const language = job.language ?? job.hearing?.language;
    if (language) this.words.lang = language;
    show(this.words, text !== "");
  }

  #progress(job) {
    const done = part(job);
    show(this.bar, job.state === "working" || job.state === "queued" || job.state === "sending");
    if (done === undefined) this.bar.removeAttribute("value");
    else this.bar.value = done;
  }

  // The words become a field: a job of text, so that nothing is transcribed again.
  #editor() {
    if (this.editing) return;
    const field = make("textarea", { class: "words edit", "aria-label": t("editWords"), maxlength: 2000, rows: 3 });
    field.value = painted(this.#job).words ?? "";
    const paint = make("button", { type: "submit", class: "solid", data: { act: "repaint" } }, t("paintAgain"));
    const back = make("button", { type: "button", class: "quiet", onclick: () => close() }, t("neverMind"));
    this.editing = make("form", { class: "editing" }, field, make("p", { class: "row" }, paint, back));
    const close = () => {
      this.editing.replaceWith(this.words);
      this.editing = undefined;
      this.update(this.#job);
      this.edit.focus();
    };
    this.editing.addEventListener("submit", (event) => {
      event.preventDefault();
      const words = field.value.trim();
      if (words) this.#act.repaint(this.#job, words);
    });
    this.editing.addEventListener("keydown", (event) => {
      if (event.key === "Escape") close();
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target === field) {
        event.preventDefault();
        this.editing.requestSubmit();
      }
    });
    this.words.replaceWith(this.editing);
    show(this.edit, false);
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
  }
}

function seedOf(job) {
  const seed = job.pictures[0]?.seed ?? job.picture?.seed;
  return seed === undefined ? "" : `${t("set.seed")} ${seed}`;
}
