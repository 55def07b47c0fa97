// The scan on an axis of seconds: readouts, calibration, images, and the end, beside how long it was expected to take.

const COLOURS = { ink: "#f2f4f6", soft: "#8d99a5", readouts: "#2f6f94", now: "#58c4ff", good: "#5fe08a", warn: "#ffb020", before: "#565f69" };
const TOP = 26;
const AXIS = 24;
const SETTLED_S = 1; // without calibration lines, until they are taken to be complete

/** How long a scan is taken to last: what it took, or what its header says, or what the one before it took. */
export function duration(scan, before) {
  return scan.received ?? scan.expected ?? (before?.protocol === scan.protocol ? before.received : null);
}

/** Draw one scan; `seconds` is how old it is, `before` the one before it or null. */
export function drawTimeline(canvas, scan, before, seconds) {
  const context = prepared(canvas);
  const { clientWidth: width, clientHeight: height } = canvas;
  const lasting = duration(scan, before);
  const events = [scan.received ?? 0, ...scan.pictures.map((picture) => picture.arrived)];
  const shown = scan.ended === null ? seconds : Math.max(...events);
  const end = Math.max(lasting ?? 0, scan.expected ?? 0, shown, 1) * 1.06;
  const x = (second) => (second / end) * width;
  const bottom = height - AXIS;

  drawReadouts(context, scan, before, Math.min(seconds, scan.received ?? seconds), x, bottom);
  drawAxis(context, end, x, bottom, width);
  if (lasting) drawMoment(context, x(lasting), bottom, scan.received !== null ? "last readout" : "end expected", COLOURS.ink, [6, 5]);
  const isCalibrated = scan.calibrated !== null && (scan.received ?? seconds) - scan.calibrated > SETTLED_S;
  if (isCalibrated) drawMoment(context, x(scan.calibrated), bottom, "calibration lines in", COLOURS.soft, [2, 4]);
  for (const picture of scan.pictures) {
    const isPoor = picture.label !== "";
    context.fillStyle = isPoor ? COLOURS.warn : COLOURS.good;
    context.fillRect(x(picture.arrived) - 2, TOP + (isPoor ? (bottom - TOP) / 2 : 0), 4, (bottom - TOP) / 2);
  }
  if (scan.ended === null) {
    context.fillStyle = COLOURS.now;
    context.fillRect(x(seconds) - 1.5, TOP - 6, 3, bottom - TOP + 6);
  }
}

function prepared(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  return context;
}

function drawReadouts(context, scan, before, until, x, bottom) {
  const expected = before?.protocol === scan.protocol ? before.readouts : 0;
  const full = Math.max(scan.readouts, scan.received === null ? expected : 0, 1);
  const y = (n) => bottom - ((bottom - TOP) * n) / full;
  context.beginPath();
  context.moveTo(x(0), bottom);
  for (const [second, n] of scan.progress) context.lineTo(x(second), y(n));
  context.lineTo(x(until), y(scan.readouts));
  context.lineTo(x(until), bottom);
  context.fillStyle = COLOURS.readouts;
  context.fill();
}

function drawAxis(context, end, x, bottom, width) {
  const step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600].find((candidate) => end / candidate <= 12) ?? 1200;
  context.font = "600 17px system-ui, sans-serif";
  context.textBaseline = "top";
  context.fillStyle = COLOURS.soft;
  context.fillRect(0, bottom, width, 1);
  for (let second = 0; second < end; second += step) {
    context.fillRect(x(second), bottom, 1, 6);
    context.textAlign = second ? "center" : "left";
    context.fillText(`${second} s`, x(second), bottom + 6);
  }
}

function drawMoment(context, x, bottom, words, colour, dashes) {
  context.save();
  context.strokeStyle = context.fillStyle = colour;
  context.setLineDash(dashes);
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(x, TOP - 4);
  context.lineTo(x, bottom);
  context.stroke();
  context.font = "600 17px system-ui, sans-serif";
  context.textAlign = x > 160 ? "right" : "left";
  context.textBaseline = "bottom";
  context.fillText(words, x, TOP - 5);
  context.restore();
}
