// The page: news in, pictures fetched, everything painted again when something changed.

import { distance, middle } from "./geometry.js";
import { listKeys, listenToKeys } from "./keys.js";
import { drawMarks } from "./marks.js";
import { follow } from "./news.js";
import { byId, announce, tellCorners, tellHealth, tellMeasures, tellScan, tellTimes, warn } from "./panel.js";
import { Pictures } from "./pictures.js";
import { listenToPointer } from "./pointer.js";
import { AUTO, stackOf } from "./scans.js";
import { drawTimeline } from "./timeline.js";
import { View } from "./view.js";
import { Viewport } from "./viewport.js";

const MOST_PICTURES = 120;
const PAN_PX = 40;
const TICK_MS = 250;

const view = new View();
const pictures = new Pictures(repaint);
const ports = { now: new Viewport(byId("canvas-now")), before: new Viewport(byId("canvas-before")) };
let news = null;
let newsAt = 0;
let isHeard = true;
let isDue = false;

const secondsOf = (scan) => scan.age + (performance.now() - newsAt) / 1000;

function repaint() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    paint();
  });
}

function paint() {
  const { entry } = view;
  byId("view-before").hidden = view.comparison !== "beside";
  byId("blend-row").hidden = view.comparison !== "blend";
  for (const button of document.querySelectorAll("[data-tool]")) press(button, button.dataset.tool === view.tool);
  for (const button of document.querySelectorAll("[data-compare]")) press(button, button.dataset.compare === view.comparison);
  tellScan(view.newest);
  if (entry) {
    paintImages(entry);
    tellMeasures(view, entry);
  } else {
    warn("now", [], []);
    empty("now", view.newest ? "The first image is on its way" : "Waiting for the first scan");
  }
  if (news) tellHealth(news.health, isHeard);
  if (view.newest) paintTimeline();
}

function paintImages(entry) {
  const other = view.entryBefore(entry);
  const isBeside = view.comparison === "beside";
  const window = view.windowOf(entry);
  const only = view.isFlickering && other ? other.entry : null;
  const blended = view.comparison === "blend" && other && !only ? [other.entry, view.share] : null;
  const layers = only ? [[only, 1]] : blended ? [[entry, 1], blended] : [[entry, 1]];
  warn("now", wordsAbout(only, blended), layers.map(([{ picture }]) => picture));
  paintPort("now", entry, layers, window);
  const isWanted = view.focus !== null && view.newest === view.now && view.now.ended === null && distanceFrom(entry) > entry.spacing[2];
  const offset = only ? other.offset : 0;
  tellCorners("now", { entry: only ?? entry, scan: only ? view.before : view.now, offset, window, viewport: ports.now, zoom: view.zoom, wanted: isWanted });
  if (!isBeside) return;
  warn("before", ["PREVIOUS SCAN"], other ? [other.entry.picture] : []);
  if (other) {
    paintPort("before", entry, [[other.entry, 1]], window);
    tellCorners("before", { ...other, scan: view.before, window, viewport: ports.before, zoom: view.zoom });
  } else {
    empty("before", "There is no previous scan");
  }
}

/** What the view of this scan shows, if not just its newest images. */
function wordsAbout(only, blended) {
  if (only) return ["PREVIOUS SCAN"];
  const words = blended ? [`BLENDED: ${Math.round(100 * view.share)} % PREVIOUS SCAN`] : [];
  if (view.newest === view.now) return words;
  return [view.newest.ended === null ? "PREVIOUS SCAN: A NEW ONE IS RUNNING" : "PREVIOUS SCAN: THE NEWEST MADE NO IMAGE", ...words];
}

const distanceFrom = (entry) => Math.abs(entry.plane.normal.reduce((sum, value, i) => sum + value * (view.focus[i] - entry.plane.corner[i]), 0));

/** Paint a view, unless it would look as it does: readouts come often, and the processor has images to make. */
function paintPort(name, entry, layers, window) {
  const port = ports[name];
  const loaded = layers.filter(([layer]) => pictures.of(layer));
  const banner = byId(`banner-${name}`).hidden ? 0 : byId(`banner-${name}`).offsetHeight;
  const names = layers.map(([layer, opacity]) => [layer.picture.number, layer.z, opacity]);
  const look = JSON.stringify([news.boot, names, loaded.length, window, view.centre, view.zoom, port.size, devicePixelRatio, view.marksHere, banner]);
  if (look === port.painted) return;
  port.painted = look;
  port.lookAt(entry, view.centre, view.zoom);
  const context = port.begin();
  const drawn = loaded.filter(([layer, opacity]) => port.draw(layer, pictures.of(layer), window, opacity));
  const words = loaded.length < layers.length ? "Loading" : drawn.length < layers.length ? "The previous scan lies in other planes" : "";
  announce(`waiting-${name}`, words, "waiting");
  if (entry.isPlaced) port.drawDirections(banner);
  drawMarks(context, port, view.marksHere, entry);
}

/** Paint nothing, and say why. */
function empty(name, words) {
  ports[name].painted = "";
  ports[name].begin();
  announce(`waiting-${name}`, words, "waiting");
}

function paintTimeline() {
  const { newest, before, now } = view;
  const earlier = newest === now ? before : now;
  drawTimeline(byId("timeline"), newest, earlier, secondsOf(newest));
  tellTimes(newest, earlier, secondsOf(newest));
}

const press = (button, isPressed) => button.setAttribute("aria-pressed", String(isPressed));

