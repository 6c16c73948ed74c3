/* The passes as a strip, the rules of the chosen one, and any two stages side by side. */

const CONTEXT = 2; // equal lines shown around a difference

function viewPasses(main, sig, [leftName, rightName]) {
  if (!sig.passes.length) { main.append(el("p", { class: "note" }, "Nothing was compiled.")); return null; }
  const names = sig.passes.map((p) => p.name);
  let right = names.indexOf(rightName);
  if (right < 0) right = Math.max(1, sig.passes.findIndex((p, k) => k && p.text !== sig.passes[k - 1].text));
  right = Math.min(right, names.length - 1);
  let left = names.indexOf(leftName);
  if (left < 0) left = Math.max(0, right - 1);
  const go = (a, b) => { location.hash = link(sig, "passes", names[a], names[b]); };
  const slowest = Math.max(...sig.passes.map((p) => p.seconds), 1e-9);
  main.append(el("h2", {}, "Passes"), el("div", { class: "strip", role: "group", "aria-label": "Passes in order" }, sig.passes.map((p, k) => el("button", {
    type: "button", class: k && p.text === sig.passes[k - 1].text ? "same" : null, "aria-pressed": k === right ? "true" : "false", "data-left": k === left, title: p.why,
    onclick: () => go(Math.max(0, k - 1), k),
  }, el("b", {}, p.name), el("span", {}, `${p.nodes} nodes${p.groups ? `, ${p.groups} groups` : ""}`),
  el("span", {}, k ? changeMarks(sig, k) : ""),
  el("span", {}, k ? seconds(p.seconds) : ""), meter(p.seconds / slowest)))));
  const pass = sig.passes[right];
  main.append(el("p", { class: "note" }, el("b", {}, pass.name), `: ${pass.why}. `, "−removed, +added, ~changed nodes; a node is known by the value that it gives."));
  if (pass.rules.length) {
    main.append(el("h3", {}, `Rules of ${pass.name}`), el("table", {}, head("rule", "#times", "on"), el("tbody", {}, pass.rules.map((r) => row(
      el("td", { class: "mono name" }, r.rule), el("td", { class: "num" }, r.count), el("td", { class: "mono name" }, r.examples.map((e) => el("div", {}, e)), r.count > r.examples.length && el("div", { class: "soft" }, "…")))))));
  }
  const pick = (value, change, label) => el("label", {}, `${label} `, el("select", { onchange: (e) => change(Number(e.target.value)) }, names.map((n, k) => el("option", { value: k, selected: k === value }, `after ${n}`))));
  const whole = el("input", { type: "checkbox", id: "whole" });
  const table = el("div", {});
  main.append(el("h3", {}, "Side by side"), el("div", { class: "controls" }, pick(left, (k) => go(k, right), "Left"), pick(right, (k) => go(left, k), "Right"), el("label", {}, whole, " all lines")), table);
  const show = async () => {
    const [a, b] = await Promise.all([unpack(sig.passes[left].text), unpack(sig.passes[right].text)]);
    table.replaceChildren(sideBySide(a.trimEnd().split("\n"), b.trimEnd().split("\n"), whole.checked));
  };
  whole.addEventListener("change", show);
  return show();
}

function changeMarks(sig, k) {
  const p = sig.passes[k];
  if (p.text === sig.passes[k - 1].text) return [el("span", { class: "soft" }, "no change")];
  const marks = [["minus", "−", p.removed], ["plus", "+", p.added], ["turn", "~", p.changed]].filter(([, , n]) => n).map(([kind, sign, n]) => el("i", { class: kind }, `${sign}${n} `));
  if (p.grouped) marks.push(el("i", { class: "turn" }, `${p.grouped} grouped `));
  if (p.moved) marks.push(el("i", { class: "turn" }, `${p.moved} moved`));
  return marks;
}

/* Lines that give the same value stand beside each other where the order allows (a longest increasing sequence). */
function aligned(a, b) {
  const key = (line) => (/ = [a-z]+ of /.test(line) ? line.trim() : (line.match(/^\s*(?:[a-z]+ )?(%\d+):/) || [null, line.trim()])[1]); // the head of a group gives what its last node gives
  const where = new Map();
  b.forEach((line, k) => { const id = key(line); where.set(id, where.has(id) ? -1 : k); });
  const pairs = [];
  const once = new Map();
  a.forEach((line) => { const id = key(line); once.set(id, (once.get(id) || 0) + 1); });
  a.forEach((line, k) => { const id = key(line), at = where.get(id); if (at !== undefined && at >= 0 && once.get(id) === 1) pairs.push([k, at]); });
  const tails = [], before = new Array(pairs.length).fill(-1);
  pairs.forEach(([, at], n) => {
    let low = 0, high = tails.length;
    while (low < high) { const half = (low + high) >> 1; if (pairs[tails[half]][1] < at) low = half + 1; else high = half; }
    before[n] = low ? tails[low - 1] : -1;
    tails[low] = n;
  });
  const chain = [];
  for (let n = tails.length ? tails[tails.length - 1] : -1; n >= 0; n = before[n]) chain.unshift(pairs[n]);
  const rows = [];
  let i = 0, j = 0;
  for (const [x, y] of [...chain, [a.length, b.length]]) {
    while (i < x) rows.push(["cut", a[i++], ""]);
    while (j < y) rows.push(["new", "", b[j++]]);
    if (x < a.length) { rows.push([bare(a[x]) === bare(b[y]) ? "" : "edit", a[x], b[y]]); i = x + 1; j = y + 1; }
  }
  return rows;
}

const bare = (line) => line.trim().replace(/^[a-z]+ (?=%)/, "");

function sideBySide(a, b, whole) {
  const rows = aligned(a, b);
  const shown = new Uint8Array(rows.length);
  rows.forEach((r, k) => { if (r[0] || whole) for (let n = Math.max(0, k - CONTEXT); n <= Math.min(rows.length - 1, k + CONTEXT); n += 1) shown[n] = 1; });
  const html = [];
  let skipped = 0;
  const flush = () => { if (skipped) html.push(`<tr class="gap"><td colspan="2">${skipped} equal line${skipped === 1 ? "" : "s"}</td></tr>`); skipped = 0; };
  rows.forEach((r, k) => {
    if (!shown[k]) { skipped += 1; return; }
    flush();
    html.push(`<tr class="${r[0]}"><td>${escaped(r[1])}</td><td>${escaped(r[2])}</td></tr>`);
  });
  flush();
  const table = el("table", { class: "diff" });
  table.innerHTML = html.join("");
  return table;
}
