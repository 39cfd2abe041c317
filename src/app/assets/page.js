"use strict";
// Copies an address, and loads the page again when a stream has come or gone. The page is whole
// without this.
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copy);
    field.select();
    // The clipboard needs a secure page; a box on the local network has none.
    try { await navigator.clipboard.writeText(field.value); } catch { document.execCommand("copy"); }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}
const shown = document.body.dataset.live;
setInterval(async () => {
  if (document.hidden) return;
  try {
    const status = await (await fetch("/status.json", { cache: "no-store" })).json();
    const live = status.streams.filter((s) => s.live).map((s) => s.app + "/" + s.name).join(" ");
    if (live !== shown) location.reload();
  } catch { /* The box is away; try again. */ }
}, 5000);
