// What the page knows of a job: plain values, changed by events alone, so that a reload that hears all
// events again comes to the same.

export const ENDED = new Set(["done", "failed", "canceled", "no-speech", "gone"]);

export function fresh(source, words, picture, extra = {}) {
  return { id: undefined, created: Date.now(), source, words, picture, state: "sending", pictures: [], previews: {}, ...extra };
}

// A worker that lost its connection may tell more after the end; the end stays the end.
export function apply(job, kind, data) {
  if (!ENDED.has(job.state)) heard[kind]?.(job, data);
  return job;
}

const heard = {
  accepted(job) {
    if (job.state === "sending") job.state = "queued";
  },
  queued(job, { stage, place, seconds, workers }) {
    Object.assign(job, { state: "queued", stage, place, seconds, workers, done: 0, total: 0, eta: undefined, note: undefined });
  },
  started(job, { stage, attempt }) {
    Object.assign(job, { state: "working", stage, attempt, done: 0, total: 0, eta: undefined, note: undefined, hearing: undefined });
  },
  progress(job, { stage, done, total, eta }) {
    Object.assign(job, { state: "working", stage, done, total, eta });
  },
  // A part takes the place of what was told of it before; words that are whole count more.
  partial(job, { part, text, language }) {
    if (job.words) return;
    const parts = [...(job.hearing?.parts ?? [])].slice(0, part);
    parts[part] = text;
    Object.assign(job, { state: "working", stage: "transcribe", hearing: { parts, language } });
  },
  transcript(job, { text, language, seconds, incomplete, voice }) {
    Object.assign(job, { hearing: undefined, words: text, language, incomplete, voice, heardSeconds: seconds });
  },
  preview(job, { index, png }) {
    job.previews[index] = `data:image/png;base64,${png}`;
    Object.assign(job, { state: "working", stage: "paint" });
  },
  picture(job, { index, seed, width, height }) {
    job.pictures = [...job.pictures.filter((picture) => picture.index !== index), { index, seed: String(seed), width, height }];
    job.pictures.sort((a, b) => a.index - b.index);
  },
  "passed-on": (job) => Object.assign(job, { state: "queued", place: undefined, seconds: undefined }),
  retrying: (job, { reason, delay }) => Object.assign(job, { state: "queued", place: undefined, seconds: delay, note: reason }),
  released: (job, { reason }) => Object.assign(job, { state: "queued", place: undefined, seconds: undefined, note: reason }),
  // Its seconds are those of the last stage; the document knows those of the whole job.
  done: (job) => end(job, "done", {}),
  failed: (job, { code, reason, stage }) => end(job, "failed", { code, reason, stage }),
  canceled: (job) => end(job, "canceled", {}),
  "no-speech": (job, { reason }) => end(job, "no-speech", { reason }),
};

function end(job, state, facts) {
  Object.assign(job, { state, note: undefined, canceling: undefined, hearing: undefined, previews: {} }, facts);
}

// What `GET /v1/jobs/{id}` says wins where it says something: events are kept for days, objects longer.
export function learn(job, said) {
  if (said.transcript?.text) Object.assign(job, { words: said.transcript.text, language: said.transcript.language ?? job.language });
  if (said.pictures?.length) job.pictures = said.pictures.map(({ index, seed, width, height }) => ({ index, seed: String(seed), width, height }));
  if (said.total_seconds) job.took = said.total_seconds;
  if (ENDED.has(said.state) && !ENDED.has(job.state)) end(job, said.state, { code: said.error?.code, reason: said.error?.reason ?? said.error?.message });
  return job;
}

const KEPT = ["id", "created", "source", "name", "words", "language", "picture", "state", "pictures", "code", "reason", "took", "incomplete", "voice", "once"];

export const kept = (job) => Object.fromEntries(KEPT.filter((name) => job[name] !== undefined).map((name) => [name, job[name]]));

export const revive = (kept) => ({ previews: {}, pictures: [], ...kept });

// What is understood so far. A part that was lost on the way leaves a gap until the words are whole.
export const heardSoFar = (job) => Array.from(job.hearing?.parts ?? [], (part) => part ?? " … ").join("").trim();

// What was painted: the words without those that were read as settings, and all settings. What was
// chosen counts more than what was spoken.
export function painted(job) {
  if (!job.voice) return { words: job.words, picture: job.picture };
  return { words: job.voice.text, picture: { ...job.voice.settings, ...job.picture } };
}

// How far the job is, from 0 to 1, or undefined where nobody knows.
export const part = (job) => (job.state === "working" && job.total > 0 ? Math.min(1, job.done / job.total) : undefined);
