// What hands do on a map: drag, wheel, two fingers and keys move it; a lasso chooses. Knows neither points nor texts.

const PAN = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

// `on` has pan(dx, dy), zoom(factor, x, y), point(x, y), away(), tap(x, y, byTouch), lasso(pixels), drawn(pixels), key(name).
export function listen(canvas, on) {
  const held = new Map();
  let path = null, travelled = 0;
  const lassoing = { on: false };
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, at(event));
    travelled = 0;
    path = held.size === 1 && (event.shiftKey || lassoing.on) ? [at(event)] : null;
    if (!path) on.drawn([]);
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = at(event), before = held.get(event.pointerId);
    if (!before) return on.point(...now);
    held.set(event.pointerId, now);
    travelled += Math.hypot(now[0] - before[0], now[1] - before[1]);
    if (path) return path.push(now), on.drawn(path);
    if (held.size === 1) return travelled > 4 && on.pan(now[0] - before[0], now[1] - before[1]);
    const other = [...held].find(([id]) => id !== event.pointerId)[1];
    const apart = (point) => Math.max(1, Math.hypot(point[0] - other[0], point[1] - other[1]));
    on.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    on.zoom(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  });
  const up = (event) => {
    if (!held.delete(event.pointerId)) return;
    if (path && path.length > 2) on.lasso(path);
    else if (travelled <= 4 && event.type === "pointerup") on.tap(...at(event), event.pointerType === "touch");
    path = null;
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("pointerleave", (event) => {
    // A finger leaves as soon as it is lifted; what it told stays, to be opened.
    if (!held.size && event.pointerType !== "touch") on.away();
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    on.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0018)), ...at(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in PAN) on.pan(...PAN[event.key]);
    else if (event.key === "+" || event.key === "=") on.zoom(1.4);
    else if (event.key === "-") on.zoom(1 / 1.4);
    else if (!on.key(event.key)) return;
    else return event.preventDefault();
    event.preventDefault();
    on.key("moved");
  });
  return lassoing;
}
