// The words around the images.

import { areParallel, distance, dot, letters, middle } from "./geometry.js";
import { duration } from "./timeline.js";
import { measured, mm } from "./marks.js";

const GIB = 2 ** 30;
const SCALE_MM = [1, 2, 5, 10, 20, 50, 100, 200];
const STATES = {
  receiving: ["RECEIVING", ""],
  reconstructing: ["RECONSTRUCTING", ""],
  done: ["DONE", "done"],
  incomplete: ["INCOMPLETE: IT BROKE OFF", "bad"],
  failed: ["FAILED", "bad"],
};

export const byId = (id) => document.getElementById(id);

/** An element's content: words, or [class, words] pairs. */
export function write(id, ...parts) {
  const element = byId(id);
  const nodes = parts.map((part) => {
    if (part === "\n") return document.createElement("br");
    if (typeof part !== "object") return document.createTextNode(part);
    const [kind, words] = part;
    return Object.assign(document.createElement(kind === "b" ? "b" : "span"), { className: kind === "b" ? "" : kind, textContent: words });
  });
  element.replaceChildren(...nodes);
}

/** Words that a screen reader speaks: changed only where they change. */
export function announce(id, words, kind = "") {
  const element = byId(id);
  if (element.textContent !== words) element.textContent = words;
  if (element.className !== kind) element.className = kind;
}

const clock = (unixSeconds) => new Date(unixSeconds * 1000).toLocaleTimeString("en-GB");

export function ago(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s ago`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3600)} h ago`;
}

/** The line at the top. */
export function tellScan(scan) {
  if (!scan) {
    announce("scan", "No scan yet");
    announce("state", "WAITING FOR A SCAN");
    return;
  }
  announce("scan", `${scan.protocol}, began ${clock(scan.began)}`);
  const isCut = scan.ended !== null && ["receiving", "reconstructing"].includes(scan.state);
  const short = scan.pictures.find((picture) => picture.label.includes("INCOMPLETE"));
  const [words, kind] = isCut ? ["NOT FINISHED", "bad"] : short ? [short.label, "bad"] : STATES[scan.state];
  const images = scan.pictures.filter((picture) => !picture.map);
  const all = new Set(images.map((picture) => picture.slice)).size;
  const final = new Set(images.filter((picture) => !picture.label.includes("FALLBACK")).map((picture) => picture.slice)).size;
  const slices = `${final} of ${scan.slices || all} slices` + (all > final ? `, ${all - final} as fallback` : "");
  const counts = scan.state === "receiving" && !isCut ? `${scan.readouts} readouts` : slices;
  announce("state", `${words} · ${counts}`, kind);
}

/** What must not be overlooked about the images in a view: words about it, and what each picture is. */
export function warn(prefix, about, shown) {
  const labels = shown.map((picture) => picture.label).join(", ");
  const said = [...about];
  if (labels.includes("FALLBACK")) said.push("FALLBACK: QUICK IMAGE, NOT THE FINAL ONE");
  if (labels.includes("INCOMPLETE")) said.push(labels.match(/INCOMPLETE[^,]*/)[0]);
  if (shown.some((picture) => picture.map)) said.push("MAP, NOT AN IMAGE OF THE PATIENT");
  const kind = labels.includes("INCOMPLETE") ? "bad" : labels.includes("FALLBACK") ? "fallback" : "previous";
  announce(`banner-${prefix}`, said.join(" · "), `banner ${kind}`);
  byId(`banner-${prefix}`).hidden = !said.length;
  byId(`view-${prefix}`).classList.toggle("fallback", kind === "fallback");
  byId(`view-${prefix}`).classList.toggle("incomplete", kind === "bad");
}

/** The four corners of a view. */
export function tellCorners(prefix, { entry, scan, offset, window, viewport, zoom, wanted }) {
  const { picture, plane } = entry;
  const partition = picture.size[2] > 1 ? `.${entry.z + 1}` : "";
  const depth = dot(middle(entry), plane.normal);
  const toward = letters(depth < 0 ? plane.normal.map((value) => -value) : plane.normal);
  const place = entry.isPlaced ? `${toward} ${mm(Math.abs(depth))}` : "place in the patient unknown";
  const notes = [];
  if (offset > 0.05) notes.push("\n", ["soft", `${mm(offset)} beside the plane shown`]);
  if (wanted) notes.push("\n", ["soft", "nearest slice so far"]);
  write(`${prefix}-slice`, "Slice ", ["b", `${picture.slice + 1}${partition}`], ` of ${scan.slices || "?"}`, "\n", place, ...notes);
  const late = scan.received === null ? null : picture.arrived - scan.received;
  const when = late === null || late < 0 ? `after ${picture.arrived.toFixed(1)} s of scan` : `${late.toFixed(1)} s after the last readout`;
  write(`${prefix}-series`, ["b", picture.name.replace(/^knerve /, "").toUpperCase()], "\n", when);
  write(`${prefix}-window`, `Window ${window.width.toPrecision(3)} · level ${window.centre.toPrecision(3)}`, "\n", `Zoom ${zoom.toFixed(1)}×`);
  tellScale(`${prefix}-scale`, entry, viewport);
}