function listSeries() {
  const choices = [{ key: AUTO, words: "Best" }, ...view.seriesList().map(({ key, picture }) => ({ key, words: titleOf(picture) }))];
  const wanted = JSON.stringify([choices, view.series]);
  if (byId("series").dataset.shown === wanted) return;
  byId("series").dataset.shown = wanted;
  const buttons = choices.map(({ key, words }, number) => {
    const button = document.createElement("button");
    button.append(Object.assign(document.createElement("kbd"), { textContent: number }), words);
    button.addEventListener("click", () => act(() => (view.series = key)));
    press(button, key === view.series);
    return button;
  });
  byId("series").replaceChildren(...buttons);
}

function titleOf(picture) {
  const name = picture.name.replace(/^knerve /, "");
  const echo = picture.series[1] ? `, echo ${picture.series[1] + 1}` : "";
  return (picture.label.includes("FALLBACK") ? `Fallback (${name})` : name) + echo;
}

/** Everything that may be looked at next: the shown slices of both scans first, then their neighbours. */
function wantPictures() {
  const { entry } = view;
  if (!entry) return;
  const centre = middle(entry);
  const keys = [view.series, ...view.seriesList().map(({ key }) => key)];
  const scans = [view.now, view.before].filter(Boolean);
  const entries = [...new Set(keys)].flatMap((key) => scans.flatMap((scan) => stackOf(scan, key)));
  const before = view.entryBefore(entry);
  const near = entries.sort((a, b) => distance(middle(a), centre) - distance(middle(b), centre)).slice(0, MOST_PICTURES);
  pictures.want([entry, ...(before ? [before.entry] : []), ...near]);
}

/** Do something, then show it. */
function act(change) {
  change();
  view.settle();
  listSeries();
  wantPictures();
  repaint();
}

/** Choose what the mouse marks; with the crosshair on, mark there at once. */
function markOrChoose(name) {
  const { cross, ruler } = view.marks;
  if (!cross || view.tool !== "cross") view.tool = name;
  else if (name !== "ruler") view.mark(name, cross);
  else view.mark("ruler", ruler && ruler[0] === ruler[1] ? [ruler[0], cross] : [cross, cross]);
}

const chooseTool = (name) => (name === "cross" ? toggleCross() : ["ruler", "needle", "target"].includes(name) ? markOrChoose(name) : (view.tool = name));

function toggleCross() {
  if (!view.marks.cross || view.tool === "cross") view.toggleCross();
  view.tool = view.marks.cross ? "cross" : "window";
}

const actions = {
  previousSlice: () => view.step(-1),
  nextSlice: () => view.step(1),
  firstSlice: () => view.goTo(0),
  lastSlice: () => view.goTo(Infinity),
  zoomIn: () => view.zoomBy(1.25),
  zoomOut: () => view.zoomBy(0.8),
  pan: (key) => view.panBy((({ ArrowLeft: -1, ArrowRight: 1 })[key] ?? 0) * (PAN_PX / ports.now.scale), (({ ArrowUp: -1, ArrowDown: 1 })[key] ?? 0) * (PAN_PX / ports.now.scale)),
  resetView: () => view.resetView(),
  narrower: () => view.entry && view.changeWindow(view.entry, 0.9, 0),
  wider: () => view.entry && view.changeWindow(view.entry, 1 / 0.9, 0),
  brighter: () => view.entry && view.changeWindow(view.entry, 1, -0.05),
  darker: () => view.entry && view.changeWindow(view.entry, 1, 0.05),
  resetWindow: () => view.resetWindow(),
  bestSeries: () => (view.series = AUTO),
  series: (key) => view.choose(Number(key) - 1),
  compare: () => view.nextComparison(),
  flicker: () => (view.isFlickering = true),
  flickerEnd: () => (view.isFlickering = false),
  moveCross: (key, event) => view.moveCross(key, event.shiftKey ? 10 : 1),
  toolWindow: () => chooseTool("window"),
  toolPan: () => chooseTool("pan"),
  toolCross: () => chooseTool("cross"),
  toolRuler: () => chooseTool("ruler"),
  toolNeedle: () => chooseTool("needle"),
  toolTarget: () => chooseTool("target"),
  clear: () => view.clear(),
  help: () => byId("help").showModal(),
};

const acting = Object.fromEntries(Object.entries(actions).map(([name, action]) => [name, (...given) => act(() => action(...given))]));
listenToKeys(acting, () => view.tool === "cross" && view.marks.cross !== null);
listKeys(byId("keys"));
for (const port of Object.values(ports)) listenToPointer(port, view, () => act(() => {}));
for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => act(() => chooseTool(button.dataset.tool)));
for (const button of document.querySelectorAll("[data-compare]")) button.addEventListener("click", () => act(() => (view.comparison = button.dataset.compare)));
byId("help-button").addEventListener("click", acting.help);
byId("clear-button").addEventListener("click", acting.clear);
byId("blend").addEventListener("input", (event) => act(() => (view.share = Number(event.target.value) / 100)));
addEventListener("resize", repaint);
setInterval(() => view.newest && repaint(), TICK_MS);

follow(
  (told, at) => {
    if (news && news.boot !== told.boot) pictures.forget();
    [news, newsAt] = [told, at];
    act(() => view.take(told.scans));
  },
  (heard) => {
    if (heard === isHeard) return;
    isHeard = heard;
    announce("alarm", heard ? "" : "NO CONNECTION TO THE SERVER: WHAT YOU SEE MAY BE OLD");
    byId("alarm").hidden = heard;
    repaint();
  },
);
