// The gallery: a tile for each job, newest first. A tile opens its job.
import { $, make, put, show } from "/page/dom.js";
import { imageOf } from "/page/image.js";
import { ENDED, part } from "/page/job.js";
import { count, t } from "/page/language.js";

const tiles = new Map();

// The list, which job is open, and what a click does.
export function hang(jobs, open, act) {
  const ids = new Set(jobs.map((job) => job.id));
  for (const [id, tile] of tiles) {
    if (ids.has(id)) continue;
    tile.item.remove();
    tiles.delete(id);
  }
  jobs.forEach((job, place) => {
    if (!tiles.has(job.id)) tiles.set(job.id, build(job, act));
    const { item } = tiles.get(job.id);
    if ($("tiles").children[place] !== item) $("tiles").insertBefore(item, $("tiles").children[place] ?? null);
    draw(job, open);
  });
  show($("empty"), jobs.length === 0);
}

function build(job, act) {
  const sheet = make("span", { class: "sheet" });
  const words = make("span", { class: "tile-words" });
  const state = make("span", { class: "tile-state" });
  const button = make("button", { type: "button", class: "tile", onclick: () => act.open(job.id) }, sheet, words, state);
  return { item: make("li", {}, button), button, sheet, words, state, shown: undefined };
}

export function draw(job, open) {
  const tile = tiles.get(job.id);
  if (!tile) return;
  const isOpen = job.id === open;
  tile.button.classList.toggle("open", isOpen);
  if (isOpen) tile.button.setAttribute("aria-current", "true");
  else tile.button.removeAttribute("aria-current");
  put(tile.words, job.words || t(job.state === "no-speech" ? "noWords" : "listeningTile"));
  put(tile.state, stateOf(job));
  tile.button.classList.toggle("waiting", !ENDED.has(job.state));
  hangPicture(tile, job);
}

function stateOf(job) {
  if (job.state === "done") return count("pictures", job.pictures.length);
  if (ENDED.has(job.state)) return "";
  const done = part(job);
  return done === undefined ? t(`tile.${job.state}`) : `${Math.round(done * 100)} %`;
}

// The picture, or what is known of it so far, or why there is none.
function hangPicture(tile, job) {
  const first = job.pictures[0];
  const lost = ENDED.has(job.state) && !first ? t(`tile.${job.state}`) : undefined;
  const shown = first ? `${job.id}/${first.index}` : (lost ?? job.previews[0] ?? "");
  if (tile.shown === shown) return;
  tile.shown = shown;
  const say = (text) => tile.sheet.replaceChildren(make("span", { class: "lost" }, text));
  if (lost) return say(lost);
  if (!first) return tile.sheet.replaceChildren(...(shown ? [make("img", { class: "tile-preview", alt: "", src: shown })] : []));
  // The words beside it say what it shows.
  const attributes = { alt: "", loading: "lazy", width: first.width || null, height: first.height || null };
  return tile.sheet.replaceChildren(imageOf(job, first.index, attributes, { failed: say }));
}

// After another language was chosen.
export const redraw = (jobs, open) => jobs.forEach((job) => draw(job, open));
