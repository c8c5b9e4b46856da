// English and Chinese: t("key", { name: "value" }) gives the words; elements name theirs by data-t.
import { english } from "/page/words-en.js";
import { chinese } from "/page/words-zh.js";
import { $, memory, put } from "/page/dom.js";

export const isChinese = () => document.documentElement.lang.startsWith("zh");

export function t(key, values = {}) {
  const words = (isChinese() ? chinese : english)[key] ?? english[key] ?? key;
  return words.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

export const known = (key) => key in english;

// Counted things: "one" and "many" differ in English alone.
export const count = (key, number) => t(number === 1 ? `${key}One` : key, { number });

export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

// "about 8 seconds", "about 3 minutes": an estimate is not exact, and does not look so.
export function about(seconds) {
  if (seconds < 1.5) return t("aMoment");
  if (seconds < 90) return t("aboutSeconds", { number: seconds < 10 ? Math.round(seconds) : Math.round(seconds / 5) * 5 });
  return t("aboutMinutes", { number: Math.round(seconds / 60) });
}

export const hour = (time) =>
  new Date(time).toLocaleString(document.documentElement.lang, { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" });

export function translate(root = document) {
  for (const element of root.querySelectorAll("[data-t]")) put(element, t(element.dataset.t));
  for (const element of root.querySelectorAll("[data-t-label]")) element.setAttribute("aria-label", t(element.dataset.tLabel));
  for (const element of root.querySelectorAll("[data-t-placeholder]")) element.placeholder = t(element.dataset.tPlaceholder);
}

// Calls `changed` after each switch, so that what a module has drawn itself is drawn anew.
export function languageSwitch(changed) {
  const button = $("language");
  const draw = () => {
    put(button, isChinese() ? "English" : "中文");
    button.lang = isChinese() ? "en" : "zh";
    translate();
  };
  button.addEventListener("click", () => {
    document.documentElement.lang = isChinese() ? "en" : "zh-Hans";
    try {
      localStorage.setItem("shanshui.language", isChinese() ? "zh" : "en");
    } catch {
      // Without storage the choice lasts until the reload.
    }
    draw();
    changed();
  });
  draw();
}
