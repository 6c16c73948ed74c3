/* Three listings side by side: a line that is chosen in one lights up what belongs to it in the others. */

function listings(code, chosen) {
  const kinds = { ir: "Loop IR", llvm: "LLVM IR", asm: "Assembly" };
  const panes = {}, lines = {};
  const root = el("div", { class: "listings" });
  for (const [kind, title] of Object.entries(kinds)) {
    const rows = code[kind];
    const html = rows.map((r, n) => {
      const deep = kind === "asm" && r[2] ? ` class="deep" style="--d:${r[2]}"` : "";
      return `<div data-n="${n + 1}"${deep}>${escaped(r[0]) || " "}</div>`;
    }).join("");
    panes[kind] = el("div", { class: "listing", tabindex: 0, role: "listbox", "aria-label": title });
    panes[kind].innerHTML = html;
    lines[kind] = panes[kind].children;
    panes[kind].addEventListener("click", (event) => {
      const line = event.target.closest("div[data-n]");
      if (line) chosen(kind, Number(line.dataset.n) - 1);
    });
    panes[kind].addEventListener("keydown", (event) => {
      const move = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20 }[event.key];
      if (!move) return;
      event.preventDefault();
      const at = panes[kind].querySelector(".on");
      chosen(kind, Math.max(0, Math.min(rows.length - 1, (at ? Number(at.dataset.n) - 1 : -1) + move)));
    });
    root.append(el("section", {}, el("h3", {}, `${title}, ${plural(rows.length, "line")}`), panes[kind]));
  }
  return { root, show: (lit) => light(panes, lines, lit), panes };
}

/* lit: {ir, llvm, asm}, each {on: [numbers], near: [numbers]}; the first of `on` is brought into view. */
function light(panes, lines, lit) {
  for (const kind of Object.keys(panes)) {
    for (const old of panes[kind].querySelectorAll(".on, .near")) old.classList.remove("on", "near");
    for (const n of lit[kind].near) lines[kind][n].classList.add("near");
    for (const n of lit[kind].on) lines[kind][n].classList.add("on");
    const first = lit[kind].on[0] ?? lit[kind].near[0];
    if (first !== undefined) {
      const pane = panes[kind], line = lines[kind][first];
      const above = line.offsetTop - pane.offsetTop;
      if (above < pane.scrollTop + 20 || above > pane.scrollTop + pane.clientHeight - 40) pane.scrollTop = above - pane.clientHeight / 3;
    }
  }
}

/* What belongs to a chosen line: the statement and node of an LLVM line; the LLVM line of an assembly line. */
function belongings(code, kind, n) {
  const found = { ir: { on: [], near: [] }, llvm: { on: [], near: [] }, asm: { on: [], near: [] }, statement: -1, nodes: [] };
  const numbers = (rows, test) => rows.reduce((out, r, k) => (test(r, k) ? (out.push(k), out) : out), []);
  if (kind === "ir") {
    found.statement = code.ir[n][1];
    found.nodes = code.ir[n][2];
    found.ir.on = [n];
    if (found.statement >= 0) found.llvm.on = numbers(code.llvm, (r) => r[1] === found.statement);
    const own = new Set(found.llvm.on.map((k) => k + 1));
    found.asm.on = numbers(code.asm, (r) => own.has(r[1]));
    return found;
  }
  const line = kind === "llvm" ? n : code.asm[n][1] - 1;
  if (line >= 0) {
    const [, statement, node] = code.llvm[line];
    found.statement = statement;
    found.nodes = node >= 0 ? [node] : [];
    found.llvm.on = [line];
    if (statement >= 0) {
      found.llvm.near = numbers(code.llvm, (r) => r[1] === statement && r[2] === node);
      found.ir.on = numbers(code.ir, (r) => r[1] === statement);
    }
    const near = new Set(found.llvm.near.map((k) => k + 1));
    found.asm.near = numbers(code.asm, (r) => near.has(r[1]));
  }
  found.asm.on = kind === "asm" ? [n] : numbers(code.asm, (r) => r[1] === line + 1);
  return found;
}

/* What was made for one node of the kernel's group. */
function ofNode(code, node) {
  const found = { ir: { on: [], near: [] }, llvm: { on: [], near: [] }, asm: { on: [], near: [] }, statement: -1, nodes: [node] };
  code.ir.forEach((r, k) => r[2].includes(node) && found.ir.on.push(k));
  code.llvm.forEach((r, k) => r[2] === node && found.llvm.on.push(k));
  const own = new Set(found.llvm.on.map((k) => k + 1));
  code.asm.forEach((r, k) => own.has(r[1]) && found.asm.on.push(k));
  const deepest = Math.max(...found.asm.on.map((k) => code.asm[k][2]));
  found.asm.on.sort((a, b) => (code.asm[b][2] === deepest) - (code.asm[a][2] === deepest) || a - b);
  return found;
}

/* The line in the innermost loop that comes from a line of LLVM IR, arithmetic first. */
function hottest(code) {
  let best = 0, score = -1;
  code.asm.forEach((r, k) => {
    const value = r[1] > 0 && !r[0].endsWith(":") ? r[2] * 4 + (/fn?m(add|sub|la)/.test(r[0]) ? 2 : /^\s+v?[a-z]*(add|mul|div|max)/.test(r[0]) ? 1 : 0) : -1;
    if (value > score) { best = k; score = value; }
  });
  return best;
}
