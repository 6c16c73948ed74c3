"use strict";
/* What all views share: the data, elements, numbers as people read them, links, and texts that are unpacked when they are wanted. */

const DATA = JSON.parse(document.getElementById("data").textContent);
const NAME = 0, TYPE = 1, FILE = 2, LINE = 3, WITHIN = 4, INPUTS = 5, CONTROL = 6, RESULTS = 7, KERNELS = 8, SECONDS = 9, BYTES = 10;
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  return fill(node, attributes, children);
}

function draw(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "hue") node.style.setProperty("--h", value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

const escaped = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

/* -- numbers -- */

function scaled(value, units, step) {
  let k = 0;
  while (Math.abs(value) >= step && k < units.length - 1) { value /= step; k += 1; }
  return `${value >= 100 || Number.isInteger(value) ? Math.round(value) : value.toPrecision(3)} ${units[k]}`;
}
const seconds = (s) => (!s ? "–" : s >= 1 ? `${s.toPrecision(3)} s` : s >= 1e-3 ? `${(s * 1e3).toPrecision(3)} ms` : `${(s * 1e6).toPrecision(3)} µs`);
const bytes = (n) => (n ? scaled(n, ["B", "KiB", "MiB", "GiB", "TiB"], 1024) : "–");
const flops = (n) => (n ? scaled(n, ["flop", "Kflop", "Mflop", "Gflop", "Tflop"], 1000) : "–");
const rate = (n, unit) => (n ? scaled(n, ["", "K", "M", "G", "T"], 1000) + unit : "–");
const percent = (x) => (x === null || x === undefined ? "–" : x < 0.001 ? "<0.1 %" : `${(100 * x).toFixed(x < 0.1 ? 1 : 0)} %`);
const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
const hue = (k) => Math.round((k * 137.508 + 205) % 360);

/* -- one signature, indexed -- */

function prepare(data, number) {
  const sig = { ...data, number, byName: new Map(), readers: data.ops.map(() => []), byLine: new Map(), total: 0 };
  data.ops.forEach((op, k) => {
    sig.byName.set(op[NAME], k);
    for (const [source, output] of op[INPUTS]) sig.readers[source].push([k, output]);
    if (op[FILE] >= 0) {
      const key = `${op[FILE]}:${op[LINE]}`;
      if (!sig.byLine.has(key)) sig.byLine.set(key, { ops: [], seconds: 0, bytes: 0, kernels: new Set() });
      const line = sig.byLine.get(key);
      line.ops.push(k);
      line.seconds += op[SECONDS];
      line.bytes += op[BYTES];
      op[KERNELS].forEach((n) => line.kernels.add(n));
    }
  });
  sig.total = data.kernels.reduce((sum, k) => sum + k.seconds, 0);
  return sig;
}

const prepared = new Map();
function signature(number) {
  if (!prepared.has(number)) prepared.set(number, prepare(DATA.signatures[number], number));
  return prepared.get(number);
}

const shortKernel = (kernel) => kernel.name.split("_")[0];
const kernelOp = (sig, kernel) => (kernel.ops.length ? sig.ops[kernel.ops[kernel.ops.length - 1]][NAME] : kernel.name);

/* -- links: #/signature/view/… -- */

/* Changes the address without going anywhere; in a notebook's frame it cannot be changed so. */
function keepAddress(hash) {
  if (location.protocol !== "about:") history.replaceState(null, "", hash);
}

const link = (sig, ...parts) => `#/${sig.number}/${parts.map((p) => encodeURIComponent(p)).join("/")}`;
const opLink = (sig, k) => link(sig, "op", sig.ops[k][NAME]);
const kernelLink = (sig, k, ...rest) => link(sig, "kernel", shortKernel(sig.kernels[k]), ...rest);
const sourceLink = (sig, file, line) => link(sig, "source", file, line);
const bufferLink = (sig, k) => link(sig, "buffer", k);

function opAnchor(sig, k) {
  return el("a", { href: opLink(sig, k), class: "mono" }, sig.ops[k][NAME]);
}
function kernelChip(sig, k, ...rest) {
  const kernel = sig.kernels[k];
  return el("a", { href: kernelLink(sig, k, ...rest), class: "chip", hue: hue(k), title: kernel.name }, `${shortKernel(kernel)} ${seconds(kernel.seconds)}`);
}
function place(sig, k) {
  const op = sig.ops[k];
  if (op[FILE] < 0) return el("span", { class: "soft" }, "made by graphflow");
  const name = DATA.sources[op[FILE]].name;
  return el("a", { href: sourceLink(sig, op[FILE], op[LINE]) }, `${name}:${op[LINE]}${op[WITHIN] ? ` in ${op[WITHIN]}` : ""}`);
}
const results = (sig, k) => sig.ops[k][RESULTS].map((n) => sig.types[n]).join(", ");
const meter = (share, kind) => el("i", { hidden: !(share > 0), class: `meter ${kind || ""}`, style: `width:${Math.max(0, Math.min(100, 100 * share)).toFixed(1)}%` });
const row = (...cells) => el("tr", {}, cells);
const head = (...names) => el("thead", {}, el("tr", {}, names.map((n) => el("th", { class: n.startsWith("#") ? "num" : null }, n.replace("#", "")))));

/* -- long texts -- */

const unpacked = new Map();
function unpack(key) {
  if (!unpacked.has(key)) {
    unpacked.set(key, (async () => {
      const packed = Uint8Array.from(atob(byId(`text-${key}`).textContent), (c) => c.charCodeAt(0));
      return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
    })());
  }
  return unpacked.get(key);
}
