/** The worker of the engine `wasi`: CPython, compiled to WebAssembly, with its files in memory. */
import { ConsoleStdout, Directory, File, OpenFile, PreopenDirectory, WASI, WASIProcExit } from "@bjorn3/browser_wasi_shim";

const CACHE = "tinydiff-live";
const LIMIT = 100_000; // letters of output that are kept
const NOSYS = 52;

/** @typedef {{memory: WebAssembly.Memory, host_alloc(length: number): number, turn(at: number, length: number): number}} Python */

/** @type {Python} */
let python;
let site = ""; // where the parts are: this script may stand in a blob
/** @type {Map<string, any>} */
const lib = new Map();
/** @type {Set<string>} The parts that were unpacked. */
const here = new Set();
const out = new Directory([]);
let printed = { out: "", err: "" };

/** A folder that says that it may be written to, which Matplotlib asks. */
class Folder extends PreopenDirectory {
  fd_fdstat_get() {
    const got = super.fd_fdstat_get();
    if (got.fdstat) got.fdstat.fs_rights_base = got.fdstat.fs_rights_inherited = (1n << 30n) - 1n;
    return got;
  }
}

/** Gather what is written to a stream, up to the limit. @param {"out" | "err"} name */
function stream(name) {
  const decoder = new TextDecoder();
  return new ConsoleStdout((bytes) => {
    const more = decoder.decode(bytes, { stream: true });
    if (printed[name].length < LIMIT) printed[name] += more.length > LIMIT ? `${more.slice(0, LIMIT)}\n…` : more;
    else if (!printed[name].endsWith("…")) printed[name] += "\n…";
  });
}

/**
 * The parts of the engine, from the cache or over the wire, each stored as soon as it is here.
 *
 * @param {typeof PARTS} parts
 * @returns {Promise<Response[]>}
 */
async function fetched(parts) {
  const total = parts.reduce((sum, part) => sum + part.bytes, 0);
  let done = 0;
  /** @param {number} bytes */
  const add = (bytes) => postMessage({ progress: [(done += bytes), total] });
  const cache = await self.caches?.open(CACHE).catch(() => undefined); // there is none without a secure connection
  const answers = [];
  for (const part of parts) {
    const url = new URL(part.file, site).href;
    const stored = await cache?.match(url);
    const response = stored ?? (await fetch(url));
    if (!response.ok || !response.body) throw new Error(`${part.file}: ${response.status} ${response.statusText}`);
    const counter = new TransformStream({
      transform(chunk, controller) {
        add(chunk.length);
        controller.enqueue(chunk);
      },
    });
    const bytes = await new Response(response.body.pipeThrough(counter)).blob();
    if (!stored) await cache?.put(url, new Response(bytes)).catch(() => {}); // the disk may be full
    answers.push(new Response(bytes));
  }
  return answers;
}

/** Forget the parts of older versions. */
async function tidy() {
  const cache = await self.caches?.open(CACHE).catch(() => undefined);
  for (const request of (await cache?.keys()) ?? []) {
    if (!PARTS.some((part) => request.url.endsWith(part.file))) await cache?.delete(request);
  }
}

/** @param {Response} response @returns {Promise<InstanceType<typeof File>>} */
const asFile = async (response) => new File(await response.arrayBuffer(), { readonly: true });

/** @param {Response} response */
function unpacked(response) {
  const body = /** @type {ReadableStream<any>} */ (response.body).pipeThrough(new DecompressionStream("gzip"));
  return new Response(body, { headers: { "content-type": "application/wasm" } });
}

/**
 * Start the interpreter.
 *
 * @param {WebAssembly.Module | undefined} compiled  the program, where it is compiled already
 */
async function start(compiled) {
  const parts = PARTS.filter((part) => !part.when && !(compiled && part.name === "python.wasm"));
  const answers = await fetched(parts);
  for (const [i, part] of parts.entries()) {
    if (part.name === "python.wasm") compiled = await WebAssembly.compileStreaming(unpacked(answers[i]));
    else lib.set(part.name, await asFile(answers[i]));
  }
  if (!compiled) throw new Error("python.wasm is missing");
  const wasi = new WASI(
    ["/usr/local/bin/python.wasm", "/usr/local/lib/tinydiff.zip"],
    ["HOME=/tmp", "TMPDIR=/tmp", "PYTHONTZPATH=", "MPLBACKEND=agg", "OPENBLAS_NUM_THREADS=1"],
    [
      new OpenFile(new File([])),
      stream("out"),
      stream("err"),
      new PreopenDirectory("/usr/local/lib", lib),
      new Folder("/tmp", new Map([["out", out]])),
    ],
    { debug: false },
  );
  /** @type {Record<string, WebAssembly.ModuleImports>} */
  const imports = { wasi_snapshot_preview1: wasi.wasiImport };
  for (const { module, name } of WebAssembly.Module.imports(compiled)) {
    imports[module] ??= {};
    imports[module][name] ??= () => NOSYS;
  }
  const instance = await WebAssembly.instantiate(compiled, imports);
  python = /** @type {any} */ (instance.exports);
  wasi.inst = /** @type {any} */ (instance);
  // The program was started once with a larger zip, and remembers where in that one the modules were.
  turn("import sys, zipimport; zipimport._zip_directory_cache.clear(); sys.path_importer_cache.clear()");
  void tidy();
  return compiled;
}

/** @param {string} code */
async function run(code) {
  const parts = PARTS.filter((part) => part.when && !here.has(part.name) && new RegExp(part.when).test(code));
  const answers = parts.length ? await fetched(parts) : [];
  for (const [i, part] of parts.entries()) {
    lib.set(part.name, await asFile(answers[i]));
    turn(`__import__("live").unpack("/usr/local/lib/${part.name}")`);
    lib.delete(part.name);
    here.add(part.name);
  }
  const ok = turn(code);
  const files = [...out.contents].map(([name, file]) => ({ name, data: /** @type {any} */ (file).data }));
  const result = { ok, ...printed, files };
  printed = { out: "", err: "" };
  out.contents.clear();
  return result;
}

/** Run a text in the interpreter, which goes on after it. */
function turn(/** @type {string} */ code) {
  const bytes = new TextEncoder().encode(code);
  const at = python.host_alloc(bytes.length) >>> 0;
  new Uint8Array(python.memory.buffer).set(bytes, at);
  try {
    return python.turn(at, bytes.length) === 0;
  } catch (error) {
    if (error instanceof WASIProcExit) throw new Error(`Python ended with exit code ${error.code}.`, { cause: error });
    throw error;
  }
}

self.onmessage = async ({ data }) => {
  try {
    site ||= data.start?.site;
    postMessage({ value: await (data.start ? start(data.start.compiled) : run(data.run)) });
  } catch (error) {
    postMessage({ error: String(error instanceof Error ? error.message : error) });
  }
};
