/* The graph: name scopes closed until they are clicked, kernels by colour, types on the edges. */

const HUB = 8; // readers at one level from which on a node's edges show only when it is chosen
const LABELLED = 400; // edges up to which types are written on them
const SERIES = 8; // as many of one name with different numbers are folded
const READABLE = 0.6; // pixels a unit: a graph that would be drawn smaller begins at its top instead of whole
const OPEN_BELOW = 30; // a graph as small as this is shown opened
const opened = new Map(); // by signature: names of the open scopes

function scopeTree(sig) {
  if (sig.tree) return sig.tree;
  const root = { name: "", label: "", scopes: new Map(), ops: [], parent: null, size: 0 };
  const scopeOf = (path) => {
    let at = root;
    for (const part of path) {
      if (!at.scopes.has(part)) at.scopes.set(part, { name: at.name ? `${at.name}/${part}` : part, label: part, scopes: new Map(), ops: [], parent: at, size: 0 });
      at = at.scopes.get(part);
    }
    return at;
  };
  const prefixes = new Set();
  for (const op of sig.ops) { const path = op[NAME].split("/"); for (let k = 1; k < path.length; k += 1) prefixes.add(path.slice(0, k).join("/")); }
  sig.scopeOfOp = sig.ops.map((op, k) => {
    const path = op[NAME].split("/");
    const scope = scopeOf(prefixes.has(op[NAME]) ? path : path.slice(0, -1));
    scope.ops.push(k);
    for (let s = scope; s; s = s.parent) s.size += 1;
    return scope;
  });
  [root, ...allScopes(root)].forEach((scope) => foldSeries(sig, scope));
  sig.tree = root;
  return root;
}

/* Names that differ in a number at their end, as an unrolled loop makes them, go into a scope of their own where they are many. */
function foldSeries(sig, scope) {
  const base = (name) => name.replace(/(_?\d+)+$/, "");
  const series = new Map();
  const put = (name, item) => { const key = base(name); series.set(key, [...(series.get(key) || []), item]); };
  scope.scopes.forEach((s) => put(s.label, s));
  scope.ops.forEach((k) => put(sig.ops[k][NAME].split("/").pop(), k));
  if (series.size < 2) return;
  for (const [key, items] of series) {
    if (items.length < SERIES) continue;
    const label = `${key}_*`;
    const fold = { name: `${scope.name ? `${scope.name}/` : ""}${label}`, label, scopes: new Map(), ops: [], parent: scope, size: 0 };
    for (const item of items) {
      if (typeof item === "number") { fold.ops.push(item); sig.scopeOfOp[item] = fold; fold.size += 1; }
      else { scope.scopes.delete(item.label); fold.scopes.set(item.label, item); item.parent = fold; fold.size += item.size; }
    }
    const moved = new Set(fold.ops);
    scope.ops = scope.ops.filter((k) => !moved.has(k));
    scope.scopes.set(label, fold);
  }
}

const allScopes = (scope) => [...scope.scopes.values()].flatMap((s) => [s, ...allScopes(s)]);

function openScopes(sig) {
  if (!opened.has(sig.number)) {
    const root = scopeTree(sig);
    const open = new Set();
    if (sig.ops.length <= OPEN_BELOW) allScopes(root).forEach((s) => open.add(s.name));
    opened.set(sig.number, open);
  }
  return opened.get(sig.number);
}

