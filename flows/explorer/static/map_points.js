// A million points on a canvas, each a few pixels that are written here, in JavaScript. Under software rendering that is
// ten times and more faster than WebGL's points, and as fast on every machine; benchmarks/map_frames.py measures it.
//
// Points come in random order. They are sorted into square tiles, random within each, so that what is out of view costs
// nothing and any first part of every tile is a fair sample of what is in view.

const TILES = 32;
const SLICE_MS = 12;
export const OTHER = 10, NONE = 11, CODES = 20;
const DIM = 32;

export class Points {
  // `buffer`: all places as two float32, all row numbers as uint32, all codes as a byte each.
  constructor(buffer) {
    const n = (this.count = buffer.byteLength / 13);
    const places = new Float32Array(buffer, 0, 2 * n), rows = new Uint32Array(buffer, 8 * n, n), codes = new Uint8Array(buffer, 12 * n, n);
    let west = Infinity, east = -Infinity, south = Infinity, north = -Infinity;
    for (let i = 0; i < n; i++) {
      const x = places[2 * i], y = places[2 * i + 1];
      if (x < west) west = x;
      if (x > east) east = x;
      if (y < south) south = y;
      if (y > north) north = y;
    }
    if (!n) west = south = -1, east = north = 1;
    this.bounds = { west, south, side: Math.max(east - west, north - south, 1e-6), width: Math.max(east - west, 1e-6), height: Math.max(north - south, 1e-6) };
    this.x = new Float32Array(n), this.y = new Float32Array(n), this.row = new Uint32Array(n), this.code = new Uint8Array(n);
    this.chosen = new Uint8Array(n), this.anyChosen = false, this.only = -1;
    this.#sort(places, rows, codes);
  }

  #sort(places, rows, codes) {
    const n = this.count, tile = new Uint16Array(n), start = (this.start = new Uint32Array(TILES * TILES + 1));
    for (let i = 0; i < n; i++) start[1 + (tile[i] = this.#tile(places[2 * i], places[2 * i + 1]))]++;
    for (let t = 0; t < TILES * TILES; t++) start[t + 1] += start[t];
    const next = start.slice(0, -1);
    for (let i = 0; i < n; i++) {
      const to = next[tile[i]]++;
      this.x[to] = places[2 * i], this.y[to] = places[2 * i + 1], this.row[to] = rows[i], this.code[to] = codes[i];
    }
  }

  #column(x) { return Math.max(0, Math.min(TILES - 1, Math.floor(((x - this.bounds.west) / this.bounds.side) * TILES))); }
  #line(y) { return Math.max(0, Math.min(TILES - 1, Math.floor(((y - this.bounds.south) / this.bounds.side) * TILES))); }
  #tile(x, y) { return this.#line(y) * TILES + this.#column(x); }

  // The tiles that meet a rectangle, each as its first point and the one after its last.
  *within(west, south, east, north) {
    for (let line = this.#line(south); line <= this.#line(north); line++)
      for (let column = this.#column(west); column <= this.#column(east); column++) {
        const tile = line * TILES + column;
        if (this.start[tile + 1] > this.start[tile]) yield [this.start[tile], this.start[tile + 1]];
      }
  }

  // The point nearest to a place, no further than `reach`; -1 if there is none.
  nearest(x, y, reach) {
    let best = -1, least = reach * reach;
    for (const [from, to] of this.within(x - reach, y - reach, x + reach, y + reach))
      for (let i = from; i < to; i++) {
        const distance = (this.x[i] - x) ** 2 + (this.y[i] - y) ** 2;
        if (distance < least) (least = distance), (best = i);
      }
    return best;
  }

  // Choose the points inside a polygon of places; null for none. Returns their rows.
  choose(polygon) {
    this.chosen.fill(0), (this.anyChosen = false);
    if (!polygon) return [];
    const xs = polygon.map(([x]) => x), ys = polygon.map(([, y]) => y), rows = [];
    for (const [from, to] of this.within(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)))
      for (let i = from; i < to; i++) if (inside(this.x[i], this.y[i], xs, ys)) (this.chosen[i] = 1), rows.push(this.row[i]);
    this.anyChosen = rows.length > 0;
    return rows;
  }
}

function inside(x, y, xs, ys) {
  let odd = false;
  for (let i = 0, j = xs.length - 1; i < xs.length; j = i++)
    if (ys[i] > y !== ys[j] > y && x < ((xs[j] - xs[i]) * (y - ys[i])) / (ys[j] - ys[i]) + xs[i]) odd = !odd;
  return odd;
}

export class Picture {
  // `told` gets what is drawn: { drawn, inView, seconds } after each frame.
  constructor(canvas, points, told = () => {}) {
    this.canvas = canvas, this.points = points, this.told = told;
    // Its pixels are written by this script, so they are best kept where it runs.
    this.context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    this.share = 1; // of the points in view, what is drawn while moving
    this.done = 0, this.moving = false, this.waiting = 0;
    this.palette = new Uint32Array(2 * DIM).fill(0xff888888), this.ground = 0xffffffff;
    this.resize();
    this.whole();
  }

  resize() {
    this.ratio = Math.min(2, devicePixelRatio || 1);
    this.width = Math.max(1, Math.round(this.canvas.clientWidth * this.ratio));
    this.height = Math.max(1, Math.round(this.canvas.clientHeight * this.ratio));
    this.canvas.width = this.width, this.canvas.height = this.height;
    this.image = new ImageData(this.width, this.height), this.pixels = new Uint32Array(this.image.data.buffer);
  }

  // Pixels per unit at which the whole map fits.
  get fitting() {
    const { width, height } = this.points.bounds;
    return 0.94 * Math.min(this.width / width, this.height / height);
  }

