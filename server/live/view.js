// What the user looks at and how: the state of the page between two paintings, and what changes it.

import { arrow } from "./keys.js";
import { along, inPlane, middle, minus, pixelAlong } from "./geometry.js";
import { AUTO, chosen, nearest, seriesOf, shareFrame, stackOf } from "./scans.js";

const COMPARISONS = ["single", "beside", "blend"];
const ZOOMS = [0.5, 16];
const NO_WINDOW = { centre: 0.5, width: 1 };

export class View {
  constructor() {
    this.scans = [];
    this.series = AUTO;
    this.focus = null; // a point in the slice that the user chose
    this.centre = null; // a point in the middle of the canvas; null for the middle of the image
    this.zoom = 1;
    this.windows = new Map(); // by kind of image, where the user set one
    this.tool = "window";
    this.comparison = "single";
    this.share = 0.5;
    this.isFlickering = false;
    this.marks = { needle: null, target: null, ruler: null, cross: null };
    this.markedIn = {}; // scans in which the marks were set
  }

  /** Take what the server told. */
  take(scans) {
    this.scans = scans;
    Object.assign(this, chosen(scans));
    const known = this.seriesList();
    if (this.series !== AUTO && !known.some(({ key }) => key === this.series)) this.series = AUTO;
  }

  seriesList() {
    return seriesOf([this.now, this.before].filter(Boolean));
  }

  get stack() {
    return this.now ? stackOf(this.now, this.series) : [];
  }

  /** The entry that is shown; before the user chose a slice, that nearest to the middle of the stack. */
  get entry() {
    const { stack } = this;
    if (!stack.length) return null;
    return this.focus ? nearest(stack, this.focus).entry : stack[Math.floor(stack.length / 2)];
  }

  /** The previous scan's entry in the same plane, and how far off it is; null where there is none. */
  entryBefore(entry) {
    if (!this.before) return null;
    const stack = stackOf(this.before, this.series);
    const whole = stack.length ? stack : stackOf(this.before, AUTO);
    return whole.length ? nearest(whole, middle(entry)) : null;
  }

  /** The grey window of an entry: the user's, or that of the newest image of its kind. */
  windowOf(entry) {
    const kind = kindOf(entry);
    return this.windows.get(kind) ?? suggested(this.now, entry) ?? NO_WINDOW;
  }

  changeWindow(entry, widthFactor, centreShift) {
    const { centre, width } = this.windowOf(entry);
    this.windows.set(kindOf(entry), { centre: centre + centreShift * width, width: Math.max(width * widthFactor, 1e-6) });
  }

  resetWindow() {
    this.windows.clear();
  }

  step(n) {
    const { stack, entry } = this;
    if (!entry) return;
    const at = stack.findIndex((one) => one.picture === entry.picture && one.z === entry.z);
    this.goTo(at + n);
  }

  goTo(index) {
    const { stack } = this;
    if (stack.length) this.focus = middle(stack[Math.max(0, Math.min(stack.length - 1, index))]);
  }

  /** Zoom by a factor so that a point of the patient stays where it is on the screen. */
  zoomBy(factor, point) {
    const { entry } = this;
    if (!entry) return;
    const before = this.zoom;
    this.zoom = Math.max(ZOOMS[0], Math.min(ZOOMS[1], this.zoom * factor));
    const centre = this.centre ?? middle(entry);
    this.centre = along(point ?? centre, minus(centre, point ?? centre), before / this.zoom);
  }

  /** Move what is looked at by so many mm along rows and columns. */
  panBy(u, v) {
    const { entry } = this;
    if (!entry) return;
    this.centre = along(along(this.centre ?? middle(entry), entry.screen.row, u), entry.screen.column, v);
  }

  resetView() {
    this.zoom = 1;
    this.centre = null;
  }

  choose(index) {
    const series = this.seriesList()[index];
    if (series) this.series = series.key;
  }

  nextComparison() {
    this.comparison = COMPARISONS[(COMPARISONS.indexOf(this.comparison) + 1) % COMPARISONS.length];
  }

  /** Set a mark; it belongs to the scan that is shown. */
  mark(name, point) {
    this.marks[name] = point;
    this.markedIn[name] = this.now;
  }

  /** Whether a mark has a meaning in the scan that is shown. */
  isHere(name) {
    return !this.markedIn[name] || shareFrame(this.markedIn[name], this.now);
  }

  /** The marks that have one. */
  get marksHere() {
    return Object.fromEntries(Object.entries(this.marks).map(([name, mark]) => [name, this.isHere(name) ? mark : null]));
  }

  clear() {
    this.marks = { needle: null, target: null, ruler: null, cross: this.marks.cross };
  }

  /** Take the crosshair to the middle, or away. */
  toggleCross() {
    const { entry } = this;
    if (this.marks.cross || !entry) this.marks.cross = null;
    else this.mark("cross", this.onPlane(this.centre ?? middle(entry)));
  }

  moveCross(key, pixels) {
    const { entry } = this;
    const [x, y] = arrow(key).map((value) => value * pixels);
    const { row, column } = entry.screen;
    this.mark("cross", along(along(this.marks.cross, row, x * pixelAlong(entry, row)), column, y * pixelAlong(entry, column)));
  }

  /** The crosshair belongs to the slice that is shown. */
  settle() {
    if (this.marks.cross && this.entry) this.marks.cross = this.onPlane(this.marks.cross);
  }

  onPlane(point) {
    const { plane } = this.entry;
    return along(point, plane.normal, -inPlane(plane, point).depth);
  }
}

const kindOf = (entry) => (entry.picture.map ? entry.picture.series.join(".") : "image");

/** What the sender suggests; of images that came while others were still being made, the last knows most. */
function suggested(scan, entry) {
  const alike = [entry.picture, ...scan.pictures.filter((one) => one.series.join() === entry.picture.series.join())];
  const known = alike.filter((one) => one.window).sort((a, b) => b.arrived - a.arrived)[0];
  return known ? { centre: known.window[0], width: known.window[1] } : null;
}
