// Files people bring: the browser posts them to the API and tells the page what it answered, by the event `file`: `upload` (where to),
// `status` (0: no answer came), `larger` (than allowed: it was not sent), `problem` (what the API refused, and why).
(() => {
  const post = async (file, { upload, csrf }) => {
    const answer = await fetch(`${upload}?${new URLSearchParams({ name: file.name })}`, {
      method: "POST",
      body: file,
      headers: { "X-CSRF-Token": csrf, "Content-Type": "application/octet-stream" },
    });
    return { status: answer.status, larger: false, problem: answer.ok ? null : await answer.json() };
  };

  const send = async (field) => {
    const [file] = field.files;
    if (!file) return;
    field.disabled = true;
    const larger = file.size > Number(field.dataset.most);
    const unsent = { status: 0, larger, problem: null };
    const answer = larger ? { ...unsent, status: 413 } : await post(file, field.dataset).catch(() => unsent);
    field.disabled = false;
    field.value = "";
    emitEvent("file", { upload: field.dataset.upload, ...answer });
  };

  // Heard at the field: while somebody looks for a file the page may be built anew, and what happens to the old field stays with it.
  document.addEventListener("click", (event) => {
    if (event.target.matches?.("input[data-upload]")) event.target.onchange = () => send(event.target);
  });
})();
