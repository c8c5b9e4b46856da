// Ties the parts together: who makes jobs, who follows them, what is open.
import { Refused, Unreachable, cancel, capabilities, fresh as freshName, freshSeed, job as fetchJob, send } from "/page/api.js";
import { Card, sentence } from "/page/card.js";
import { compose, examples } from "/page/compose.js";
import { $, calm, show } from "/page/dom.js";
import { follow } from "/page/follow.js";
import { draw as drawTile, hang, redraw } from "/page/gallery.js";
import { ENDED, apply, fresh, learn, painted } from "/page/job.js";
import { languageSwitch, t } from "/page/language.js";
import { scene } from "/page/scene.js";
import * as settings from "/page/settings.js";
import * as shelf from "/page/shelf.js";
import { announce, clear, linkBack, linkLost, notice } from "/page/status.js";
import { talkButton } from "/page/talk.js";
import { themeSwitch } from "/page/theme.js";
import { topology } from "/page/topology.js";

const jobs = new Map(shelf.all().map((job) => [job.id, job]));
const following = new Map();
let card;
let open;

const listed = () => [...jobs.values()].sort((a, b) => b.created - a.created);

const act = {
  open: (id) => (location.hash === `#${id}` ? openJob(id) : (location.hash = id)),
  write: (text) => begin(fresh("text", text, settings.picture()), { text, spec: { picture: settings.picture() } }),
  file: (file) => hear("file", file, file.name),
  again: (job) => paint(job, painted(job).words, { ...painted(job).picture, seed: freshSeed() }),
  repaint: (job, words) => paint(job, words, painted(job).picture),
  asSpoken: (job) => paint(job, job.words, job.picture),
  resend: (job) => post(job, job.wish),
  cancel: stop,
  remove: forget,
};

function hear(source, recording, name) {
  // "Portrait, four pictures" become settings; the card shows what was read so, and takes it back.
  const spec = { ...settings.spoken(), voice: true, picture: settings.picture() };
  return begin(fresh(source, "", spec.picture, { name }), { recording, name, spec });
}

// Words that are known are a job of text: a second transcription would only cost time.
function paint(from, words, picture = {}) {
  const wished = { ...picture };
  return begin(fresh("text", words, wished), { text: words, spec: { picture: wished } });
}

function begin(job, wish) {
  // The wish is kept until the server has it: a recording cannot be spoken a second time.
  Object.assign(job, { wish, once: freshName() });
  openCard(job);
  if (wish.text) $("words").value = "";
  return post(job, wish);
}

async function post(job, wish) {
  job.state = "sending";
  changed(job);
  try {
    const told = await send(wish, job.once);
    clear();
    Object.assign(job, { id: told.id, state: "queued", place: told.place ?? undefined, seconds: told.estimate_seconds ?? undefined, wish: undefined });
  } catch (error) {
    job.state = "unsent";
    changed(job);
    return notice(explain(error), [[t("act.resend"), () => post(job, wish)]]);
  }
  jobs.set(job.id, job);
  shelf.put(job);
  hangAll();
  if (card && open === job) history.replaceState(null, "", `#${job.id}`);
  announce(t("sent"));
  changed(job);
  return watch(job);
}

// A failure in the reader's words; the server's own follow where they say more.
function explain(error) {
  if (error instanceof Unreachable) return t(navigator.onLine ? "cannotReach" : "offline");
  if (!(error instanceof Refused)) return t("unexpected", { reason: error.message });
  const wait = error.wait ? ` ${t("tryIn", { seconds: error.wait })}` : "";
  const key = error.code === "queue-full" ? "http.full" : `http.${error.status}`;
  return t(["http.full", "http.401", "http.413", "http.415", "http.429", "http.503"].includes(key) ? key : "http.other", { reason: error.message }) + wait;
}

