// What the page says of itself: a polite word for screen readers, a notice where something failed, and
// a banner while the server is away.
import { $, make, put, show } from "/page/dom.js";
import { t } from "/page/language.js";

export function announce(text) {
  put($("live"), text);
}

// notice("text", [["label", action]…]): stays until it is closed or the next thing works.
export function notice(text, actions = []) {
  const place = $("notice");
  const buttons = actions.map(([label, action]) =>
    make("button", { type: "button", class: "quiet", onclick: () => (clear(), action()) }, label));
  const close = make("button", { type: "button", class: "quiet", "aria-label": t("close"), onclick: clear }, "×");
  place.replaceChildren(make("p", {}, text), ...buttons, close);
  show(place, true);
  place.scrollIntoView({ block: "nearest" });
}

export function clear() {
  show($("notice"), false);
  $("notice").replaceChildren();
}

// One banner for all jobs that lost the server; it goes when none is left.
const lost = new Map();
let ticking;

export function linkLost(id, until, retry) {
  lost.set(id, { until, retry });
  ticking ??= setInterval(drawLink, 500);
  drawLink();
}

export function linkBack(id) {
  if (!lost.delete(id) || lost.size > 0) return;
  clearInterval(ticking);
  ticking = undefined;
  show($("link"), false);
  announce(t("serverBack"));
}

function drawLink() {
  const banner = $("link");
  const waits = [...lost.values()];
  const seconds = Math.max(0, Math.ceil((Math.min(...waits.map((wait) => wait.until)) - Date.now()) / 1000));
  if (banner.hidden || !banner.firstChild) {
    const now = make("button", { type: "button", class: "quiet", onclick: () => waitsNow() }, t("tryNow"));
    banner.replaceChildren(make("span", {}, t(navigator.onLine ? "serverGone" : "offline")), make("span", { class: "ticks", "aria-hidden": "true" }), now);
    show(banner, true);
  }
  put(banner.children[1], seconds > 0 ? t("againIn", { seconds }) : t("tryingAgain"));
}

function waitsNow() {
  for (const { retry } of lost.values()) retry();
}

addEventListener("online", waitsNow);
