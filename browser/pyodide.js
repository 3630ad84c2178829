/** The worker of the engine `pyodide`. It is not tested: Pyodide could not be had where this was written. */

/** @type {any} */
let pyodide;

/** @param {{site: string, pyodide: string}} where  the folder of the parts, and pyodide.mjs */
async function start({ site, pyodide: address }) {
  const { loadPyodide } = await import(new URL(address, site).href);
  pyodide = await loadPyodide({ env: { HOME: "/tmp", MPLBACKEND: "agg" } });
  await pyodide.loadPackage("numpy");
  const library = PARTS.find((part) => part.name === "tinydiff.zip");
  const answer = await fetch(new URL(String(library?.file), site));
  pyodide.unpackArchive(await answer.arrayBuffer(), "zip", { extractDir: "/lib/tinydiff" });
  pyodide.FS.mkdirTree("/tmp/out");
  pyodide.runPython('import sys; sys.path.append("/lib/tinydiff")');
}

/** @param {string} code */
async function run(code) {
  const printed = { out: "", err: "" };
  pyodide.setStdout({ batched: (/** @type {string} */ line) => (printed.out += `${line}\n`) });
  pyodide.setStderr({ batched: (/** @type {string} */ line) => (printed.err += `${line}\n`) });
  await pyodide.loadPackagesFromImports(code);
  let ok = true;
  try {
    pyodide.runPython(code);
  } catch (error) {
    ok = false;
    printed.err += error instanceof Error ? error.message : error;
  }
  const names = pyodide.FS.readdir("/tmp/out").filter((/** @type {string} */ name) => !name.startsWith("."));
  const files = names.map((/** @type {string} */ name) => ({ name, data: pyodide.FS.readFile(`/tmp/out/${name}`) }));
  for (const name of names) pyodide.FS.unlink(`/tmp/out/${name}`);
  return { ok, ...printed, files };
}

self.onmessage = async ({ data }) => {
  try {
    postMessage({ value: await (data.start ? start(data.start) : run(data.run)) });
  } catch (error) {
    postMessage({ error: String(error instanceof Error ? error.message : error) });
  }
};
