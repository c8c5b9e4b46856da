// The pipeline under a fold: the server's picture of it, and the same in words for who does not see it.
import { request } from "/page/api.js";
import { $, make } from "/page/dom.js";
import { t } from "/page/language.js";

// How often an open fold looks again.
const LOOK = 5000;
let timer;

export function topology() {
  $("topology").addEventListener("toggle", again);
  document.addEventListener("visibilitychange", again);
}

async function again() {
  clearTimeout(timer);
  if (!$("topology").open || document.hidden) return;
  try {
    const [picture, told] = await Promise.all(["svg", "json"].map((format) => request(`/v1/topology?format=${format}`, {}, format === "json")));
    draw(await picture.text(), (await told.json()).steps);
  } catch (error) {
    $("pipeline").replaceChildren(make("p", { class: "empty" }, t("noTopology", { reason: error.message })));
  }
  clearTimeout(timer);
  timer = setTimeout(again, LOOK);
}

// The picture becomes part of the page, so that it has the page's colours; its own style sheet is forbidden
// here, even before it is shown. Names in it come from the server as text, never as markup.
function draw(text, steps) {
  const plain = text.replace(/<style>.*?<\/style>/s, "");
  const parsed = new DOMParser().parseFromString(plain, "image/svg+xml").documentElement;
  for (const one of parsed.querySelectorAll("style, script, title")) one.remove();
  const picture = document.adoptNode(parsed);
  picture.setAttribute("aria-hidden", "true");
  const words = make("ul", { class: "unseen" }, steps.flatMap(sentences).map((line) => make("li", {}, line)));
  $("pipeline").replaceChildren(picture, words);
}

const sentences = ({ stage, pools }) => pools.map(({ pool, waiting, in_work: working, asking: idle, abandoned }) =>
  t(abandoned ? "poolLost" : "poolSays", { stage, pool, waiting, working, idle }));
