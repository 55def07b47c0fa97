// Points and directions in the patient: LPS coordinates in millimetres, as MRD and DICOM have them.
// A plane is {corner, row, column, normal}: pixel (x, y) has its centre at corner + x dx row + y dy column.

const PARALLEL = Math.cos((2 * Math.PI) / 180);

export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
export const along = (point, direction, mm) => point.map((value, i) => value + direction[i] * mm);
export const distance = (a, b) => Math.hypot(...minus(a, b));

/** A plane's coordinates of a point: u along its rows, v along its columns, depth along its normal, all in mm from its corner. */
export function inPlane(plane, point) {
  const from = minus(point, plane.corner);
  return { u: dot(from, plane.row), v: dot(from, plane.column), depth: dot(from, plane.normal) };
}

/** Right and down on the screen, as radiologists hang planes of each kind: by the axis nearest to the normal. */
const HANGINGS = [
  { right: [0, 1, 0], down: [0, 0, -1] }, // sagittal: front on the left, head up
  { right: [1, 0, 0], down: [0, 0, -1] }, // coronal: the patient's left on the right, head up
  { right: [1, 0, 0], down: [0, 1, 0] }, // axial: the patient's left on the right, front up
];

/** The same plane with `row` to the right and `column` downwards as it is hung; nothing is turned but by quarters. */
export function hung(plane) {
  const sizes = plane.normal.map(Math.abs);
  const { right, down } = HANGINGS[sizes.indexOf(Math.max(...sizes))];
  const { row, column } = plane;
  const away = (direction) => direction.map((value) => -value);
  const isTurned = Math.abs(dot(column, right)) > Math.abs(dot(row, right));
  const [across, along] = isTurned ? [column, row] : [row, column];
  return { ...plane, row: dot(across, right) < 0 ? away(across) : across, column: dot(along, down) < 0 ? away(along) : along };
}

/** Size of a pixel along a direction in its plane. */
export const pixelAlong = (entry, direction) =>
  Math.abs(dot(direction, entry.plane.row)) * entry.spacing[0] + Math.abs(dot(direction, entry.plane.column)) * entry.spacing[1];

/** The point of a plane with these coordinates. */
export const ofPlane = (plane, u, v) => along(along(plane.corner, plane.row, u), plane.column, v);

/** The middle of an image's area. */
export function middle(entry) {
  const [nx, ny] = entry.picture.size;
  return ofPlane(entry.plane, ((nx - 1) / 2) * entry.spacing[0], ((ny - 1) / 2) * entry.spacing[1]);
}

export const areParallel = (one, other) => Math.abs(dot(one.normal, other.normal)) >= PARALLEL;

/** Pixels of one image in another plane's (u, v): the six numbers of a canvas transform. */
export function pixelsInPlane(entry, plane) {
  const origin = inPlane(plane, entry.plane.corner);
  const [dx, dy] = entry.spacing;
  const { row, column } = entry.plane;
  return [
    dx * dot(row, plane.row),
    dx * dot(row, plane.column),
    dy * dot(column, plane.row),
    dy * dot(column, plane.column),
    origin.u,
    origin.v,
  ];
}

/** Patient directions that a vector points to, the strongest first: "L", "HA". */
export function letters(direction) {
  return ["RL", "AP", "FH"]
    .map((pair, i) => ({ size: Math.abs(direction[i]), letter: pair[direction[i] > 0 ? 1 : 0] }))
    .filter(({ size }) => size > 0.1)
    .sort((a, b) => b.size - a.size)
    .map(({ letter }) => letter)
    .join("");
}

/** Distance of two marks, and its parts within the plane and across planes. */
export function apart(one, other, plane) {
  const across = Math.abs(dot(minus(other, one), plane.normal));
  const whole = distance(one, other);
  return { whole, across, within: Math.sqrt(Math.max(0, whole * whole - across * across)) };
}

/** Width and height of an image on the screen, in mm. */
export function extent(entry) {
  const { row, column } = entry.plane;
  const [width, height] = [entry.picture.size[0] * entry.spacing[0], entry.picture.size[1] * entry.spacing[1]];
  const along = (direction) => Math.abs(dot(direction, row)) * width + Math.abs(dot(direction, column)) * height;
  return [along(entry.screen.row), along(entry.screen.column)];
}
