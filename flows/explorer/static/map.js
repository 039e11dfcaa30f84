// The page of a map: waits until it is made, draws it, tells and lists points, and keeps the view in the address.
import { CODES, NONE, OTHER, Picture, Points } from "./map_points.js";
import { listen } from "./map_gestures.js";

const A_PAGE = 50;
const number = (value) => value.toLocaleString("en");
// Characters that turn the direction of what follows are shown by their numbers, as in the pages' HTML.
const visible = (text) => String(text ?? "").replace(/[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

function make(name, text = "", more = {}) {
  const made = Object.assign(document.createElement(name), more);
  made.textContent = visible(text);
  return made;
}

async function ask(ending, parameters) {
  const answer = await fetch(`map.${ending}?${parameters}`);
  if (answer.ok) return ending === "points" ? answer.arrayBuffer() : answer.json();
  const { error } = await answer.json().catch(() => ({ error: `The server answered ${answer.status}.` }));
  throw new Error(error);
}

export async function start(section) {
  section.hidden = false;
  const status = section.querySelector("[data-status]");
  try {
    const asked = new URLSearchParams(location.search);
    for (const name of ["view", "rows", "page"]) asked.delete(name);
    asked.set("colour", document.getElementById("colour").value);
    const state = await ready(asked, status);
    asked.set("version", state.version);
    new Page(section, status, state, new Points(await ask("points", asked)), asked);
  } catch (error) {
    status.textContent = error.message;
    status.classList.add("error");
  }
}

async function ready(asked, status) {
  for (;;) {
    const state = await ask("state", asked);
    if (state.ready) return state;
    status.textContent = `${state.doing}${state.share ? `: ${Math.round(100 * state.share)} %` : " …"}`;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

class Page {
  constructor(section, status, state, points, asked) {
    Object.assign(this, { section, status, state, points, asked, texts: new Map(), rows: [] });
    const find = (selector) => section.querySelector(selector);
    this.canvas = find("canvas"), this.told = find(".told"), this.ring = find(".ring"), this.polygon = find("polygon");
    this.picture = new Picture(this.canvas, points, (drawn) => this.say(drawn));
    section.picture = this.picture; // for the benchmark and the tests
    status.removeAttribute("role"); // it changes with every frame from here on, which nobody wants read out
    this.#legend(find(".legend"));
    this.#colours();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#colours());
    this.#restore();
    new ResizeObserver(() => (this.picture.resize(), this.picture.redraw())).observe(this.canvas);
    this.lassoing = listen(this.canvas, this);
    for (const button of section.querySelectorAll("[data-do]")) button.addEventListener("click", () => this.#press(button));
    this.picture.redraw();
  }

  // What is drawn, and what is left out.
  say({ drawn, inView }) {
    const { points, of, sampled } = this.state, parts = [];
    parts.push(drawn < inView ? `${this.picture.moving ? "While moving, " : ""}${number(drawn)} of ${number(inView)} points in view are drawn` : `${number(inView)} of ${number(points)} points in view`);
    if (points < of) parts.push(`the filter leaves ${number(points)} of ${number(of)}`);
    if (sampled) parts.push(`a random ${number(of)} of all occurrences`);
    if (this.rows.length) parts.push(`${number(this.rows.length)} chosen`);
    this.status.textContent = `${parts.join("; ")}.`;
  }

  // Gestures.
  pan(dx, dy) { this.picture.pan(dx, dy), this.#moved(); }
  zoom(factor, x, y) { this.picture.zoom(factor, x, y), this.#moved(); }
  away() { this.#tell(-1); }
  point(x, y) { this.#tell(this.#at(x, y)); }
  drawn(path) { this.polygon.setAttribute("points", path.map((p) => p.map(Math.round).join(",")).join(" ")); }
  lasso(path) {
    this.drawn([]);
    // Every point is compared with every corner: 150 are as good as what a hand draws.
    const each = Math.ceil(path.length / 150);
    this.#choose(path.filter((_, i) => i % each === 0).map(([x, y]) => this.picture.place(x, y)));
  }
  async tap(x, y, byTouch) {
    const point = this.#at(x, y);
    this.#tell(point);
    if (point >= 0 && !byTouch) this.#open(point);
  }
  key(name) {
    if (name === "moved") this.#tell(this.#middle());
    else if (name === "0") this.picture.whole(), this.picture.moved(), this.#moved();
    else if (name === "a" || name === "A") this.#inside();
    else if (name === "Escape") this.#choose(null);
    else if (name === "Enter") this.#open(this.pointed ?? this.#middle());
    else return false;
    return true;
  }

  #at(x, y) { return this.points.nearest(...this.picture.place(x, y), (12 * this.picture.ratio) / this.picture.scale); }
  #middle() { return this.points.nearest(this.picture.view.x, this.picture.view.y, (80 * this.picture.ratio) / this.picture.scale); }

  #press(button) {
    const action = button.dataset.do;
    if (action === "lasso") button.setAttribute("aria-pressed", (this.lassoing.on = !this.lassoing.on));
    else if (action === "in") this.zoom(1.5);
    else if (action === "out") this.zoom(1 / 1.5);
    else if (action === "whole") this.key("0");
    else if (action === "inside") this.#inside();
    else this.#choose(null);
  }

  #inside() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.#choose([[0, 0], [width, 0], [width, height], [0, height]].map(([x, y]) => this.picture.place(x, y)));
  }

  // The view is in the address, and in the form, so that it outlasts another colour.
  #moved() {
    this.#tell(-1);
    clearTimeout(this.noting);
    this.noting = setTimeout(() => {
      const { x, y, zoom } = this.picture.view, view = [x, y, zoom].map((value) => Number(value.toPrecision(6))).join(",");
      const address = new URL(location);
      address.searchParams.set("view", view);
      history.replaceState(null, "", address);
      document.querySelector("input[name=view]").value = view;
    }, 300);
  }

  #restore() {
    const [x, y, zoom] = (new URLSearchParams(location.search).get("view") ?? "").split(",").map(Number);
    if (Number.isFinite(x) && Number.isFinite(y) && zoom > 0) Object.assign(this.picture.view, { x, y, zoom: Math.min(5000, zoom) });
  }

  // Colours come from the style sheet, so that they are those of light or dark.
  #colours() {
    const swatches = Array.from({ length: CODES }, (_, code) => make("span", "", { className: `swatch c${code}`, hidden: false }));
    this.section.append(...swatches);
    this.picture.colour(getComputedStyle(this.canvas).backgroundColor, swatches.map((swatch) => getComputedStyle(swatch).backgroundColor));
    for (const swatch of swatches) swatch.remove();
  }

  #legend(list) {
    const order = (code) => (code === OTHER || code === NONE ? 100 + code : code);
    const entries = this.state.legend.toSorted((a, b) => order(a.code) - order(b.code)).map(({ code, label, points }) => {
      const button = make("button", "", { type: "button", ariaPressed: "false" }), entry = make("li");
      button.append(make("span", "", { className: `swatch c${code}` }), make("bdi", label), make("small", number(points)));
      button.addEventListener("click", () => {
        this.points.only = this.points.only === code ? -1 : code;
        for (const other of list.querySelectorAll("button")) other.ariaPressed = String(other === button && this.points.only === code);
        this.picture.redraw();
      });
      entry.append(button);
      return entry;
    });
    list.replaceChildren(...entries);
  }

  // Texts are asked for by row, and only of what is pointed at or listed.
  async #read(rows) {
    const missing = rows.filter((row) => !this.texts.has(row));
    if (missing.length) {
      const parameters = new URLSearchParams(this.asked);
      parameters.set("rows", missing.join(","));
      for (const found of (await ask("json", parameters)).points) this.texts.set(found.row, found);
    }
    return rows.map((row) => this.texts.get(row)).filter(Boolean);
  }

  #tell(point) {
    if (point === this.pointed) return;
    this.pointed = point;
    clearTimeout(this.telling);
    this.told.hidden = this.ring.hidden = point < 0;
    this.canvas.style.cursor = point < 0 ? "" : "pointer";
    if (point < 0) return;
    const [x, y] = this.picture.pixel(this.points.x[point], this.points.y[point]);
    this.ring.style.translate = `${x}px ${y}px`;
    this.told.textContent = "…";
    const toLeft = x > this.canvas.clientWidth / 2, above = y > this.canvas.clientHeight / 2;
    this.told.style.translate = `calc(${x}px - ${toLeft ? "100% - 24px" : "0px"}) calc(${y}px - ${above ? "100% - 24px" : "0px"})`;
    this.telling = setTimeout(async () => {
      try {
        const [row] = await this.#read([this.points.row[point]]);
        if (row && this.pointed === point) this.told.replaceChildren(item(row, 300));
      } catch (error) {
        this.told.textContent = error.message;
      }
    }, 60);
  }

  async #open(point) {
    if (point < 0) return;
    const [row] = await this.#read([this.points.row[point]]);
    if (row) location.assign(placeOf(row));
  }

  #choose(polygon) {
    this.rows = this.points.choose(polygon);
    this.section.querySelector("[data-do=none]").hidden = !this.rows.length;
    this.picture.redraw();
    this.#list(0);
  }

  async #list(page) {
    const title = document.querySelector("[data-list-title]"), list = document.querySelector("[data-list]");
    this.unlisted ??= { title: title.textContent, nodes: [...list.childNodes] };
    if (!this.rows.length) return (title.textContent = this.unlisted.title), list.replaceChildren(...this.unlisted.nodes);
    const rows = this.rows;
    title.textContent = `${number(rows.length)} chosen points`;
    const found = await this.#read(rows.slice(page * A_PAGE, (page + 1) * A_PAGE)).catch((error) => error);
    if (rows !== this.rows) return;
    if (found instanceof Error) return list.replaceChildren(make("p", found.message, { className: "error" }));
    const hits = make("ul", "", { className: "hits" });
    hits.append(...found.map((row) => { const entry = make("li"); entry.append(item(row, 1000)); return entry; }));
    const sql = make("p");
    sql.append(make("a", `These ${number(found.length)} in SQL`, { href: `sql?${new URLSearchParams({ q: condition(found) })}` }));
    list.replaceChildren(sql, hits, this.#pager(page, Math.ceil(rows.length / A_PAGE)));
  }

  #pager(page, pages) {
    const nav = make("nav", "", { className: "pager", ariaLabel: "Pages of the chosen points" });
    const step = (text, to) => {
      const button = make("button", text, { type: "button", disabled: to < 0 || to >= pages });
      button.addEventListener("click", () => this.#list(to));
      return button;
    };
    if (pages > 1) nav.append(step("Previous", page - 1), make("span", `Page ${number(page + 1)} of ${number(pages)}`), step("Next", page + 1));
    return nav;
  }
}

const placeOf = (row) => `sentence?${new URLSearchParams({ doc: row.doc_id, i: row.sentence_index })}`;

function item(row, most) {
  const made = make("span", "", { dir: "auto" }), short = (text) => (text.length > most ? `${text.slice(0, most)}…` : text);
  if ("word" in row) made.append(make("bdi", row.text_before.slice(-90)), make("a", row.word, { href: placeOf(row) }), make("bdi", row.text_after.slice(0, 90)));
  else made.append(make("a", short(row.text), { href: placeOf(row) }));
  made.append(" ", make("small", row.title || row.doc_id));
  return made;
}

// The sentences of some rows as a condition, by document.
function condition(rows) {
  const byDocument = Map.groupBy(rows, (row) => row.doc_id);
  const each = [...byDocument].map(([doc, own]) => `doc_id = '${doc.replaceAll("'", "''")}' AND sentence_index IN (${[...new Set(own.map((row) => row.sentence_index))].join(", ")})`);
  return `SELECT doc_id, sentence_index, n_tokens, text FROM sentences\nWHERE ${each.join("\n   OR ")}`;
}