function viewGraph(main, sig, [name]) {
  const chosen = name === undefined ? null : sig.byName.get(name);
  const open = openScopes(sig);
  const root = scopeTree(sig);
  if (chosen !== null && chosen !== undefined) for (let s = sig.scopeOfOp[chosen]; s && s !== root; s = s.parent) open.add(s.name);
  const canvas = el("div", { class: "canvas" });
  const side = el("aside", { class: "side end", "aria-label": "Chosen operation" });
  main.append(el("div", { class: "split" }, canvas, side));
  const view = { sig, open, canvas, side, chosen: null, again: () => paint(view) };
  const button = (text, title, action) => el("button", { type: "button", title, onclick: action }, text);
  canvas.append(el("div", { class: "controls" },
    button("Open all", "Open all name scopes", () => { allScopes(root).forEach((s) => open.add(s.name)); view.again(); view.fit(); }),
    button("Close all", "Close all name scopes", () => { open.clear(); view.again(); view.fit(); }),
    button("+", "Larger (+)", () => view.zoom(1.3)), button("−", "Smaller (-)", () => view.zoom(1 / 1.3)), button("Fit", "All of it (0)", () => view.fit())));
  window.onbeforeprint = () => { if (canvas.isConnected) view.fit(); };
  panning(view);
  paint(view);
  view.start();
  if (chosen === undefined) side.append(el("p", { class: "note" }, `This signature has no operation ${name}.`));
  else if (chosen !== null) { choose(view, chosen); view.centre(`op:${chosen}`); }
  else describeGraph(view);
}

/* -- layout of the open scopes, inside out -- */

function arrange(view) {
  const { sig, open } = view;
  const root = scopeTree(sig);
  const kernelOf = (k) => (sig.ops[k][KERNELS].length ? sig.ops[k][KERNELS][0] : -1);
  const boxes = new Map();
  const seen = (k) => { // the outermost closed scope around an operation, or the operation
    let key = `op:${k}`;
    for (let s = sig.scopeOfOp[k]; s && s !== root; s = s.parent) if (!open.has(s.name)) key = `scope:${s.name}`;
    return key;
  };
  const visible = sig.ops.map((_, k) => seen(k));
  const path = (k) => { // keys of the visible boxes around an operation, outermost first
    const keys = [];
    for (let s = sig.scopeOfOp[k]; s && s !== root; s = s.parent) keys.unshift(`scope:${s.name}`);
    const cut = keys.findIndex((key) => !open.has(key.slice(6)));
    return cut < 0 ? [...keys, `op:${k}`] : keys.slice(0, cut + 1);
  };
  const paths = sig.ops.map((_, k) => path(k));
  const joins = new Map(); // edges between visible boxes
  const levels = new Map(); // for each open scope the edges between its children
  sig.ops.forEach((op, k) => {
    const add = (source, type, control) => {
      const a = visible[source], b = visible[k];
      if (a === b) return;
      const id = `${a} ${b}`;
      const pa = paths[source], pb = paths[k];
      let depth = 0;
      while (depth < pa.length - 1 && depth < pb.length - 1 && pa[depth] === pb[depth]) depth += 1;
      const level = depth ? pa[depth - 1] : "scope:";
      if (!joins.has(id)) joins.set(id, { a, b, types: [], control: true, level, from: pa[depth], to: pb[depth] });
      const join = joins.get(id);
      if (type !== null) { join.types.push(type); join.control = false; }
    };
    for (const [source, output] of op[INPUTS]) add(source, sig.types[sig.ops[source][RESULTS][output]], false);
    for (const source of op[CONTROL]) add(source, null, true);
  });
  for (const join of joins.values()) {
    if (!levels.has(join.level)) levels.set(join.level, new Map());
    levels.get(join.level).set(`${join.from} ${join.to}`, [join.from, join.to]);
  }
  const size = (scope) => {
    const children = [];
    for (const s of scope.scopes.values()) {
      const key = `scope:${s.name}`;
      if (open.has(s.name)) size(s);
      else boxes.set(key, { key, scope: s, w: Math.max(90, 7 * s.label.length + 44), h: 38 });
      children.push(key);
    }
    for (const k of scope.ops) {
      const op = sig.ops[k], label = op[NAME].split("/").pop();
      boxes.set(`op:${k}`, { key: `op:${k}`, op: k, kernel: kernelOf(k), label, w: Math.max(56, 6.4 * Math.max(label.length, op[TYPE].length * 0.85) + 18), h: 32 });
      children.push(`op:${k}`);
    }
    const number = new Map(children.map((key, k) => [key, k]));
    const all = [...(levels.get(`scope:${scope.name}`) || new Map()).values()].filter(([a, b]) => a !== b);
    const readers = new Map();
    for (const [a] of all) readers.set(a, (readers.get(a) || 0) + 1);
    const hubs = new Set([...readers].filter(([, n]) => n > HUB).map(([key]) => key));
    const few = all.filter(([a]) => !hubs.has(a));
    const first = new Map(); // a hub stands by the reader that comes first
    for (const [a, b] of all) if (hubs.has(a) && !first.has(a)) { first.set(a, b); few.push([a, b]); }
    const plan = layered(children.map((key) => boxes.get(key)), few.map(([a, b]) => [number.get(a), number.get(b)]));
    const routes = new Map(few.map(([a, b], e) => [`${a} ${b}`, plan.routes[e]]));
    const pad = scope === root ? 0 : 16, top = scope === root ? 0 : 24;
    boxes.set(`scope:${scope.name}`, {
      key: `scope:${scope.name}`, scope, open: true, children, plan, routes, hubs, pad, top,
      w: Math.max(plan.width + 2 * pad, scope === root ? 0 : 8 * scope.label.length + 60), h: plan.height + pad + top + (scope === root ? 0 : 4),
    });
  };
  size(root);
  const putDown = (box, left, upper) => {
    const inset = left + (box.w - box.plan.width) / 2;
    box.inset = inset;
    box.children.forEach((key, k) => {
      const child = boxes.get(key);
      child.x = inset + box.plan.at[k].x;
      child.y = upper + box.top + box.plan.at[k].y;
      child.level = box.key;
      if (child.open) putDown(child, child.x - child.w / 2, child.y - child.h / 2);
    });
    box.upper = upper;
  };
  const whole = boxes.get("scope:");
  whole.x = whole.w / 2;
  whole.y = whole.h / 2;
  putDown(whole, 0, 0);
  return { boxes, joins: [...joins.values()], whole };
}

