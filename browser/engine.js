/**
 * Python in the page, behind one small interface. Two engines have it: `wasi`, which is built and tested, and `pyodide`,
 * which is not tested.
 *
 * @typedef {{name: string, data: Uint8Array<ArrayBuffer>}} Made  A file that the program has put into /tmp/out.
 * @typedef {{out: string, err: string, ok: boolean, files: Made[]}} Result
 * @typedef {(done: number, total: number) => void} Progress  Bytes that are here, of those that are needed.
 * @typedef {object} Engine
 * @property {(code: string, onProgress?: Progress) => Promise<Result>} run  Run a program; what it defines stays.
 * @property {() => void} stop  End the program and the engine; a run that goes on fails with Stopped.
 */

/** Which engine, and where Pyodide is: an address within this site, such as "../pyodide/pyodide.mjs". */
export const SETTINGS = { engine: "wasi", pyodide: "" };

/** What a run fails with that was stopped. */
export class Stopped extends Error {}

/** @type {WebAssembly.Module | undefined} The compiled program, kept for the next start. */
let compiled;

/**
 * Start Python.
 *
 * @param {Progress} onProgress
 * @param {AbortSignal} [signal]  to give it up before it has started
 * @returns {Promise<Engine>}
 */
export async function start(onProgress, signal) {
  const site = new URL("./", import.meta.url).href;
  const answer = await fetch(new URL(SETTINGS.engine === "pyodide" ? "pyodide.js" : "worker.js", site));
  // As a blob it is bound by the policy of the page, and comes from the cache where there is no connection.
  const script = URL.createObjectURL(new Blob([await answer.blob()], { type: "text/javascript" }));
  if (signal?.aborted) throw new Stopped("Stopped.");
  const worker = new Worker(script, { type: "module" });
  /** @type {PromiseWithResolvers<any> & {onProgress?: Progress} | undefined} */
  let waiting;
  let stopped = false;

  /** @param {object} message @param {Progress} [progress] @returns {Promise<any>} */
  function ask(message, progress) {
    if (stopped) return Promise.reject(new Stopped("Stopped."));
    if (waiting) return Promise.reject(new Error("Python is busy."));
    waiting = { ...Promise.withResolvers(), onProgress: progress };
    worker.postMessage(message);
    return waiting.promise;
  }
  /** @param {Error | undefined} error @param {any} [value] */
  function settle(error, value) {
    const asked = waiting;
    waiting = undefined;
    if (error) asked?.reject(error);
    else asked?.resolve(value);
  }
  worker.onerror = (event) => settle(new Error(event.message || "Python could not start."));
  worker.onmessage = ({ data }) => {
    if (data.progress) waiting?.onProgress?.(data.progress[0], data.progress[1]);
    else settle(data.error && new Error(data.error), data.value);
  };
  function stop() {
    stopped = true;
    worker.terminate();
    settle(new Stopped("Stopped."));
  }
  signal?.addEventListener("abort", stop);
  compiled = await ask({ start: { site, compiled, pyodide: SETTINGS.pyodide } }, onProgress);
  URL.revokeObjectURL(script);
  return { run: (code, progress) => ask({ run: code }, progress), stop };
}
