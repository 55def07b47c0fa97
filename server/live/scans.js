// What the server tells, arranged as the page shows it: scans, series, and stacks of planes.

import { distance, dot, hung, inPlane, middle } from "./geometry.js";

export const AUTO = "auto";
const SAME_PLACE_MM = 0.05;

export const seriesKey = (picture) => picture.series.join(".");

/** The series of some scans, by key, the best first: images, then fallbacks, then maps. */
export function seriesOf(scans) {
  const found = new Map();
  for (const picture of scans.flatMap((scan) => scan.pictures)) {
    const rank = picture.map ? 2 : picture.label.includes("FALLBACK") ? 1 : 0;
    if (!found.has(seriesKey(picture))) found.set(seriesKey(picture), { key: seriesKey(picture), picture, rank });
  }
  return [...found.values()].sort((a, b) => a.rank - b.rank || compare(a.picture.series, b.picture.series));
}

function compare(one, other) {
  const differing = one.findIndex((value, i) => value !== other[i]);
  return differing < 0 ? 0 : one[differing] - other[differing];
}

/** Planes of a scan from end to end: of each place the image of the series asked for, or the best there is. */
export function stackOf(scan, series) {
  const echo = seriesOf([scan])[0]?.picture.series.slice(1).join();
  const best = new Map();
  for (const picture of scan.pictures) {
    const isAsked = series === AUTO ? !picture.map && picture.series.slice(1).join() === echo : seriesKey(picture) === series;
    const before = best.get(picture.slice);
    if (isAsked && (!before || isBetter(picture, before))) best.set(picture.slice, picture);
  }
  const entries = [...best.values()].flatMap(entriesOf);
  if (!entries.length || !entries.every((entry) => entry.isPlaced)) return entries.sort(byNumber);
  const { normal } = entries[0].plane;
  const depth = (entry) => dot(entry.plane.corner, normal);
  return entries.sort((a, b) => (Math.abs(depth(a) - depth(b)) > SAME_PLACE_MM ? depth(a) - depth(b) : byNumber(a, b)));
}

const byNumber = (a, b) => a.picture.slice - b.picture.slice || a.z - b.z;

function isBetter(one, other) {
  const [first, second] = [one, other].map((picture) => (picture.label.includes("FALLBACK") ? 0 : 1));
  return first !== second ? first > second : one.arrived > other.arrived;
}

function entriesOf(picture) {
  const spacing = picture.spacing ?? [1, 1, 1];
  return Array.from({ length: picture.size[2] }, (_, z) => {
    const plane = picture.planes[z] ?? unplaced(picture, z, spacing);
    const isPlaced = picture.planes.length > 0;
    return { picture, z, spacing, plane, screen: isPlaced ? hung(plane) : plane, isPlaced, isMeasured: picture.spacing !== null };
  });
}

/** Coordinates within one image whose place in the patient is unknown. */
function unplaced(picture, z, [dx, dy, depth]) {
  const [nx, ny, nz] = picture.size;
  const corner = [-Math.floor(nx / 2) * dx, -Math.floor(ny / 2) * dy, (picture.slice * nz + z) * (depth || 1)];
  return { corner, row: [1, 0, 0], column: [0, 1, 0], normal: [0, 0, 1] };
}

/** The plane of a stack nearest to a point, and how far off it is. */
export function nearest(stack, point) {
  let found = null;
  for (const entry of stack) {
    const offset = Math.abs(inPlane(entry.plane, point).depth);
    const sideways = distance(middle(entry), point);
    if (!found || offset < found.offset - SAME_PLACE_MM || (offset < found.offset + SAME_PLACE_MM && sideways < found.sideways)) {
      found = { entry, offset, sideways };
    }
  }
  return found;
}

/** The scan to show, the one to compare it with, and the newest, which may have no image yet. */
export function chosen(scans) {
  const shown = scans.filter((scan) => scan.pictures.length);
  const now = shown[0] ?? null;
  const others = shown.slice(1);
  const before = others.find((scan) => scan.protocol === now.protocol) ?? others[0] ?? null;
  return { newest: scans[0] ?? null, now, before };
}

/** Whether marks of one scan have a meaning in the other. */
export const shareFrame = (one, other) => one.frame === other.frame;
