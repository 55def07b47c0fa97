// One canvas: a plane of the patient, millimetres on the screen, and the images that lie in it.

import { areParallel, extent, inPlane, letters, middle, ofPlane, pixelsInPlane } from "./geometry.js";

const FIT = 0.98;
const GREYS_KEPT = 6;

export class Viewport {
  #context;
  #greys = new Map();

  constructor(canvas) {
    this.canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.painted = ""; // what was painted last, in words of whoever paints
    this.plane = null;
    this.scale = 1; // CSS pixels per mm
    this.origin = { u: 0, v: 0 }; // plane coordinates in the middle of the canvas
  }

  get size() {
    return { width: this.canvas.clientWidth, height: this.canvas.clientHeight };
  }

  /** Look at the plane of an entry; `centre` is a point in the patient or null for the middle of the image. */
  lookAt(entry, centre, zoom) {
    const { width, height } = this.size;
    const [across, down] = extent(entry);
    this.plane = entry.screen;
    this.scale = zoom * FIT * Math.min(width / across, height / down);
    this.origin = inPlane(this.plane, centre ?? middle(entry));
  }

  /** Where a point of the patient lies on the canvas, in CSS pixels. */
  toScreen(point) {
    const { u, v, depth } = inPlane(this.plane, point);
    const { width, height } = this.size;
    return { x: width / 2 + (u - this.origin.u) * this.scale, y: height / 2 + (v - this.origin.v) * this.scale, depth };
  }

  /** The point of the patient at a place on the canvas. */
  toPatient(x, y) {
    const { width, height } = this.size;
    return ofPlane(this.plane, this.origin.u + (x - width / 2) / this.scale, this.origin.v + (y - height / 2) / this.scale);
  }

  /** Empty the canvas; returns its context, in CSS pixels. */
  begin() {
    const { width, height } = this.size;
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) Object.assign(this.canvas, { width: w, height: h });
    this.#context.setTransform(1, 0, 0, 1, 0, 0);
    this.#context.clearRect(0, 0, w, h);
    this.#context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return this.#context;
  }

  /** Draw an image where it lies; whether it lies in a parallel plane at all. */
  draw(entry, pixels, window, opacity = 1) {
    if (!areParallel(entry.plane, this.plane)) return false;
    const { width, height } = this.size;
    const context = this.#context;
    context.save();
    context.globalAlpha = opacity;
    context.imageSmoothingQuality = "high";
    context.translate(width / 2, height / 2);
    context.scale(this.scale, this.scale);
    context.translate(-this.origin.u, -this.origin.v);
    context.transform(...pixelsInPlane(entry, this.plane));
    context.drawImage(this.#grey(entry, pixels, window), -0.5, -0.5); // a pixel's centre lies at its number
    context.restore();
    return true;
  }

  /** Patient directions at the four edges, of which the upper is so many pixels lower. */
  drawDirections(banner) {
    const { width, height } = this.size;
    const { row, column } = this.plane;
    const away = (direction) => direction.map((value) => -value);
    const context = this.#context;
    context.font = "700 26px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const [direction, x, y] of [
      [away(row), 22, height / 2],
      [row, width - 22, height / 2],
      [away(column), width / 2, banner + 24],
      [column, width / 2, height - 22],
    ]) outlined(context, letters(direction), x, y, "#ffffff");
  }

  #grey(entry, pixels, window) {
    const [nx, ny] = entry.picture.size;
    const name = `${entry.picture.number}/${entry.z}/${window.centre}/${window.width}`;
    const known = this.#greys.get(name);
    if (known) return known;
    const canvas = Object.assign(document.createElement("canvas"), { width: nx, height: ny });
    const context = canvas.getContext("2d");
    const image = context.createImageData(nx, ny);
    fillGrey(new Uint32Array(image.data.buffer), pixels, window);
    context.putImageData(image, 0, 0);
    this.#greys.set(name, canvas);
    if (this.#greys.size > GREYS_KEPT) this.#greys.delete(this.#greys.keys().next().value);
    return canvas;
  }
}

/** Values to opaque grey: the window's lower end is black, its upper end white. */
export function fillGrey(grey, pixels, { centre, width }) {
  const factor = 255 / width;
  const shift = 0.5 - (centre - width / 2) * factor;
  for (let i = 0; i < grey.length; i++) {
    const value = pixels[i] * factor + shift;
    const level = value <= 0 ? 0 : value >= 255 ? 255 : value | 0; // not a number: black
    grey[i] = 0xff000000 | (level << 16) | (level << 8) | level;
  }
}

/** Text that is readable on every ground. */
export function outlined(context, text, x, y, colour) {
  context.lineWidth = 5;
  context.lineJoin = "round";
  context.strokeStyle = "#000000";
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
}
