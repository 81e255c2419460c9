// Files people bring: the browser posts them to the API and tells the page what it answered, by the event `sent` of the field:
// `status` (0: no answer came), `most` (it is larger than allowed and was not sent), `problem` (what the API refused, and why).
(() => {
  const post = async (file, { upload, csrf }) => {
    const answer = await fetch(`${upload}?${new URLSearchParams({ name: file.name })}`, {
      method: "POST",
      body: file,
      headers: { "X-CSRF-Token": csrf, "Content-Type": "application/octet-stream" },
    });
    return { status: answer.status, most: false, problem: answer.ok ? null : await answer.json() };
  };

  const send = async (field) => {
    const [file] = field.files;
    if (!file) return;
    field.disabled = true;
    const larger = file.size > Number(field.dataset.most);
    const detail = larger ? { status: 413, most: true, problem: null } : await post(file, field.dataset).catch(() => ({ status: 0, most: false, problem: null }));
    field.disabled = false;
    field.value = "";
    field.dispatchEvent(new CustomEvent("sent", { bubbles: true, detail }));
  };

  document.addEventListener("change", (event) => {
    if (event.target.matches?.("input[data-upload]")) send(event.target);
  });
})();
