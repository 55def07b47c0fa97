// What the server tells whenever it changes, and whether it still does.

const SILENT_MS = 6000;
const AGAIN_MS = 2000;

/** Calls `told` with each state and `heard` with whether the server can be heard. */
export function follow(told, heard) {
  let last = performance.now();
  let source = null;

  function open() {
    source?.close();
    source = new EventSource("news");
    source.onerror = () => heard(false);
    source.onmessage = (event) => {
      last = performance.now();
      heard(true);
      told(JSON.parse(event.data), last);
    };
  }

  open();
  setInterval(() => {
    if (performance.now() - last > SILENT_MS) heard(false);
    if (source.readyState === EventSource.CLOSED) open();
  }, AGAIN_MS);
}
