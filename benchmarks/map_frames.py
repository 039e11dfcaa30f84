"""Frames a second of the explorer's map, with as many points as it is given, drawn without a GPU.

    python -m polyseme embed examples/corpus --lake map-lake
    python -m benchmarks.map_frames --lake map-lake --points 1000000

Serves the explorer of a lake whose map is replaced by random points, in clusters and everywhere, and opens it in a
headless Chromium. Needs Playwright (`pip install 'polyseme[browser]'`) and a Chromium: `--browser` says where it is.
"""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import uvicorn
from playwright.sync_api import Page, sync_playwright

from polyseme.flows.explorer.app import application
from polyseme.flows.explorer.live_lake import LiveLake
from polyseme.flows.explorer.point_maps import PointMap, Progress
from polyseme.flows.explorer.security import LOOPBACK
from polyseme.flows.explorer.server import bound
from polyseme.storage.lake import Lake
from polyseme.tasks.sql.functions import ModelFunctions

MOVES = {
    "pan, whole map": "picture.pan(9 * Math.sin(n / 7), 5 * Math.cos(n / 5))",
    "zoom in and out": "picture.zoom(Math.exp(0.08 * Math.sin(n / 10)), 500, 200)",
    "pan, zoomed in 4 times": "(n || picture.zoom(4), picture.pan(14 * Math.sin(n / 7), 6 * Math.cos(n / 5)))",
}
MEASURE = """async ([move, seconds]) => {
  const picture = document.querySelector("section.map").picture, each = new Function("picture", "n", move);
  picture.whole();
  const frames = [], told = picture.told;
  picture.told = (drawn) => (frames.push({ ...drawn, at: performance.now() }), told(drawn));
  const end = performance.now() + 1000 * seconds;
  for (let n = 0; performance.now() < end; n++) {
    each(picture, n);
    await new Promise(requestAnimationFrame);
  }
  const moving = frames.slice(Math.floor(frames.length / 4));
  const lifted = performance.now();
  while (picture.moving || picture.done < 1) await new Promise(requestAnimationFrame);
  picture.told = told;
  const middle = (values) => values.sort((a, b) => a - b)[values.length >> 1];
  return {
    fps: (1000 * (moving.length - 1)) / (moving.at(-1).at - moving[0].at),
    slowest: Math.max(...moving.slice(1).map((f, i) => f.at - moving[i].at)),
    drawing: 1000 * middle(moving.map((f) => f.seconds)),
    drawn: middle(moving.map((f) => f.drawn)),
    inView: middle(moving.map((f) => f.inView)),
    rest: performance.now() - lifted,
    all: frames.at(-1).drawn,
  };
}"""
WEBGL = """([count, width, height]) => {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const gl = canvas.getContext("webgl2", { antialias: false, alpha: false });
  if (!gl) return null;
  const program = gl.createProgram();
  for (const [kind, source] of [
    [gl.VERTEX_SHADER, "in vec2 at; void main() { gl_Position = vec4(at, 0., 1.); gl_PointSize = 2.; }"],
    [gl.FRAGMENT_SHADER, "precision mediump float; out vec4 o; void main() { o = vec4(1., 0., 0., 1.); }"],
  ]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, "#version 300 es\\n" + source), gl.compileShader(shader), gl.attachShader(program, shader);
  }
  gl.linkProgram(program), gl.useProgram(program), gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
  const places = Float32Array.from({ length: 2 * count }, () => 2 * Math.random() - 1), pixel = new Uint8Array(4);
  gl.bufferData(gl.ARRAY_BUFFER, places, gl.STATIC_DRAW), gl.enableVertexAttribArray(0);
  gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
  const took = Array.from({ length: 5 }, () => {
    const began = performance.now();
    gl.clear(gl.COLOR_BUFFER_BIT), gl.drawArrays(gl.POINTS, 0, count);
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel); // waits until they are there
    return performance.now() - began;
  });
  return took.sort((a, b) => a - b)[took.length >> 1];
}"""


class Crowded(LiveLake):
    """A lake whose map has other points than its sentences."""

    points = PointMap.empty()

    def sentence_map(self) -> PointMap | Progress:
        """Return the random points."""
        return self.points


def main() -> None:
    """Serve, open, move, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--browser", default="/usr/bin/chromium")
    options = parser.parse_args()
    with bound("127.0.0.1", 0) as listening, Crowded(Lake(options.lake), ModelFunctions) as lake:
        docs = lake.ask("SELECT doc_id FROM documents ORDER BY doc_id")["doc_id"].combine_chunks()
        lake.points = random_points(options.points, docs)
        app = application(lake, title="Map", names=LOOPBACK)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            look(f"http://127.0.0.1:{listening.getsockname()[1]}/map?of=sentences&colour=document", options)
        finally:
            server.should_exit = True
            thread.join()


def look(address: str, options: argparse.Namespace) -> None:
    """Open the page and move in it, then draw as many points by WebGL, without a GPU."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.browser, args=["--no-sandbox", "--disable-gpu"])
        # As the explorer's policy forbids a script made of text, which is how the moves are given here.
        page = browser.new_context(viewport={"width": 1366, "height": 768}, bypass_csp=True).new_page()
        began = time.perf_counter()
        page.goto(address)
        page.locator("[data-status]", has_text="in view").wait_for(timeout=60_000)
        width, height = page.evaluate("(c => [c.width, c.height])(document.querySelector('section.map canvas'))")
        print(
            f"{options.points:,} points on {width} × {height} pixels, there after {time.perf_counter() - began:.1f} s"
        )
        for name, move in MOVES.items():
            report(name, page, move, options.seconds)
        browser.close()
        software = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        browser = playwright.chromium.launch(executable_path=options.browser, args=software)
        took = browser.new_page().evaluate(WEBGL, [options.points, width, height])
        print(f"SwiftShader takes {took:.0f} ms to draw all once" if took else "This browser has no WebGL")
        browser.close()


def report(name: str, page: Page, move: str, seconds: float) -> None:
    """Print the frames of one way to move."""
    found = page.evaluate(MEASURE, [move, seconds])
    print(
        f"{name}: {found['fps']:.0f} frames/s (slowest {found['slowest']:.0f} ms, drawing {found['drawing']:.0f} ms), "
        f"{found['drawn']:,} of {found['inView']:,} in view drawn while moving; "
        f"all {found['all']:,} {found['rest']:.0f} ms after"
    )


def random_points(count: int, docs: pa.Array) -> PointMap:
    """Return points of which most lie in two hundred clusters."""
    random = np.random.default_rng(0)
    centre = random.uniform(-0.9, 0.9, (200, 2))
    cluster = random.integers(0, 200, count)
    place = centre[cluster] + random.normal(0, 0.03, (count, 2))
    alone = random.random(count) < 0.2
    place[alone] = random.uniform(-1, 1, (int(alone.sum()), 2))
    doc = (cluster % len(docs)).astype(np.int32)
    return PointMap("random", docs, doc, np.zeros(count, np.int32), place.astype(np.float32))


if __name__ == "__main__":
    main()
