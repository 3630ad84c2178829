/** Live cells: an editor, four buttons, and what came out; and the reader's file of all that passed. */
import { indentUnit } from "@codemirror/language";
import { python as pythonLanguage } from "@codemirror/lang-python";
import { keymap } from "@codemirror/view";
import { EditorView, basicSetup } from "codemirror";
import { Stopped, start } from "./engine.js";

const HEADER = '"""My diffusion model, function by function."""\n\nimport numpy as np\n';
const KEPT = "tinydiff:kept";
const text = new TextDecoder();

/** @type {Promise<import("./engine.js").Engine> | undefined} */
let engine;
let starting = new AbortController();
let busy = false;

/** @returns {Record<string, string>} The functions that passed, by their names, in the order in which they did. */
const kept = () => JSON.parse(localStorage.getItem(KEPT) ?? "{}");

/** @param {Record<string, string>} functions */
function keep(functions) {
  localStorage.setItem(KEPT, JSON.stringify({ ...kept(), ...functions }));
  for (const file of document.querySelectorAll("live-file")) /** @type {LiveFile} */ (file).count();
}

/** Keep the page itself, with what it has loaded, for a reader without a connection. */
async function keepPage() {
  if (!("serviceWorker" in navigator)) return;
  await navigator.serviceWorker.register(new URL("../../sw.js", import.meta.url), { scope: location.pathname });
  const cache = await caches.open("tinydiff-page");
  const loaded = performance.getEntriesByType("resource").map((entry) => new URL(entry.name));
  const own = loaded.filter((url) => url.origin === location.origin && !url.pathname.endsWith(".bin"));
  const addresses = new Set([location.href.split("#")[0], ...own.map((url) => url.href)]);
  await Promise.allSettled([...addresses].map((address) => cache.add(address)));
}

/** @param {string} name @param {Record<string, any>} [properties] @param {(Node | string)[]} inner */
function make(name, properties = {}, ...inner) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...inner);
  return made;
}

/** What a cell and the file have in common: a bar, a line that says what goes on, and a way to Python. */
class Live extends HTMLElement {
  bar = make("div", { className: "live-bar" });
  progress = /** @type {HTMLProgressElement} */ (make("progress", { hidden: true, ariaLabel: "Bytes fetched" }));
  status = make("p", { role: "status" });

  /** @param {string} label @param {string} about @param {() => void} action */
  button(label, about, action) {
    const button = /** @type {HTMLButtonElement} */ (make("button", { type: "button", ariaLabel: `${label} ${about}` }, label));
    button.addEventListener("click", action);
    this.bar.append(button);
    return button;
  }

  /** @param {string} words */
  say(words) {
    this.status.textContent = words;
  }

  /** Called when Python takes this up, and when it is done. @type {(on: boolean) => void} */
  running = () => {};

  /**
   * Run a program, and start Python for it where need be.
   *
   * @param {string} call  of a function in live.py
   * @returns {Promise<import("./engine.js").Result | undefined>}
   */
  async ask(call) {
    if (busy) {
      this.say("Python is busy with another cell. Stop that one, or wait.");
      return undefined;
    }
    busy = true;
    this.running(true);
    this.say("Running …");
    /** @param {number} done @param {number} total */
    const onProgress = (done, total) => {
      this.progress.hidden = done >= total;
      this.progress.max = total;
      this.progress.value = done;
      this.say(done < total ? `Fetching Python: ${(done / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB` : "Starting Python …");
    };
    try {
      if (!engine) {
        this.say("Starting Python …");
        starting = new AbortController();
        engine = start(onProgress, starting.signal);
        engine.then(keepPage).catch(() => {});
      }
      const python = await engine;
      this.say("Running …");
      return await python.run(`import live; live.${call}`, onProgress);
    } catch (error) {
      this.stop();
      engine = undefined;
      const why = error instanceof Stopped ? "Stopped." : `Python ended: ${error instanceof Error ? error.message : error}.`;
      this.say(`${why} It starts afresh at the next press.`);
      return undefined;
    } finally {
      busy = false;
      this.progress.hidden = true;
      this.running(false);
    }
  }

  /** End what runs, or what starts. */
  stop() {
    starting.abort();
  }
}

/** An exercise: `<live-cell name="q_step">` around the code that it begins with. */
class LiveCell extends Live {
  output = make("div", { className: "live-out" });
  /** @type {EditorView | undefined} */
  editor;
  /** @type {HTMLButtonElement[]} */
  buttons = [];

  get name() {
    return this.getAttribute("name") ?? "";
  }

  get key() {
    return `tinydiff:cell:${this.name}`;
  }