async function watch(job) {
  if (!job.id || following.has(job.id)) return;
  const stopper = new AbortController();
  following.set(job.id, stopper);
  const link = (state, until, retry) => (state === "lost" ? linkLost(job.id, until, retry) : linkBack(job.id));
  try {
    await follow(job.id, { hear: (kind, data) => heard(job, kind, data), link, signal: stopper.signal });
    if (!ENDED.has(job.state) || job.state === "done") learn(job, await fetchJob(job.id));
  } catch (error) {
    if (stopper.signal.aborted) return;
    if (error instanceof Refused && error.status === 404) Object.assign(job, { state: "gone" });
    else notice(explain(error), [[t("tryNow"), () => watch(job)]]);
  } finally {
    linkBack(job.id);
    following.delete(job.id);
    shelf.put(job);
    changed(job);
  }
}

const LOUD = new Set(["transcript", "started", "done", "failed", "canceled", "no-speech", "retrying"]);

// What is not kept there need not be kept here.
const PASSING = new Set(["progress", "preview", "partial"]);

function heard(job, kind, data) {
  if (ENDED.has(job.state)) return;
  apply(job, kind, data);
  if (LOUD.has(kind) && jobs.has(job.id)) announce(kind === "transcript" ? t("heardWords", { words: data.text }) : told(job));
  if (!PASSING.has(kind) && jobs.has(job.id)) shelf.put(job);
  changed(job);
}

const told = (job) => [sentence(job), job.state === "done" ? "" : job.reason].filter(Boolean).join(" ");

function changed(job) {
  if (open === job) card.update(job);
  if (job.id) drawTile(job, open?.id);
}

async function stop(job) {
  job.canceling = true;
  changed(job);
  try {
    await cancel(job.id);
  } catch (error) {
    job.canceling = undefined;
    changed(job);
    // 409: it has ended in the meantime, and its last event says how.
    if (error.status !== 409) notice(explain(error), [[t("tryNow"), () => stop(job)]]);
  }
}

// Takes it off this browser's list; what is on the server stays there.
function forget(job) {
  following.get(job.id)?.abort();
  jobs.delete(job.id);
  shelf.remove(job.id);
  if (open === job) closeCard();
  hangAll();
  announce(t("removed"));
  $("gallery-title").scrollIntoView({ block: "nearest" });
}

function openCard(job) {
  open = job;
  card = new Card(job, act);
  $("work").replaceChildren(card.element);
  show($("work"), true);
  document.body.classList.add("has-work");
  hangAll();
  const { top } = $("work").getBoundingClientRect();
  if (top < 0 || top > innerHeight * 0.7) toWork();
}

const toWork = () => $("work").scrollIntoView({ block: "start", behavior: calm() ? "auto" : "smooth" });

function closeCard() {
  open = card = undefined;
  show($("work"), false);
  $("work").replaceChildren();
  document.body.classList.remove("has-work");
  history.replaceState(null, "", location.pathname);
}

function openJob(id) {
  const job = jobs.get(id);
  if (!job) return;
  if (open !== job) openCard(job);
  else toWork();
  // Who came by the keyboard goes on there; the card is no stop of its own.
  card.element.focus({ preventScroll: true });
}

const hangAll = () => hang(listed(), open?.id, act);

async function introduce() {
  settings.draw();
  try {
    settings.serverCan(await capabilities());
  } catch {
    // The page works without: fields stay empty, and the server refuses what it cannot do.
  }
}

function start() {
  // A telephone has no space bar.
  if (matchMedia("(hover: none)").matches) $("hint").dataset.t = "hintTouch";
  const landscape = scene();
  themeSwitch(landscape.paint);
  languageSwitch(() => {
    settings.draw();
    examples();
    redraw(listed(), open?.id);
    if (open) openCard(open);
  });
  talkButton({ scene: landscape, said: ({ recording, name }) => hear("voice", recording, name) });
  compose(act);
  topology();
  hangAll();
  for (const job of listed()) if (!ENDED.has(job.state)) watch(job);
  shelf.onOther(() => {
    for (const job of shelf.all()) if (!jobs.has(job.id)) jobs.set(job.id, job), ENDED.has(job.state) || watch(job);
    hangAll();
  });
  // What was said and not sent would be lost.
  addEventListener("beforeunload", (event) => open?.wish && event.preventDefault());
  addEventListener("hashchange", () => openJob(location.hash.slice(1)));
  const first = jobs.get(location.hash.slice(1));
  if (first) openCard(first);
  introduce();
}

start();
performance.mark("usable");
