// The hunt pages in the browser: the search field with its suggestions, what it keeps (recent and saved searches, columns), and the
// delegated buttons. The server says what is found; nothing is asked of it but through events.
window.bongsuHunt = (() => {
  const RECENT = 20;
  let asked = 0;
  let active = -1;
  let offers = [];
  let shown = false;

  const form = () => document.querySelector("[data-hunt]");
  const field = () => document.getElementById("hunt-q");
  const list = () => document.getElementById("hunt-list");
  const labels = () => JSON.parse(form().dataset.labels);
  const say = (text) => { document.querySelector("[data-hunt-said]").textContent = text; };

  // ---- what this browser keeps, for this person ----
  const key = (what) => `bongsu-hunt-${what}-${form().dataset.person}`;
  const kept = (what) => {
    try { return JSON.parse(localStorage.getItem(key(what))) || []; } catch { return []; }
  };
  const keep = (what, searches) => localStorage.setItem(key(what), JSON.stringify(searches));

  const showSaved = () => {
    const button = document.querySelector("[data-hunt-save]");
    if (!button) return;
    const saved = kept("saved").includes(field().value.trim());
    button.setAttribute("aria-pressed", String(saved));
    button.querySelector("i").textContent = saved ? "star" : "star_border";
  };

  const toggleSaved = () => {
    const q = field().value.trim();
    if (!q) return;
    const before = kept("saved");
    const was = before.includes(q);
    keep("saved", was ? before.filter((one) => one !== q) : [q, ...before]);
    showSaved();
    say(was ? labels().forgotten : labels().saved_now);
  };

  // ---- suggestions ----
  const shut = () => {
    active = -1;
    offers = [];
    list().hidden = true;
    field().setAttribute("aria-expanded", "false");
    field().removeAttribute("aria-activedescendant");
  };

  const draw = () => {
    const box = list();
    box.replaceChildren(...offers.map((one, place) => {
      const item = document.createElement("li");
      item.id = `hunt-offer-${place}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", String(place === active));
      item.dataset.offer = place;
      const label = document.createElement("span");
      label.textContent = one.label;
      const note = document.createElement("small");
      note.textContent = one.note;
      item.append(label, note);
      return item;
    }));
    box.hidden = !offers.length;
    field().setAttribute("aria-expanded", String(offers.length > 0));
    if (active < 0) field().removeAttribute("aria-activedescendant");
    else {
      field().setAttribute("aria-activedescendant", `hunt-offer-${active}`);
      box.children[active].scrollIntoView({ block: "nearest" });
    }
  };

  const whole = (q, note) => ({ insert: q, label: q, note, start: 0, end: field().value.length, runs: true });

  const remembered = () => {
    const saved = kept("saved");
    const recent = kept("recent").filter((q) => !saved.includes(q));
    return [...saved.map((q) => whole(q, labels().saved)), ...recent.slice(0, 8).map((q) => whole(q, labels().recent))];
  };

  const offer = (said) => {
    if (said.n !== asked || document.activeElement !== field()) return;
    const here = said.offers.map((one) => ({ ...one, start: said.start, end: said.end }));
    offers = field().value.trim() ? here : [...remembered(), ...here];
    active = -1;
    draw();
  };

  const times = () => ({
    range: document.getElementById("hunt-range").value,
    since: document.getElementById("hunt-since").value,
    until: document.getElementById("hunt-until").value,
  });

  const ask = () => {
    asked += 1;
    emitEvent("hunt-typed", { text: field().value, caret: field().selectionStart, n: asked, ...times() });
  };

  const take = (place) => {
    const one = offers[place];
    const text = field().value;
    const rest = text.slice(one.end);
    const insert = one.insert.endsWith(" ") && rest.startsWith(" ") ? one.insert.trimEnd() : one.insert;
    field().value = text.slice(0, one.start) + insert + rest;
    const caret = one.start + insert.length;
    field().setSelectionRange(caret, caret);
    shut();
    showSaved();
    if (one.runs) run(); else ask();
  };

  const run = () => {
    shut();
    asked += 1;
    emitEvent("hunt-run", { q: field().value.trim(), ...times() });
  };

  // ---- what the page says ----
  const showOwnRange = () => {
    document.querySelector("[data-own-range]").hidden = document.getElementById("hunt-range").value !== "";
  };

  const show = (said) => {
    field().value = said.q;
    document.getElementById("hunt-range").value = said.range;
    document.getElementById("hunt-since").value = said.since;
    document.getElementById("hunt-until").value = said.until;
    showOwnRange();
    showSaved();
    const other = document.querySelector("a.tool[hreflang]");
    other.href = `/preferences?language=${other.hreflang}&next=${encodeURIComponent(said.url)}`;
    if (shown) {
      if (location.pathname + location.search !== said.url) history.pushState(null, "", said.url);
    } else if (!location.search.includes("event=")) history.replaceState(null, "", said.url);
    shown = true;
  };

  const ran = () => {
    const q = field().value.trim();
    if (q) keep("recent", [q, ...kept("recent").filter((one) => one !== q)].slice(0, RECENT));
    for (const button of document.querySelectorAll("[data-hunt-field][aria-expanded=true]")) emitEvent("hunt-field", button.dataset.huntField);
  };

  const busy = (is) => {
    document.querySelector("[data-hunt-stop]").hidden = !is;
    form().classList.toggle("busy", is);
  };

  const values = (column, html) => {
    const box = document.getElementById(`values-${column}`);
    if (box) box.innerHTML = html;
  };

  // ---- the event beside ----
  let opener = null;
  const panel = (open) => {
    const box = document.getElementById("event-panel");
    if (!box || box.hidden === !open) { if (open) box.querySelector("h2").focus(); return; }
    if (open) opener = document.activeElement;
    box.hidden = !open;
    if (open) box.querySelector("h2").focus();
    else if (opener && opener.isConnected) opener.focus();
  };
  const ocsf = (text) => { document.getElementById("event-ocsf").textContent = text; };

  const copy = async (target) => {
    const text = document.getElementById(target).textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(document.getElementById(target));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      document.execCommand("copy");
    }
    return true;
  };

  const handOver = (yaml, path) => {
    sessionStorage.setItem("bongsu-rule-draft", yaml);
    location.assign(path);
  };
  const handedOver = () => {
    const yaml = sessionStorage.getItem("bongsu-rule-draft") || "";
    sessionStorage.removeItem("bongsu-rule-draft");
    return yaml;
  };

  // ---- events ----
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-hunt]")) return;
    event.preventDefault();
    run();
  });
  document.addEventListener("input", (event) => {
    if (event.target.id !== "hunt-q") return;
    showSaved();
    ask();
  });
  document.addEventListener("focusin", (event) => { if (event.target.id === "hunt-q" && !field().value) ask(); });
  document.addEventListener("focusout", (event) => { if (event.target.id === "hunt-q") setTimeout(shut, 150); });
  document.addEventListener("change", (event) => {
    const at = event.target;
    if (at.id === "hunt-range") {
      showOwnRange();
      if (at.value) run(); else document.getElementById("hunt-since").focus();
    }
    if (at.matches("[data-hunt-column]")) {
      const shown = [...document.querySelectorAll("[data-hunt-column]:checked")].map((one) => one.dataset.huntColumn);
      const before = (bongsuHunt.columns || []).filter((name) => shown.includes(name));
      const wanted = [...before, ...shown.filter((name) => !before.includes(name))];
      bongsuHunt.columns = wanted;
      document.cookie = `bongsu_hunt_columns=${wanted.join(".")}; path=/hunt; max-age=31536000; samesite=lax`;
      emitEvent("hunt-columns", wanted);
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.id === "hunt-q") {
      if (event.isComposing) return;
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && offers.length) {
        event.preventDefault();
        active = (active + step + offers.length + (active < 0 && step < 0 ? 1 : 0)) % offers.length;
        draw();
      } else if (step === 1) { event.preventDefault(); ask(); }
      else if (event.key === "Enter" && active >= 0) { event.preventDefault(); take(active); }
      else if (event.key === "Tab" && offers.length && !event.shiftKey && field().value) { event.preventDefault(); take(Math.max(active, 0)); }
      else if (event.key === "Escape" && offers.length) { event.preventDefault(); shut(); }
      return;
    }
    if (event.key === "Escape") { panel(false); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea, select, [contenteditable], .q-dialog")) return;
    if (!form()) return;
    if (event.key === "/") { event.preventDefault(); field().focus(); field().select(); }
    if (event.key === "?") emitEvent("hunt-help");
  });
  document.addEventListener("mousedown", (event) => {
    const item = event.target.closest?.("[data-offer]");
    if (item) { event.preventDefault(); take(Number(item.dataset.offer)); }
  });
  document.addEventListener("click", (event) => {
    const at = event.target.closest?.("button, summary");
    if (!at) return;
    const own = at.dataset;
    if ("huntSave" in own) toggleSaved();
    if ("huntHelp" in own) emitEvent("hunt-help");
    if ("huntStop" in own) emitEvent("hunt-stop");
    if ("huntShut" in own) panel(false);
    if (own.huntFilter) emitEvent("hunt-filter", { ...JSON.parse(own.huntFilter), exclude: "without" in own });
    if (own.huntCopy) copy(own.huntCopy).then(() => {
      const said = at.textContent;
      at.textContent = "✓ " + said.replace(/^✓ /, "");
    });
    if (own.huntField) {
      const open = at.getAttribute("aria-expanded") !== "true";
      at.setAttribute("aria-expanded", String(open));
      document.getElementById(at.getAttribute("aria-controls")).hidden = !open;
      if (open) emitEvent("hunt-field", own.huntField);
    }
    const details = at.parentElement;
    if (details?.dataset.huntOcsf && !details.open && !document.getElementById("event-ocsf").textContent) emitEvent("hunt-ocsf", details.dataset.huntOcsf);
  });
  addEventListener("popstate", () => { if (form()) location.reload(); });
  addEventListener("DOMContentLoaded", () => {
    const fold = () => {
      const fields = document.querySelector(".hunt-fields details");
      if (!fields) { setTimeout(fold, 50); return; }
      if (innerWidth < 1100) fields.open = false;
      bongsuHunt.columns = form().dataset.columns.split(",");
      showSaved();
    };
    if (location.pathname === "/hunt") fold();
  });

  return { offer, asked: show, busy, ran, values, panel, ocsf, handOver, handedOver, field };
})();