  connectedCallback() {
    if (this.editor) return;
    const original = `${this.querySelector("pre")?.textContent?.trimEnd() ?? ""}\n`;
    const host = make("div");
    this.replaceChildren(host, this.bar, this.output);
    this.setAttribute("role", "group");
    this.ariaLabel = `Exercise ${this.name}`;
    this.buttons = [
      this.button("Run", this.name, () => void this.run()),
      this.button("Check", this.name, () => void this.check()),
      this.button("Stop", this.name, () => this.stop()),
      this.button("Reset", this.name, () => this.write(original)),
    ];
    this.bar.append(this.progress, this.status);
    const press = (/** @type {() => Promise<void>} */ action) => () => (void action.call(this), true);
    this.editor = new EditorView({
      parent: host,
      doc: localStorage.getItem(this.key) ?? original,
      extensions: [
        keymap.of([{ key: "Shift-Enter", run: press(this.run) }, { key: "Ctrl-Enter", run: press(this.check) }]),
        basicSetup,
        pythonLanguage(),
        indentUnit.of("    "),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": `Code of ${this.name}` }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) localStorage.setItem(this.key, this.code);
        }),
      ],
    });
    this.running(false);
  }

  get code() {
    return this.editor?.state.doc.toString() ?? "";
  }

  /** Put another text into the editor; what came out of the old one goes. @param {string} code */
  write(code) {
    this.editor?.dispatch({ changes: { from: 0, to: this.editor.state.doc.length, insert: code } });
    this.output.replaceChildren();
    this.say("");
  }

  running = (/** @type {boolean} */ on) => {
    for (const [i, button] of this.buttons.entries()) button.disabled = i === 2 ? !on : on && i < 2;
  };

  async run() {
    const done = await this.ask(`run(${this.given()})`);
    if (!done) return;
    this.show(done, "");
    this.say(done.ok ? "Done." : "It raised an error.");
  }

  async check() {
    const done = await this.ask(`check(${this.given()})`);
    if (!done) return;
    const right = done.files.find((file) => file.name === "kept.json");
    this.show(done, right ? "passed" : "failed");
    this.say(right ? "It obeys its laws." : done.ok ? "Not yet." : "It raised an error.");
    if (right) keep(JSON.parse(text.decode(right.data)));
  }

  /** The arguments of a call: texts in JSON are texts in Python too. */
  given() {
    return [this.name, this.code, kept()].map((value) => JSON.stringify(value)).join(", ");
  }

  /** @param {import("./engine.js").Result} done @param {string} className */
  show(done, className) {
    this.output.replaceChildren();
    if (done.out) this.output.append(make("pre", { className, tabIndex: 0, ariaLabel: `Output of ${this.name}` }, done.out.trimEnd()));
    if (done.err) this.output.append(make("pre", { className: "failed", tabIndex: 0, ariaLabel: `Errors of ${this.name}` }, done.err.trimEnd()));
    for (const file of done.files.filter(({ name }) => name.endsWith(".png"))) {
      const src = URL.createObjectURL(new Blob([file.data], { type: "image/png" }));
      this.output.append(make("img", { src, alt: `A figure that the cell ${this.name} has drawn` }));
    }
  }
}

/** The reader's mine.py: `<live-file>` saves what passed, and loads it again. */
class LiveFile extends Live {
  connectedCallback() {
    if (this.bar.isConnected) return;
    this.button("Save", "mine.py", () => this.save()).textContent = "Save mine.py";
    const input = /** @type {HTMLInputElement} */ (make("input", { type: "file", accept: ".py" }));
    input.addEventListener("change", () => void this.load(input));
    this.bar.append(make("label", {}, input, "Load mine.py"), this.progress, this.status);
    this.append(this.bar);
    this.count();
  }

  /** Say how much there is. */
  count() {
    const names = Object.keys(kept());
    this.say(names.length ? `It has ${names.join(", ")}.` : "It has no function yet.");
  }

  save() {
    const file = [HEADER, ...Object.values(kept()).map((source) => `${source}\n`)].join("\n\n");
    const href = URL.createObjectURL(new Blob([file], { type: "text/x-python" }));
    make("a", { href, download: "mine.py" }).click();
    setTimeout(() => URL.revokeObjectURL(href), 1000);
  }

  /** @param {HTMLInputElement} input */
  async load(input) {
    const file = await input.files?.[0]?.text();
    input.value = "";
    const done = file === undefined ? undefined : await this.ask(`split(${JSON.stringify(file)})`);
    if (!done) return;
    const found = done.files.find(({ name }) => name === "functions.json");
    if (!found) return this.say(`It cannot be read: ${done.err.trim().split("\n").at(-1)}`);
    const functions = JSON.parse(text.decode(found.data));
    keep(functions);
    for (const cell of document.querySelectorAll("live-cell")) {
      const source = functions[/** @type {LiveCell} */ (cell).name];
      if (source) /** @type {LiveCell} */ (cell).write(`${source}\n`);
    }
  }
}

customElements.define("live-cell", LiveCell);
customElements.define("live-file", LiveFile);
