/* What scrolls can be reached by the keyboard; code that is to be typed can be copied. */
"use strict";

const SCROLLERS = "article pre, article .table-wrapper, article .cell_output, article .math, article mjx-container, table.catalogue td p";

/** Make the boxes that are wider than their place regions that Tab reaches, and no others. */
function reachScrollers() {
  for (const [i, box] of document.querySelectorAll(SCROLLERS).entries()) {
    const scrolls = box.scrollWidth > box.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(box).overflowX);
    if (scrolls && !box.hasAttribute("tabindex")) {
      const kind = box.matches("pre") ? "Code" : box.matches(".table-wrapper") ? "Table" : box.querySelector("math") ? "Formula" : "Output";
      const heading = box.closest("section")?.querySelector("h1, h2, h3, h4")?.firstChild?.textContent.trim();
      box.dataset.scrolls = "";
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", `${kind} ${i + 1}, which scrolls sideways` + (heading ? `, in ${heading}` : ""));
    } else if (!scrolls && "scrolls" in box.dataset) {
      delete box.dataset.scrolls;
      for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
    }
  }
}

/** Put a text on the clipboard; without a secure connection by the old command. */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.body.appendChild(document.createElement("textarea"));
  area.value = text;
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("not copied");
}

/** Give a block of code a button that copies it, and says so. */
function addCopyButton(block) {
  const button = document.createElement("button");
  const said = document.createElement("span");
  const text = block.querySelector("pre").textContent.trim();
  const name = text.includes("\n") ? "the code" : text;
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy ${name}`);
  said.className = "visually-hidden";
  said.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    const done = await copy(text).then(() => "Copied", () => "Not copied");
    button.textContent = said.textContent = done;
    setTimeout(() => { button.textContent = "Copy"; said.textContent = ""; }, 2000);
  });
  block.append(button, said);
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".copied .highlight").forEach(addCopyButton);
  document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "Pages");
  document.querySelector(".toc-drawer")?.setAttribute("aria-label", "On this page");
  const again = document.querySelector(".search-again input");
  if (again) again.value = new URLSearchParams(location.search).get("q") ?? "";
  document.addEventListener("toggle", reachScrollers, true);  // <details> that were folded
  new ResizeObserver(reachScrollers).observe(document.querySelector("article"));
  window.addEventListener("load", async () => {
    await window.MathJax?.startup?.promise;
    reachScrollers();
  });
});
