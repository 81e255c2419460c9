// What the browser does by itself: the clock, the theme button, what is said when the connection is lost, and j / k through lists. No data passes through here.
(() => {
  const clock = new Intl.DateTimeFormat("sv-SE", { timeZone: "Asia/Seoul", dateStyle: "short", timeStyle: "medium" });

  const tick = () => {
    for (const place of document.querySelectorAll("[data-clock]")) {
      const now = new Date();
      place.textContent = `${clock.format(now)} KST`;
      place.title = now.toISOString().replace(/\.\d+Z/, "Z");
    }
  };

  const switchTheme = () => {
    const dark = !document.body.classList.contains("body--dark");
    Quasar.Dark.set(dark);
    document.cookie = `bongsu_theme=${dark ? "dark" : "light"}; path=/; max-age=31536000; samesite=lax`;
  };

  const step = (by) => {
    const links = [...document.querySelectorAll("tr.opens a")];
    if (!links.length) return;
    const at = links.indexOf(document.activeElement);
    const to = at < 0 ? 0 : Math.min(Math.max(at + by, 0), links.length - 1);
    links[to].focus({ focusVisible: true });
  };

  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-theme-switch]")) switchTheme();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea, select")) return;
    if (event.key === "j") step(1);
    if (event.key === "k") step(-1);
  });
  const sayConnection = () => {
    const said = JSON.parse(document.querySelector("meta[name=connection]")?.content || "[]");
    document.querySelectorAll(".nicegui-error-popup span").forEach((place, at) => { place.textContent = said[at] || place.textContent; });
  };
  setInterval(tick, 1000);
  document.addEventListener("DOMContentLoaded", () => { setTimeout(tick, 0); sayConnection(); });
})();
