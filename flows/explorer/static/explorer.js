// What a page adds to its text: bars that show how a sentence continues the one before, and the way to the sentence that
// an address names. Without it a page shows the same as text.
"use strict";
// The longer and warmer the bar, the less a sentence continues the one before: the margin is in nats, most within -10 to 10.
for (const sentence of document.querySelectorAll(".sentences li[data-margin]")) {
  if (sentence.dataset.margin === "") continue;
  const doubt = Math.min(1, Math.max(0, (4 - Number(sentence.dataset.margin)) / 12));
  sentence.style.setProperty("--bar", `${3 + 9 * doubt}px`);
  sentence.style.setProperty("--warmth", `color-mix(in oklab, var(--accent) ${Math.round(100 * doubt)}%, var(--line))`);
}
const surprisals = [...document.querySelectorAll(".sentences li[data-surprisal]")].filter((s) => s.dataset.surprisal !== "");
for (const sentence of surprisals) {
  const share = Math.min(1, Number(sentence.dataset.surprisal) / 8);
  sentence.style.setProperty("background-color", `color-mix(in oklab, var(--mark) ${Math.round(100 * share)}%, transparent)`);
}

const here = document.querySelector(".sentences .here");
if (here && !location.hash && !here.closest(".around")) here.scrollIntoView({ block: "center" });

// The map's own scripts are modules, which only the page of a server has.
const map = document.querySelector("section.map");
if (map) import("./map.js").then(({ start }) => start(map));
