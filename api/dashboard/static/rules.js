// The editor of rules: its name for who cannot see it, and the theme when it is switched. Buttons that copy the text below them.
(() => {
  const name = () => {
    for (const editor of document.querySelectorAll(".editor[data-label] .cm-content:not([aria-label])")) {
      editor.setAttribute("aria-label", editor.closest("[data-label]").dataset.label);
    }
  };
  const tell = () => {
    if (document.querySelector(".editor") && window.emitEvent) emitEvent("rules_dark", document.body.classList.contains("body--dark"));
  };
  const copy = async (button) => {
    const text = button.parentElement.nextElementSibling;
    try {
      await navigator.clipboard.writeText(text.textContent);
    } catch { // a page without TLS has no clipboard
      getSelection().selectAllChildren(text);
      document.execCommand("copy");
    }
    button.nextElementSibling.textContent = button.dataset.copy;
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (button) copy(button);
  });
  document.addEventListener("DOMContentLoaded", () => {
    new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
    new MutationObserver(tell).observe(document.body, { attributes: true, attributeFilter: ["class"] });
    setTimeout(tell, 600);
  });
})();
