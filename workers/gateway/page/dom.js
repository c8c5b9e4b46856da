// The smallest helper that builds elements. Text always becomes a text node: what a voice, a file or a
// server says is never read as markup.

export const $ = (id) => document.getElementById(id);

// make("a", { class: "x", href: "/", onclick: f, data: { id: 1 } }, "text", child)
export function make(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return element;
}

// Sets only what differs, so that a screen reader does not hear the same text twice.
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// Storage may be switched off or full: the page then works without a memory.
export const memory = {
  read(name, fallback) {
    try {
      return JSON.parse(localStorage.getItem(`shanshui.${name}`)) ?? fallback;
    } catch {
      return fallback;
    }
  },
  write(name, value) {
    try {
      localStorage.setItem(`shanshui.${name}`, JSON.stringify(value));
      return true;
    } catch {
      return false;
    }
  },
};