function tellScale(id, entry, viewport) {
  const length = SCALE_MM.findLast((candidate) => candidate * viewport.scale <= viewport.size.width / 5) ?? SCALE_MM[0];
  const bar = Object.assign(document.createElement("span"), { className: "scale" });
  bar.style.width = `${length * viewport.scale}px`;
  byId(id).replaceChildren(bar, document.createElement("br"), entry.isMeasured ? `${length} mm` : `${length} pixels`);
}

/** Distances between marks. */
export function tellMeasures(view, entry) {
  const { needle, target, ruler, cross } = view.marks;
  const between = measured([needle, target], entry, view.isHere("needle") && view.isHere("target"));
  announce("distance", between.whole === null ? "–" : mm(between.whole));
  const missing = !needle && !target ? "Mark both: N and click, T and click." : !needle ? "Mark the needle: N and click." : "Mark the target: T and click.";
  const old = ["needle", "target"].filter((name) => view.marks[name] && view.markedIn[name].number !== view.now.number);
  const aged = old.length && between.whole !== null ? ` · ${old.join(" and ")} marked in an earlier scan` : "";
  announce("distance-parts", (between.words || missing) + aged, between.isWarning || aged ? "parts warn" : "parts");
  const along = measured(ruler ?? [], entry, view.isHere("ruler"));
  announce("ruler", along.whole === null ? "–" : mm(along.whole));
  announce("ruler-parts", along.words, along.isWarning ? "parts warn" : "parts");
  const at = cross && entry.isPlaced ? ["RL", "AP", "FH"].map((pair, i) => `${pair[cross[i] > 0 ? 1 : 0]} ${mm(Math.abs(cross[i]))}`).join("  ") : "";
  announce("cross-at", at ? `Crosshair: ${at}` : "", "parts");
}

/** Whether the server could take a scan now. */
export function tellHealth(health, isHeard) {
  const [problems, counts] = [[...health.not_ready], []];
  if (!isHeard) problems.unshift("no connection");
  if (health.n_lost) problems.push(`${health.n_lost} scans lost`);
  if (health.n_incomplete) counts.push(`${health.n_incomplete} broke off`);
  if (health.free_bytes !== null) counts.push(`${(health.free_bytes / GIB).toFixed(0)} GiB free`);
  byId("health").className = problems.length ? "bad" : "";
  write("health", ["lamp", ""], problems.join("; ") || "Server ready", "\n", ["soft", [...counts, `knerve ${health.version}`].join(" · ")]);
}

/** The line under the axis. */
export function tellTimes(scan, before, seconds) {
  const parts = [];
  const finals = scan.pictures.filter((picture) => !picture.label.includes("FALLBACK") && !picture.map).map((one) => one.arrived);
  const lasting = duration(scan, before);
  if (scan.received === null) parts.push(["b", `${seconds.toFixed(0)} s${lasting ? ` of about ${lasting.toFixed(0)} s` : ""}`], ["", `${scan.readouts} readouts`]);
  else parts.push(["", `Scan ${scan.received.toFixed(1)} s, ${scan.readouts} readouts`]);
  if (finals.length && scan.received !== null) {
    const which = scan.ended === null ? "Newest image" : "Last image";
    parts.push(["b", `${which} ${signed(Math.max(...finals) - scan.received)} s after the last readout`]);
  }
  if (scan.ended !== null) parts.push(["soft", `Ended ${ago(seconds - scan.ended)}`]);
  if (scan.unshown) parts.push(["warn", `${scan.unshown} images not shown here: no memory`]);
  const trouble = scan.words.filter((words) => /^(ERR|WARN)/.test(words)).at(-1);
  if (trouble) parts.push(["warn", trouble.replace(/^(ERR\w*|WARN\w*)\s+/, "")]);
  write("timeline-words", ...parts);
  byId("timeline-words").title = trouble ?? "";
}

const signed = (seconds) => `${seconds < 0 ? "−" : "+"}${Math.abs(seconds).toFixed(1)}`;
