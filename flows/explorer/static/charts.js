// The pictures of a page's tables, by Observable Plot. Each has its numbers as a table beside it, which is what screen
// readers are given.
"use strict";
{
  const WIDTH = 900;
  // Left of the axis is room for counts of millions.
  const COMMON = { className: "plot", width: WIDTH, marginLeft: 64, style: "" };

  const mean = (rows, name) => rows.reduce((sum, d) => sum + d[name], 0) / rows.length;

  const bars = (rows, x, y, more = {}) =>
    Plot.plot({ ...COMMON, height: 220, x: { label: x.replaceAll("_", " ") }, y: { grid: true, label: y }, ...more,
      marks: [Plot.barY(rows, { x, y, fill: "var(--link)", tip: true }), Plot.ruleY([0])] });

  const kinds = {
    lengths: (rows) => bars(rows, "tokens", "sentences"),
    margins: (rows) =>
      Plot.plot({ ...COMMON, height: 220, x: { label: "margin" }, y: { grid: true, label: "steps" },
        marks: [Plot.barY(rows, { x: "margin", y: "steps", fill: (d) => (d.margin < 0 ? "var(--accent)" : "var(--link)"), tip: true }),
          Plot.ruleY([0])] }),
    frequency: (rows) =>
      Plot.plot({ ...COMMON, height: 40 + 22 * rows.length, marginLeft: 160, x: { grid: true, label: "per million words" },
        y: { label: null, domain: rows.map((d) => d.value) },
        marks: [Plot.barX(rows, { x: "per_million", y: "value", fill: "var(--link)", tip: true,
          channels: { occurrences: "occurrences", documents: "documents" } }), Plot.ruleX([0])] }),
    // A model without an NSP head has order margins alone.
    coherence: (rows) => {
      const margin = ["margin", "order_margin"].find((name) => rows.some((d) => typeof d[name] === "number"));
      return margin && Plot.plot({ ...COMMON, height: 220, x: { label: "sentence" }, y: { grid: true, label: margin.replace("_", " ") },
        marks: [Plot.ruleY([0], { stroke: "var(--faint)" }),
          Plot.ruleX(rows.filter((d) => d.is_break), { x: "sentence_index", stroke: "var(--accent)", strokeDasharray: "3 3" }),
          Plot.line(rows, { x: "sentence_index", y: margin, stroke: "var(--link)" }),
          Plot.dot(rows, { x: "sentence_index", y: margin, r: 2.5, fill: "var(--link)" }),
          Plot.tip(rows, Plot.pointerX({ x: "sentence_index", y: margin, channels: { percentile: "percentile" } }))] });
    },
    progress: (rows) =>
      Plot.plot({ ...COMMON, height: 220, x: { label: "step" }, y: { grid: true, label: "value" },
        marks: [Plot.line(rows, { x: "step", y: "value", stroke: "var(--link)" }),
          Plot.dot(rows, { x: "step", y: "value", r: 3, fill: "var(--link)", tip: true })] }),
    senses: (rows) => {
      const senses = [...Map.groupBy(rows, (d) => d.sense)].sort(([a], [b]) => a - b);
      return Plot.plot({ ...COMMON, height: 420, inset: 12, x: { axis: null }, y: { axis: null },
        color: { type: "categorical", scheme: "Observable10", domain: senses.map(([sense]) => sense) },
        marks: [Plot.dot(rows, { x: "x", y: "y", stroke: "sense", symbol: "sense", r: 4 }),
          Plot.text(senses, { x: ([, own]) => mean(own, "x"), y: ([, own]) => mean(own, "y"), text: ([sense]) => `sense ${sense}`,
            fontSize: 15, fontWeight: 650, fill: "var(--text)", stroke: "var(--ground)", strokeWidth: 5 }),
          Plot.tip(rows, Plot.pointer({ x: "x", y: "y",
            title: (d) => `${d.text_before.slice(-60)}»${d.word}«${d.text_after.slice(0, 60)}` }))] });
    },
    shares: (rows) =>
      Plot.plot({ ...COMMON, height: 40 + 26 * new Set(rows.map((d) => d.slice)).size, marginLeft: 160,
        x: { label: "share of occurrences", percent: true }, y: { label: null, domain: [...new Set(rows.map((d) => d.slice))] },
        color: { type: "categorical", scheme: "Observable10", domain: [...new Set(rows.map((d) => d.sense))].sort((a, b) => a - b) },
        marks: [Plot.barX(rows, { x: "share", y: "slice", fill: "sense", tip: true }),
          Plot.text(rows, Plot.stackX({ x: "share", y: "slice", text: (d) => (d.share > 0.06 ? `sense ${d.sense}` : ""), fill: "white", stroke: "black", strokeWidth: 2 }))] }),
    keywords: (rows) =>
      Plot.plot({ ...COMMON, height: 40 + 18 * rows.length, marginLeft: 140, x: { grid: true, label: "log ratio" },
        y: { label: null, domain: rows.map((d) => d.word) },
        marks: [Plot.barX(rows, { x: "log_ratio", y: "word", fill: (d) => (d.log_ratio < 0 ? "var(--accent)" : "var(--link)"), tip: true }), Plot.ruleX([0])] }),
    answer: (rows) => rows.length > 1 && answer(rows),
  };

  // The first column of numbers over the first of anything else, or over the first of numbers.
  function answer(rows) {
    const names = Object.keys(rows[0]);
    const numbers = names.filter((name) => rows.every((d) => d[name] === null || typeof d[name] === "number") && rows.some((d) => d[name] !== null));
    const others = names.filter((name) => !numbers.includes(name) && rows.every((d) => d[name] === null || String(d[name]).length < 60));
    const distinct = (name) => new Set(rows.map((d) => d[name])).size === rows.length;
    if (others.some(distinct) && numbers.length && rows.length <= 60) {
      const x = others.find(distinct);
      return Plot.plot({ ...COMMON, height: 40 + 20 * rows.length, marginLeft: 200, x: { grid: true },
        y: { label: null, domain: rows.map((d) => d[x]) },
        marks: [Plot.barX(rows, { x: numbers[0], y: x, fill: "var(--link)", tip: true }), Plot.ruleX([0])] });
    }
    if (numbers.length < 2) return null;
    return Plot.plot({ ...COMMON, height: 320, grid: true,
      marks: [Plot.dot(rows, { x: numbers[0], y: numbers[1], stroke: "var(--link)", tip: true })] });
  }

  function draw(figure) {
    const rows = JSON.parse(document.getElementById(`data-${figure.dataset.source}`).textContent);
    const picture = rows.length ? kinds[figure.dataset.chart](rows) : null;
    if (!picture) return figure.querySelector(".drawn").remove();
    // The whole is one image with a name; its groups are none.
    for (const group of picture.querySelectorAll("g[aria-label]")) group.removeAttribute("aria-label");
    if (figure.dataset.chart === "coherence") {
      picture.addEventListener("click", () => picture.value && (location.hash = `s${picture.value.sentence_index + 1}`));
    }
    figure.querySelector(".drawn").replaceChildren(picture);
  }

  document.querySelectorAll("figure.chart").forEach(draw);
}
