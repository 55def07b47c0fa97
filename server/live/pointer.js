// What the mouse, a pen or a finger does to the image.

const CONTRAST_PX = 250; // of dragging that widen the window e-fold
const NOTCH_PX = 50; // of scrolling in one event: a wheel's notch, one slice
const TOUCHPAD_PX = 60; // of smaller scrolling that are one slice
const ZOOM_PX = 500;

/** Let a pointer act on a viewport's canvas; `changed` is called after each change. */
export function listenToPointer(viewport, view, changed) {
  const { canvas } = viewport;
  let drag = null;
  let scrolled = 0;

  const pointAt = (event) => {
    const box = canvas.getBoundingClientRect();
    return viewport.toPatient(event.clientX - box.left, event.clientY - box.top);
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (!view.entry || !viewport.plane) return;
    canvas.focus();
    canvas.setPointerCapture(event.pointerId);
    const tool = event.button === 0 && !event.shiftKey ? view.tool : "pan";
    drag = { tool, x: event.clientX, y: event.clientY };
    if (tool in TOOLS && TOOLS[tool].down) TOOLS[tool].down(view, pointAt(event));
    event.preventDefault();
    changed();
  });

  canvas.addEventListener("pointermove", (event) => {
    if (!drag || !view.entry) return;
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    Object.assign(drag, { x: event.clientX, y: event.clientY });
    TOOLS[drag.tool].drag(view, { dx, dy, scale: viewport.scale, point: pointAt(event) });
    changed();
  });

  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (drag = null));
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());

  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      if (!view.entry || !viewport.plane) return;
      const pixels = event.deltaMode === 1 ? event.deltaY * 20 : event.deltaY;
      if (event.ctrlKey) view.zoomBy(Math.exp(-pixels / ZOOM_PX), pointAt(event));
      else if (Math.abs(pixels) >= NOTCH_PX) view.step(Math.sign(pixels));
      else {
        scrolled += pixels;
        const steps = Math.trunc(scrolled / TOUCHPAD_PX);
        scrolled -= steps * TOUCHPAD_PX;
        if (steps) view.step(steps);
      }
      changed();
    },
    { passive: false },
  );
}

const TOOLS = {
  window: {
    drag: (view, { dx, dy }) => view.changeWindow(view.entry, Math.exp(dx / CONTRAST_PX), dy / CONTRAST_PX),
  },
  pan: { drag: (view, { dx, dy, scale }) => view.panBy(-dx / scale, -dy / scale) },
  cross: {
    down: (view, point) => view.mark("cross", point),
    drag: (view, { point }) => view.mark("cross", point),
  },
  ruler: {
    down: (view, point) => view.mark("ruler", [point, point]),
    drag: (view, { point }) => view.mark("ruler", [view.marks.ruler[0], point]),
  },
  needle: {
    down: (view, point) => view.mark("needle", point),
    drag: (view, { point }) => view.mark("needle", point),
  },
  target: {
    down: (view, point) => view.mark("target", point),
    drag: (view, { point }) => view.mark("target", point),
  },
};
