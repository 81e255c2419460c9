// The queue of incidents in the browser: keys, selection, and rows that come, change and go while focus and place stay.
// What is done to incidents is the server's; here is only which ones, told with emitEvent("queue", ...).
window.bongsuQueue = (() => {
  const NEAR_TOP = 120; // pixels from the top within which arrivals are put in at once
  const table = () => document.getElementById("queue");
  const body = () => table()?.querySelector("[data-rows]");
  const bar = () => document.getElementById("queue-bar");
  const form = () => document.getElementById("queue-form");
  const rows = () => [...(body()?.rows ?? [])];
  const row = (number) => body()?.querySelector(`tr[data-number="${CSS.escape(number)}"]`);
  const box = (line) => line.querySelector(".cell-select input");
  const link = (line) => line.querySelector(".cell-incident a");
  const fill = (text, count) => text.replace("{count}", count);
  let waiting = []; // rows that arrived and are not shown yet
  let last = ""; // the number of the row the visitor was at

  const made = (html) => {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    return [...holder.content.children];
  };
  const at = () => document.activeElement?.closest?.("tr.case") ?? row(last);
  const chosen = () => rows().filter((line) => box(line).checked);

  const count = () => {
    if (!bar()) return;
    const now = chosen().length;
    const label = bar().querySelector("[data-count]");
    label.textContent = now ? fill(label.dataset.count, now) : "";
    for (const line of rows()) line.classList.toggle("chosen", box(line).checked);
    for (const button of bar().querySelectorAll("button[data-do]:not([data-fresh])")) button.disabled = !now && !at();
    const all = bar().querySelector("[data-all]");
    all.checked = now > 0 && now === rows().length;
    all.indeterminate = now > 0 && now < rows().length;
  };

  const go = (line) => {
    if (!line) return;
    last = line.dataset.number;
    link(line).focus({ focusVisible: true });
    line.scrollIntoView({ block: "nearest" });
  };
  const step = (by) => {
    const lines = rows();
    const here = lines.indexOf(at());
    go(lines[here < 0 ? 0 : Math.min(Math.max(here + by, 0), lines.length - 1)]);
  };

  const act = (what) => {
    const lines = chosen().length ? chosen() : [at()].filter(Boolean);
    if (lines.length) emitEvent("queue", { do: what, numbers: lines.map((line) => line.dataset.number) });
  };

  // ---- rows ----

  const put = ([number, html, before]) => {
    if (row(number)) return;
    const [line] = made(html);
    body().insertBefore(line, before ? row(before) : null);
    line.classList.add("arrived");
  };
  const announce = () => {
    const button = bar()?.querySelector("[data-fresh]");
    if (!button) return;
    button.hidden = !waiting.length;
    button.textContent = fill(button.dataset.fresh, waiting.length);
  };
  const showFresh = () => {
    waiting.forEach(put);
    waiting = [];
    announce();
    count();
  };
  const arrive = (found) => {
    const heard = bar().querySelector("[data-heard]");
    heard.textContent = fill(heard.dataset.heard, found.length);
    waiting.push(...found);
    if (window.scrollY < NEAR_TOP) showFresh();
    else announce();
  };
  const change = (found) => {
    for (const [number, html] of found) {
      const line = row(number);
      if (!line) {
        waiting = waiting.map((one) => (one[0] === number ? [number, `<tr class="case" data-number="${number}">${html}</tr>`, one[2]] : one));
        continue;
      }
      const [fresh] = made(`<tr>${html}</tr>`);
      [...fresh.cells].forEach((cell, place) => {
        const old = line.cells[place];
        if (cell.matches(".cell-select") || old.innerHTML === cell.innerHTML) return;
        const held = old.contains(document.activeElement);
        old.innerHTML = cell.innerHTML;
        if (held) old.querySelector("a")?.focus();
      });
    }
    count();
  };
  const drop = (numbers) => {
    for (const number of numbers) {
      const line = row(number);
      waiting = waiting.filter((one) => one[0] !== number);
      if (!line) continue;
      const next = line.nextElementSibling ?? line.previousElementSibling;
      const held = line.contains(document.activeElement) || last === number;
      line.remove();
      if (held) go(next);
    }
    count();
  };
  const show = (html) => {
    const held = body().contains(document.activeElement);
    waiting = [];
    announce();
    body().replaceChildren(...made(html));
    if (held) go(row(last) ?? rows()[0]);
    count();
  };
  const append = (html) => {
    const first = made(html);
    body().append(...first.filter((line) => !row(line.dataset.number)));
    go(first.find((line) => line.isConnected));
    count();
  };
  const clear = () => {
    for (const line of chosen()) box(line).checked = false;
    count();
  };

  // ---- filters ----

  const query = () => {
    const asked = new URLSearchParams();
    for (const [name, value] of new FormData(form())) if (value) asked.append(name, value);
    return asked.toString();
  };
  let asking;
  const ask = (delay) => {
    clearTimeout(asking);
    asking = setTimeout(() => {
      for (const details of form().querySelectorAll("details.several")) {
        const on = [...details.querySelectorAll("input:checked + span")].map((one) => one.textContent);
        details.querySelector(".chosen").textContent = on.join(", ") || details.dataset.all;
      }
      history.replaceState(null, "", `/incidents?${query() || "all"}`);
      emitEvent("queue", { do: "filter", query: query() });
    }, delay);
  };
  const reset = () => {
    for (const field of form().elements) {
      if (field.type === "checkbox") field.checked = false;
      else if (field.tagName === "SELECT") field.value = "";
      else if (field.name) field.value = "";
    }
    ask(0);
  };

  // ---- events ----

  const doings = {
    help: () => document.getElementById("queue-keys").showModal(),
    fresh: () => {
      showFresh();
      window.scrollTo({ top: 0 });
    },
  };
  const typing = (target) => target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable], .q-dialog, dialog[open], .q-menu");
  const letters = { a: "assign", t: "triage", c: "confirm", f: "dismiss", m: "merge" };
  const pressed = {
    j: () => step(1),
    k: () => step(-1),
    o: () => at() && link(at()).click(),
    x: () => {
      const line = at();
      if (line) box(line).checked = !box(line).checked;
      count();
    },
    "/": () => form().querySelector("[name=q]").focus(),
    "?": doings.help,
    n: doings.fresh,
    Escape: clear,
  };
  const offered = (what) => bar()?.querySelector(`[data-do="${what}"]`);

  document.addEventListener("keydown", (event) => {
    if (!table() || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape") {
      const open = event.target.closest?.("details.several[open]");
      if (open) {
        open.open = false;
        open.querySelector("summary").focus();
        return;
      }
      if (event.target.name === "q") {
        event.preventDefault(); // the browser would empty it
        event.target.blur();
        return;
      }
    }
    if (typing(event.target) || document.querySelector(".q-dialog, dialog[open]")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const run = pressed[key] ?? (letters[key] && offered(letters[key]) && (() => act(letters[key])));
    if (!run) return;
    event.preventDefault();
    run();
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-do]");
    if (!button || !table()) return;
    (doings[button.dataset.do] ?? (() => act(button.dataset.do)))();
  });
  document.addEventListener("focusin", (event) => {
    const line = event.target.closest?.("tr.case");
    if (line) last = line.dataset.number;
    for (const one of rows()) one.classList.toggle("at", one.dataset.number === last);
    count();
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches?.("[data-all]")) {
      for (const line of rows()) box(line).checked = event.target.checked;
      count();
    } else if (event.target.closest?.(".cell-select")) count();
    else if (event.target.closest?.("#queue-form") && event.target.name !== "q") ask(150);
  });
  document.addEventListener("input", (event) => {
    if (event.target.name === "q" && event.target.closest("#queue-form")) ask(350);
  });
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "queue-form") return;
    event.preventDefault();
    ask(0);
  });
  document.addEventListener("reset", (event) => {
    if (event.target.id !== "queue-form") return;
    event.preventDefault();
    reset();
  });

  // ---- the page of one incident: the same letters press its steps ----

  const help = () => document.getElementById("incident-keys");
  document.addEventListener("keydown", (event) => {
    if (!help() || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || typing(event.target)) return;
    if (document.querySelector(".q-dialog, dialog[open]")) return;
    if (event.key === "?") help().showModal();
    else if (event.key === "u") document.querySelector("a.back").click();
    else {
      const button = document.querySelector(`.steps [data-step="${letters[event.key.toLowerCase()]}"]`);
      if (!button || event.key.length > 1 || event.key === "m") return;
      button.click();
    }
    event.preventDefault();
  });
  document.addEventListener("click", (event) => event.target.closest?.("[data-keys]") && help().showModal());

  document.addEventListener("scroll", () => waiting.length && window.scrollY < NEAR_TOP && showFresh(), { passive: true });
  return { show, append, arrive, change, drop, clear };
})();

// The page of an incident: what threat lists know of a value.
document.addEventListener("click", (event) => {
  const asked = event.target.closest?.("[data-known]");
  if (asked) emitEvent("known", { value: asked.dataset.known });
});
