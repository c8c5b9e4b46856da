// Runs before the first paint, so that a chosen theme or language does not flash. A classic script on
// purpose: modules wait until the page is read.
(() => {
  const kept = (name) => {
    try {
      return localStorage.getItem(`shanshui.${name}`);
    } catch {
      return null; // Storage may be switched off; then the browser's own wishes count.
    }
  };
  const root = document.documentElement;
  const theme = kept("theme");
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  const language = kept("language") ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
  root.lang = language === "zh" ? "zh-Hans" : "en";
})();