/* -- painting -- */

function paint(view) {
  const { sig } = view;
  const drawn = arrange(view);
  view.drawn = drawn;
  const parts = [];
  const scopes = [...drawn.boxes.values()].filter((b) => b.open && b.scope.name);
  scopes.sort((a, b) => a.scope.name.length - b.scope.name.length);
  for (const box of scopes) {
    parts.push(`<g class="node scope open" tabindex="0" role="button" aria-expanded="true" data-key="${escaped(box.key)}"><title>${escaped(box.scope.name)}: ${box.scope.size} operations, click to close</title>`
      + `<rect class="box" x="${box.x - box.w / 2}" y="${box.y - box.h / 2}" width="${box.w}" height="${box.h}" rx="8"/>`
      + `<text x="${box.x - box.w / 2 + 10}" y="${box.y - box.h / 2 + 16}">− ${escaped(box.scope.label)}</text></g>`);
  }
  const taken = [...drawn.boxes.values()].filter((b) => !b.open).map((b) => [b.x - b.w / 2, b.y - b.h / 2, b.x + b.w / 2, b.y + b.h / 2]);
  const labels = drawn.joins.length <= LABELLED;
  const free = (x, y, w) => { // a label that would lie on something is left out: the edge's title has it
    const room = [x - w / 2, y - 6, x + w / 2, y + 5];
    if (taken.some((t) => t[0] < room[2] && room[0] < t[2] && t[1] < room[3] && room[1] < t[3])) return false;
    taken.push(room);
    return true;
  };
  drawn.joins.forEach((join, n) => {
    const level = drawn.boxes.get(join.level);
    const a = drawn.boxes.get(join.a), b = drawn.boxes.get(join.b);
    const far = level.hubs.has(join.from) && !level.routes.has(`${join.from} ${join.to}`);
    const middle = (level.routes.get(`${join.from} ${join.to}`) || []).map(([x, y]) => [x + level.inset, y + level.upper + level.top]);
    const way = b.y < a.y ? -1 : 1; // edges that close a circle go up
    const points = [[a.x, a.y + (way * a.h) / 2], ...middle, [b.x, b.y - (way * b.h) / 2]];
    const text = join.control ? "control" : join.types.length > 1 ? `${join.types.length} tensors` : join.types[0];
    parts.push(`<path class="edge${join.control ? " control" : ""}${far ? " far" : ""}" data-n="${n}" marker-end="url(#arrow)" d="${curve(points)}"><title>${escaped(join.types.join("\n") || "control")}</title></path>`);
    if (labels && !far && !join.control) {
      const [x, y] = [(points[0][0] + points[1][0]) / 2, (points[0][1] + points[1][1]) / 2];
      if (free(x, y, 4.6 * text.length)) parts.push(`<text class="label" x="${x}" y="${y + 3}" text-anchor="middle">${escaped(text)}</text>`);
    }
  });
  for (const box of drawn.boxes.values()) {
    if (box.open) continue;
    const left = box.x - box.w / 2, top = box.y - box.h / 2;
    if (box.scope) {
      const inside = insideOf(sig, box.scope);
      const stripes = inside.kernels.slice(0, 8).map((k, n, all) => `<rect x="${left + 6 + (n * (box.w - 12)) / all.length}" y="${top + box.h - 6}" width="${(box.w - 12) / all.length}" height="4" style="fill:hsl(${hue(k)} 52% 55%)"/>`).join("");
      parts.push(`<g class="node scope" tabindex="0" role="button" aria-expanded="false" data-key="${escaped(box.key)}"><title>${escaped(box.scope.name)}: ${plural(box.scope.size, "operation")}, ${plural(inside.kernels.length, "kernel")}, ${seconds(inside.seconds)}; click to open</title>`
        + `<rect class="box" x="${left}" y="${top}" width="${box.w}" height="${box.h}" rx="8"/><text x="${box.x}" y="${top + 15}" text-anchor="middle">+ ${escaped(box.scope.label)}</text>`
        + `<text class="small" x="${box.x}" y="${top + 28}" text-anchor="middle">${box.scope.size} ops${inside.seconds ? ` · ${seconds(inside.seconds)}` : ""}</text>${stripes}</g>`);
    } else {
      const op = sig.ops[box.op];
      const kernel = box.kernel >= 0 ? ` kernel" style="--h:${hue(box.kernel)}` : "";
      parts.push(`<g class="node${kernel}" tabindex="0" role="button" data-key="${box.key}"><title>${escaped(op[NAME])}: ${escaped(results(sig, box.op))}</title>`
        + `<rect class="box" x="${left}" y="${top}" width="${box.w}" height="${box.h}" rx="5"/><text x="${box.x}" y="${top + 14}" text-anchor="middle">${escaped(box.label)}</text>`
        + `<text class="small" x="${box.x}" y="${top + 26}" text-anchor="middle">${escaped(op[TYPE])}</text></g>`);
    }
  }
  view.svg.innerHTML = `<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerUnits="userSpaceOnUse" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0 L8 4 L0 8 z" style="fill:var(--soft)"/></marker></defs><g>${parts.join("")}</g>`;
  view.apply();
  if (view.chosen !== null) mark(view);
}

