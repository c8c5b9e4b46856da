// Dark and light: the system's wish, until somebody wishes otherwise here.
import { $ } from "/page/dom.js";
import { t } from "/page/language.js";

const system = matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

export function themeSwitch(changed) {
  const button = $("theme");
  const draw = () => {
    button.title = t(isDark() ? "toLight" : "toDark");
    button.setAttribute("aria-label", button.title);
  };
  button.addEventListener("click", () => {
    const wanted = isDark() ? "light" : "dark";
    // The system's own theme needs no word of ours: then it goes on following the system.
    if ((wanted === "dark") === system.matches) delete root.dataset.theme;
    else root.dataset.theme = wanted;
    try {
      if (root.dataset.theme) localStorage.setItem("shanshui.theme", wanted);
      else localStorage.removeItem("shanshui.theme");
    } catch {
      // Without storage the choice lasts until the reload.
    }
    draw();
    changed();
  });
  system.addEventListener("change", draw);
  $("language").addEventListener("click", () => setTimeout(draw));
  draw();
}
