// What is drawn over the images: crosshair, ruler, needle and target. All are points in the patient.

import { apart, letters } from "./geometry.js";
import { outlined } from "./viewport.js";

const COLOURS = { needle: "#ffd84a", target: "#ff7ad9", ruler: "#7df0e0", cross: "#58c4ff" };
const ARM = 13;
const LONG_ENOUGH_PX = 60; // of a line, to bear its length

/** Millimetres, to a tenth. */
export const mm = (value) => `${value.toFixed(1)} mm`;

/** Draw all marks on a viewport; those of other planes are dashed and say how far off they are, and which way. */
export function drawMarks(context, viewport, marks, entry) {
  const half = Math.max(entry.spacing[2] / 2, 0.5) + 0.05;
  const words = (pair) => {
    const { whole } = measured(pair, entry, true);
    return whole === null ? "" : mm(whole);
  };
  const { needle, target, ruler, cross } = marks;
  if (cross) drawCross(context, viewport, cross);
  if (ruler) {
    drawLine(context, viewport, ruler, COLOURS.ruler, half, words(ruler));
    for (const end of ruler) drawPoint(context, viewport, end, COLOURS.ruler, "", half);
  }
  if (needle && target) drawLine(context, viewport, [needle, target], "#ffffff", half, words([needle, target]));
  if (needle) drawPoint(context, viewport, needle, COLOURS.needle, "NEEDLE", half);
  if (target) drawPoint(context, viewport, target, COLOURS.target, "TARGET", half);
}

function drawCross(context, viewport, point) {
  const { x, y } = viewport.toScreen(point);
  const { width, height } = viewport.size;
  const gap = 9;
  strokeTwice(context, COLOURS.cross, 1.5, [], () => {
    for (const [x1, y1, x2, y2] of [[0, y, x - gap, y], [x + gap, y, width, y], [x, 0, x, y - gap], [x, y + gap, x, height]]) {
      context.moveTo(x1, y1);
      context.lineTo(x2, y2);
    }
  });
}

function drawLine(context, viewport, points, colour, half, words) {
  const [a, b] = points.map((point) => viewport.toScreen(point));
  const isHere = Math.abs(a.depth) <= half && Math.abs(b.depth) <= half;
  strokeTwice(context, colour, 2.5, isHere ? [] : [9, 7], () => {
    context.moveTo(a.x, a.y);
    context.lineTo(b.x, b.y);
  });
  const length = Math.hypot(a.x - b.x, a.y - b.y);
  if (length < LONG_ENOUGH_PX) return;
  const side = a.y < b.y === a.x < b.x ? -1 : 1; // the words stand beside the line, above its middle
  context.font = "700 24px system-ui, sans-serif";
  context.textAlign = side < 0 ? "left" : "right";
  context.textBaseline = "bottom";
  outlined(context, words, (a.x + b.x) / 2 - (side * 10 * Math.abs(a.y - b.y)) / length, (a.y + b.y) / 2 - 6, colour);
}

function drawPoint(context, viewport, point, colour, name, half) {
  const { x, y, depth } = viewport.toScreen(point);
  const isHere = Math.abs(depth) <= half;
  strokeTwice(context, colour, 3, isHere ? [] : [4, 4], () => {
    context.moveTo(x - ARM, y);
    context.lineTo(x + ARM, y);
    context.moveTo(x, y - ARM);
    context.lineTo(x, y + ARM);
    if (name) context.arc(x, y, ARM, 0, 2 * Math.PI);
  });
  context.font = "700 20px system-ui, sans-serif";
  context.textAlign = "left";
  context.textBaseline = "bottom";
  const toward = letters(viewport.plane.normal.map((value) => value * Math.sign(depth)));
  const words = isHere ? name : `${name} (${mm(Math.abs(depth))} ${toward})`.trim();
  if (words) outlined(context, words, x + ARM + 4, y - 4, colour);
}

function strokeTwice(context, colour, width, dashes, path) {
  context.save();
  for (const [style, extra] of [["#000000", 3], [colour, 0]]) {
    context.beginPath();
    path();
    context.setLineDash(dashes);
    context.strokeStyle = style;
    context.lineWidth = width + extra;
    context.stroke();
  }
  context.restore();
}

/** What two marks say in words: the distance, its parts, and why there is none. */
export function measured(pair, entry, sameFrame) {
  const [one, other] = pair;
  if (!one || !other) return { whole: null, words: "", isWarning: false };
  if (!entry.isMeasured) return { whole: null, words: "The images do not say how large a pixel is: no distance.", isWarning: true };
  if (!sameFrame) return { whole: null, words: "Marked in different frames of reference: no distance.", isWarning: true };
  const { whole, within, across } = apart(one, other, entry.plane);
  if (!entry.isPlaced && across > 0.01) {
    return { whole: null, words: "Where slices lie is unknown: mark both in one slice.", isWarning: true };
  }
  return { whole, words: across < 0.05 ? "within the plane" : `${mm(within)} in plane, ${mm(across)} across slices`, isWarning: false };
}