  whole() {
    const { west, south, width, height } = this.points.bounds;
    this.view = { x: west + width / 2, y: south + height / 2, zoom: 1 };
  }

  get scale() { return this.fitting * this.view.zoom; }
  // From pixels of the page, from the canvas's corner, to a place on the map, and back.
  place(px, py) {
    return [(px * this.ratio - this.width / 2) / this.scale + this.view.x, (this.height / 2 - py * this.ratio) / this.scale + this.view.y];
  }
  pixel(x, y) {
    return [((x - this.view.x) * this.scale + this.width / 2) / this.ratio, (this.height / 2 - (y - this.view.y) * this.scale) / this.ratio];
  }

  pan(dx, dy) {
    this.view.x -= (dx * this.ratio) / this.scale, this.view.y += (dy * this.ratio) / this.scale;
    this.moved();
  }

  // Zoom by a factor, with what is at a pixel of the page staying there.
  zoom(factor, px = this.width / this.ratio / 2, py = this.height / this.ratio / 2) {
    const [x, y] = this.place(px, py);
    this.view.zoom = Math.max(0.5, Math.min(5000, this.view.zoom * factor));
    const [newX, newY] = this.place(px, py);
    this.view.x += x - newX, this.view.y += y - newY;
    this.moved();
  }

  // While something moves, a frame draws no more than it has time for; a moment later, all.
  moved() {
    this.moving = true;
    clearTimeout(this.rest);
    this.rest = setTimeout(() => ((this.moving = false), this.#ask()), 150);
    this.redraw();
  }

  redraw() {
    this.done = 0;
    this.#ask();
  }

  #ask() { this.waiting ||= requestAnimationFrame(() => ((this.waiting = 0), this.#frame())); }

  #frame() {
    const began = performance.now(), visible = this.#visible();
    const inView = visible.reduce((sum, [from, to]) => sum + to - from, 0);
    if (!this.done) {
      this.pixels.fill(this.ground);
      this.#draw(visible, 0, (this.done = this.share));
      // The next frame draws what fits into 25 ms, of which half of the change is believed.
      const took = performance.now() - began;
      this.share = Math.min(1, Math.max(0.005, this.share * (0.5 + 0.5 * (25 / Math.max(took, 1)))));
    }
    // At rest, the others are added in slices, so that a hand that moves on does not wait for them.
    while (!this.moving && this.done < 1 && performance.now() - began < SLICE_MS) {
      const until = Math.min(1, this.done + Math.max(0.002, 30_000 / Math.max(1, inView)));
      this.#draw(visible, this.done, until);
      this.done = until;
    }
    this.context.putImageData(this.image, 0, 0);
    this.told({ drawn: Math.round(inView * this.done), inView, seconds: (performance.now() - began) / 1000 });
    if (!this.moving && this.done < 1) this.#ask();
  }

  #visible() {
    const [west, north] = this.place(0, 0), [east, south] = this.place(this.width / this.ratio, this.height / this.ratio);
    return [...this.points.within(west, south, east, north)];
  }

  // Wider points where there is room for them: a sixth of the area if they were spread evenly, 2 to 9 pixels of the screen.
  get size() {
    const each = (this.width * this.height) / Math.max(1, this.points.count / this.view.zoom ** 1.5);
    return Math.round(Math.max(2, Math.min(9, 0.4 * Math.sqrt(each) / this.ratio)) * this.ratio);
  }

  #draw(tiles, from, until) {
    const { x, y, code, chosen, anyChosen, only } = this.points, { pixels, palette, width, height, scale, size } = this;
    const left = width / 2 - this.view.x * scale - size / 2, top = height / 2 + this.view.y * scale - size / 2;
    const right = width - size, bottom = height - size, spans = discs(size);
    for (const [first, end] of tiles) {
      const last = first + Math.round((end - first) * until);
      for (let i = first + Math.round((end - first) * from); i < last; i++) {
        const u = (x[i] * scale + left) | 0, v = (top - y[i] * scale) | 0;
        if (u < 0 || v < 0 || u > right || v > bottom) continue;
        const dim = (anyChosen && !chosen[i]) || (only >= 0 && code[i] !== only) ? DIM : 0, colour = palette[code[i] + dim];
        let at = v * width + u;
        if (size === 2) {
          pixels[at] = pixels[at + 1] = pixels[at + width] = pixels[at + width + 1] = colour;
          continue;
        }
        for (let line = 0; line < size; line++, at += width) for (let p = at + spans[line], to = at + size - spans[line]; p < to; p++) pixels[p] = colour;
      }
    }
  }

  // Colours as `rgb(1, 2, 3)`, those of a page's elements; dimmed ones are nearly the ground.
  colour(ground, colours) {
    const parts = (text) => text.match(/[\d.]+/g).slice(0, 3).map(Number);
    const word = ([r, g, b]) => (0xff000000 | (Math.round(b) << 16) | (Math.round(g) << 8) | Math.round(r)) >>> 0;
    const under = parts(ground);
    this.ground = word(under);
    colours.forEach((text, code) => {
      const own = parts(text);
      this.palette[code] = word(own);
      this.palette[code + DIM] = word(own.map((value, i) => 0.18 * value + 0.82 * under[i]));
    });
    this.redraw();
  }
}

// How many pixels each line of a disc leaves out at either end.
const known = new Map();
function discs(size) {
  if (!known.has(size)) {
    const radius = size / 2, line = (_, i) => (size < 4 ? 0 : Math.round(radius - Math.sqrt(radius ** 2 - (i + 0.5 - radius) ** 2)));
    known.set(size, Uint8Array.from({ length: size }, line));
  }
  return known.get(size);
}