function insideOf(sig, scope) {
  if (!scope.inside) {
    const kernels = new Map();
    let total = 0;
    const visit = (s) => {
      for (const k of s.ops) {
        total += sig.ops[k][SECONDS];
        for (const n of sig.ops[k][KERNELS]) kernels.set(n, true);
      }
      s.scopes.forEach(visit);
    };
    visit(scope);
    scope.inside = { kernels: [...kernels.keys()].sort((a, b) => a - b), seconds: total };
  }
  return scope.inside;
}

function curve(points) {
  let d = `M${points[0][0].toFixed(1)} ${points[0][1].toFixed(1)}`;
  for (let k = 1; k < points.length; k += 1) {
    const [x0, y0] = points[k - 1], [x1, y1] = points[k], bend = (y1 - y0) / 2;
    d += `C${x0.toFixed(1)} ${(y0 + bend).toFixed(1)} ${x1.toFixed(1)} ${(y1 - bend).toFixed(1)} ${x1.toFixed(1)} ${y1.toFixed(1)}`;
  }
  return d;
}

/* -- moving about -- */

function panning(view) {
  const svg = draw("svg", { role: "group", "aria-label": "Graph of operations" });
  view.svg = svg;
  view.canvas.append(svg);
  const box = { x: 0, y: 0, w: 800, h: 600 };
  view.apply = () => {
    svg.setAttribute("viewBox", `${box.x} ${box.y} ${box.w} ${box.h}`);
    svg.classList.toggle("distant", view.canvas.clientWidth / box.w < 0.34);
  };
  view.zoom = (factor, px = 0.5, py = 0.5) => {
    box.x += box.w * px * (1 - 1 / factor);
    box.y += box.h * py * (1 - 1 / factor);
    box.w /= factor;
    box.h /= factor;
    view.apply();
  };
  view.shift = (dx, dy) => { box.x += dx; box.y += dy; view.apply(); };
  const frame = (x, y, w, h) => {
    const width = view.canvas.clientWidth || 800, height = view.canvas.clientHeight || 600;
    const scale = Math.min(width / w, height / h);
    box.w = width / scale;
    box.h = height / scale;
    box.x = x + (w - box.w) / 2;
    box.y = y + (h - box.h) / 2;
    view.apply();
  };
  view.fit = () => {
    const { w, h } = view.drawn.whole;
    const least = Math.max(w + 60, (view.canvas.clientWidth || 800) / 1.25);
    frame((w - least) / 2, -60, least, Math.max(h + 100, (least * (view.canvas.clientHeight || 600)) / (view.canvas.clientWidth || 800)));
    if (h + 100 > box.h || w + 60 > box.w) frame(-30, -60, w + 60, h + 100);
  };
  view.start = () => {
    view.fit();
    const width = view.canvas.clientWidth || 800, height = view.canvas.clientHeight || 600;
    if (width / box.w >= READABLE) return;
    const top = [...view.drawn.boxes.values()].filter((b) => !b.open).reduce((best, b) => (!best || b.y < best.y ? b : best), null);
    const scale = 0.9;
    frame((top ? top.x : view.drawn.whole.w / 2) - width / scale / 2, -60, width / scale, height / scale);
  };
  view.centre = (key) => {
    const node = view.drawn.boxes.get(key);
    if (!node) return;
    const width = (view.canvas.clientWidth || 800) / 1.1, height = (view.canvas.clientHeight || 600) / 1.1;
    frame(node.x - width / 2, node.y - height / 2, width, height);
  };
  let held = null;
  svg.addEventListener("pointerdown", (e) => { held = { x: e.clientX, y: e.clientY, moved: false }; });
  svg.addEventListener("pointermove", (e) => {
    if (!held) return;
    const scale = box.w / svg.clientWidth;
    if (Math.abs(e.clientX - held.x) + Math.abs(e.clientY - held.y) > 3) {
      if (!held.moved) svg.setPointerCapture(e.pointerId);
      held.moved = true;
    }
    if (!held.moved) return;
    box.x -= (e.clientX - held.x) * scale;
    box.y -= (e.clientY - held.y) * scale;
    held.x = e.clientX;
    held.y = e.clientY;
    view.apply();
  });
  svg.addEventListener("pointerup", () => { view.dragged = Boolean(held && held.moved); held = null; });
  svg.addEventListener("wheel", (e) => {
    e.preventDefault();
    const area = svg.getBoundingClientRect();
    view.zoom(Math.exp(-e.deltaY / 400), (e.clientX - area.left) / area.width, (e.clientY - area.top) / area.height);
  }, { passive: false });
  svg.addEventListener("click", (e) => {
    const node = e.target.closest(".node");
    if (node && !view.dragged) act(view, node.dataset.key);
  });
  svg.addEventListener("keydown", (e) => {
    const node = e.target.closest(".node");
    if (node && (e.key === "Enter" || e.key === " ")) { e.preventDefault(); act(view, node.dataset.key); return; }
    if (node && e.key.startsWith("Arrow")) { e.preventDefault(); walkTo(view, node.dataset.key, e.key); return; }
    if (e.key === "+" || e.key === "=") view.zoom(1.3);
    if (e.key === "-") view.zoom(1 / 1.3);
    if (e.key === "0") view.fit();
  });
}

