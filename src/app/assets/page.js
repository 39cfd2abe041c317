"use strict";
// Copies an address, keeps what is said of a stream up to date, and loads the page again when a
// stream has come or gone. The page is whole without this.
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
function tell(stream) {
  const articles = [...document.querySelectorAll("article[data-stream]")];
  const article = articles.find((a) => a.dataset.stream === stream.app + "/" + stream.name);
  if (!article) return;
  const facts = ["live"];
  if (stream.width && stream.height) facts.push(stream.width + "×" + stream.height);
  if (stream.kbit_s) facts.push((Math.round(stream.kbit_s / 100) / 10).toFixed(1) + " Mbit/s");
  article.querySelector(".facts").textContent = facts.join(" · ");
  const problem = article.querySelector(".problem");
  problem.textContent = stream.problem ?? "";
  problem.hidden = !stream.problem;
}
const shown = document.body.dataset.live;
setInterval(async () => {
  if (document.hidden) return;
  try {
    const status = await (await fetch("/status.json", { cache: "no-store" })).json();
    const live = status.streams.filter((s) => s.live).map((s) => s.app + "/" + s.name).join(" ");
    if (live !== shown) return location.reload();
    for (const stream of status.streams) tell(stream);
  } catch { /* The box is away; try again. */ }
}, 5000);
