// What keys do; the help lists the same table.

/** Each: keys as the browser names them, as people read them, what they do, and the action's name. */
export const KEYS = [
  { keys: ["ArrowUp", "PageUp"], names: "↑  Page up", words: "Previous slice", action: "previousSlice" },
  { keys: ["ArrowDown", "PageDown"], names: "↓  Page down", words: "Next slice", action: "nextSlice" },
  { keys: ["Home"], names: "Home", words: "First slice", action: "firstSlice" },
  { keys: ["End"], names: "End", words: "Last slice", action: "lastSlice" },
  { keys: ["+", "="], names: "+", words: "Zoom in", action: "zoomIn" },
  { keys: ["-", "_"], names: "−", words: "Zoom out", action: "zoomOut" },
  { keys: ["Shift+ArrowUp", "Shift+ArrowDown", "Shift+ArrowLeft", "Shift+ArrowRight"], names: "Shift + arrows", words: "Move the image", action: "pan" },
  { keys: ["r"], names: "R", words: "Whole image", action: "resetView" },
  { keys: ["["], names: "[", words: "Narrower window: more contrast", action: "narrower" },
  { keys: ["]"], names: "]", words: "Wider window: less contrast", action: "wider" },
  { keys: ["."], names: ".", words: "Brighter", action: "brighter" },
  { keys: [","], names: ",", words: "Darker", action: "darker" },
  { keys: ["a"], names: "A", words: "Window as the reconstruction suggests it", action: "resetWindow" },
  { keys: ["0"], names: "0", words: "Best image of each slice", action: "bestSeries" },
  { keys: ["1", "2", "3", "4", "5", "6", "7", "8", "9"], names: "1 … 9", words: "One series: final, fallback, map", action: "series" },
  { keys: ["c"], names: "C", words: "Previous scan: off, beside, blended", action: "compare" },
  { keys: ["b"], names: "B (hold)", words: "Only the previous scan, in place", action: "flicker" },
  { keys: ["w"], names: "W", words: "Mouse sets the window", action: "toolWindow" },
  { keys: ["p"], names: "P", words: "Mouse moves the image", action: "toolPan" },
  { keys: ["x"], names: "X", words: "Crosshair on or off; arrows move it, Shift + arrows by ten pixels", action: "toolCross" },
  { keys: ["n"], names: "N", words: "Mark the needle: by mouse, or at the crosshair", action: "toolNeedle" },
  { keys: ["t"], names: "T", words: "Mark the target: by mouse, or at the crosshair", action: "toolTarget" },
  { keys: ["m"], names: "M", words: "Ruler: by mouse, or from and to the crosshair", action: "toolRuler" },
  { keys: ["Delete", "Backspace"], names: "Del", words: "Clear all marks", action: "clear" },
  { keys: ["?", "F1"], names: "?", words: "This help", action: "help" },
];

const CROSS_KEYS = ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"];

/** Let keys act: `actions` by name, each called with the key; `hasCross` says whether arrows move the crosshair. */
export function listenToKeys(actions, hasCross) {
  const byKey = new Map(KEYS.flatMap(({ keys, action }) => keys.map((key) => [key, action])));
  addEventListener("keydown", (event) => {
    const isOthers = event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, dialog[open]");
    if (isOthers || (event.key === "Enter" && event.target.closest("button"))) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const isArrow = CROSS_KEYS.includes(key);
    const action = isArrow && hasCross() ? "moveCross" : byKey.get(isArrow && event.shiftKey ? `Shift+${key}` : key);
    if (!action) return;
    event.preventDefault();
    actions[action](key, event);
  });
  addEventListener("keyup", (event) => {
    if (event.key.toLowerCase() === "b") actions.flickerEnd();
  });
  addEventListener("blur", () => actions.flickerEnd());
}

/** Which way an arrow points: right and down are positive. */
export function arrow(key) {
  return { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[key];
}

/** Fill the help's table. */
export function listKeys(table) {
  for (const { names, words } of KEYS) {
    const row = table.insertRow();
    row.insertCell().append(Object.assign(document.createElement("kbd"), { textContent: names }));
    row.insertCell().textContent = words;
  }
}