const nodeOf = (view, key) => view.svg.querySelector(`.node[data-key="${CSS.escape(key)}"]`);

function act(view, key) {
  if (key.startsWith("op:")) { keepAddress(opLink(view.sig, Number(key.slice(3)))); choose(view, Number(key.slice(3))); return; }
  const name = key.slice(6);
  const before = view.drawn.boxes.get(key), x = before.x, y = before.y - before.h / 2;
  if (view.open.has(name)) view.open.delete(name);
  else view.open.add(name);
  paint(view);
  const after = view.drawn.boxes.get(key);
  view.shift(after.x - x, after.y - after.h / 2 - y);
  nodeOf(view, key)?.focus({ preventScroll: true });
}

/* The nearest box in the direction of an arrow key. */
function walkTo(view, key, arrow) {
  const from = view.drawn.boxes.get(key);
  const [dx, dy] = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[arrow];
  let best = null, least = Infinity;
  for (const box of view.drawn.boxes.values()) {
    if (box.open || box === from) continue;
    const along = (box.x - from.x) * dx + (box.y - from.y) * dy;
    const across = Math.abs((box.x - from.x) * dy) + Math.abs((box.y - from.y) * dx);
    if (along > 6 && along + 2.5 * across < least) { least = along + 2.5 * across; best = box; }
  }
  if (best) nodeOf(view, best.key)?.focus();
}

function choose(view, k) {
  view.chosen = k;
  mark(view);
  view.side.replaceChildren(...opDetails(view.sig, k));
}

function mark(view) {
  const { sig, chosen, svg } = view;
  for (const old of svg.querySelectorAll(".on, .mate, .lit")) old.classList.remove("on", "mate", "lit");
  const key = `op:${chosen}`;
  nodeOf(view, key)?.classList.add("on");
  for (const kernel of sig.ops[chosen][KERNELS]) {
    for (const mate of sig.kernels[kernel].ops) if (mate !== chosen) nodeOf(view, `op:${mate}`)?.classList.add("mate");
  }
  view.drawn.joins.forEach((join, n) => {
    if (join.a === key || join.b === key) svg.querySelector(`.edge[data-n="${n}"]`)?.classList.add("lit");
  });
}

function describeGraph(view) {
  const { sig } = view;
  view.side.replaceChildren(el("h2", {}, "Graph"),
    el("p", { class: "note" }, `${plural(sig.ops.length, "operation")} in ${plural(allScopes(scopeTree(sig)).length, "name scope")}. Boxes of one colour are computed by one kernel; white ones need no code.`),
    el("p", { class: "note" }, "Click a scope (or Enter) to open or close it, an operation to see it. Arrow keys go from box to box, the wheel and + − 0 zoom. Edges of nodes with many readers show when the node is chosen."));
}

function opDetails(sig, k) {
  const op = sig.ops[k];
  const list = (items) => (items.length ? items : [el("span", { class: "soft" }, "none")]);
  return [el("h2", {}, el("code", {}, op[NAME])), el("dl", {},
    el("dt", {}, "type"), el("dd", {}, op[TYPE]), el("dt", {}, "made at"), el("dd", {}, place(sig, k)), el("dt", {}, "gives"), el("dd", { class: "mono" }, results(sig, k) || "nothing"),
    el("dt", {}, "time"), el("dd", {}, seconds(op[SECONDS])), el("dt", {}, "bytes"), el("dd", {}, bytes(op[BYTES])),
    el("dt", {}, "kernels"), el("dd", {}, list(op[KERNELS].map((n) => kernelChip(sig, n, "op", op[NAME]))))),
  el("h3", {}, "Reads"), el("div", {}, list(op[INPUTS].map(([s, o]) => el("div", {}, opAnchor(sig, s), " ", el("span", { class: "soft mono" }, sig.types[sig.ops[s][RESULTS][o]]))))),
  el("h3", {}, "Waits for"), el("div", {}, list(op[CONTROL].map((s) => el("div", {}, opAnchor(sig, s))))),
  el("h3", {}, "Read by"), el("div", {}, list(sig.readers[k].slice(0, 60).map(([r]) => el("div", {}, opAnchor(sig, r))))),
  el("h3", {}, "Computed together with"), el("div", {}, list([...new Set(op[KERNELS].flatMap((n) => sig.kernels[n].ops))].filter((n) => n !== k).slice(0, 60).map((n) => el("div", {}, opAnchor(sig, n)))))];
}
