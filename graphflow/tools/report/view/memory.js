/* The arena: one bar a block, as long as it lives, as high as it is, at its offset. */

function viewMemory(main, sig, [chosen]) {
  const m = sig.memory, steps = Math.max(sig.kernels.length, 1);
  const card = (value, label) => el("div", { class: "card" }, el("b", {}, value), el("span", {}, label));
  main.append(el("h2", {}, "Memory"), el("div", { class: "cards" }, card(bytes(m.total), `the arena, placed ${m.method}`), card(bytes(m.bound), `lower bound: most that is alive at once; the plan is ${m.bound ? (m.total / m.bound).toFixed(3) : "1.000"} of it`),
    card(bytes(m.unplanned), "without sharing"), card(bytes(m.outside.filter((o) => o.kind === "variable").reduce((s, o) => s + o.size, 0)), "variables, which lie outside the arena")));
  if (!m.blocks.length) { main.append(el("p", { class: "note" }, "Nothing lies between the kernels.")); return; }
  const width = Math.max(760, Math.min(9000, Math.max(steps * 14, main.clientWidth - 36))), height = 420, left = 70, top = 12;
  const x = (s) => left + (s * (width - left - 10)) / steps, y = (o) => top + (1 - o / Math.max(m.total, 1)) * height;
  const details = el("div", { "aria-live": "polite" });
  const shapes = m.blocks.map((b, k) => {
    if (!b.size) return null;
    const parts = b.values.map(([, , first], n) => {
      const start = n ? first : b.first, end = n + 1 < b.values.length ? b.values[n + 1][2] : b.last + 1;
      const wide = Math.max(1, x(Math.max(end, start + 0.5)) - x(start)), high = Math.max(0.6, y(b.offset) - y(b.offset + b.size)), name = b.scratch ? "" : b.values[n][1];
      const box = draw("rect", { x: x(start), y: y(b.offset + b.size), width: wide, height: high, style: b.scratch ? null : `--h:${hue(k * 7 + n * 3)}` });
      if (high < 13 || wide < 50 || !name) return box;
      const most = Math.floor((wide - 8) / 6);
      return [box, draw("text", { class: "small", x: x(start) + 5, y: y(b.offset + b.size) + 11, style: "pointer-events:none" }, name.length > most ? `…${name.slice(1 - most)}` : name)];
    });
    const title = `${b.values.map((v) => v[1] || `%${v[0]}`).join(", then in place ")}: ${bytes(b.size)} at ${b.offset}, calls ${b.first}..${b.last}`;
    const act = () => { keepAddress(bufferLink(sig, k)); pick(k); };
    return draw("g", { class: `block${b.scratch ? " scratch" : ""}`, hue: hue(k), "data-k": k, tabindex: 0, role: "button", "aria-label": title, onclick: act,
      onkeydown: (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); act(); } } }, draw("title", {}, title), parts);
  });
  const most = Math.max(...m.live, 1);
  const live = m.live.map((v, k) => `${k ? "L" : "M"}${x(k)} ${top + height + 40 + 60 * (1 - v / most)}L${x(k + 1)} ${top + height + 40 + 60 * (1 - v / most)}`).join("");
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((t) => [draw("line", { class: "axis", x1: left, x2: width, y1: y(t * m.total), y2: y(t * m.total) }), draw("text", { class: "small", x: left - 6, y: y(t * m.total) + 3, "text-anchor": "end" }, bytes(t * m.total) === "–" ? "0" : bytes(t * m.total))]);
  const every = Math.ceil(steps / (width / 60));
  const names = sig.kernels.map((kernel, k) => (k % every ? null : draw("text", { class: "small", x: x(k + 0.5), y: top + height + 14, "text-anchor": "middle" }, shortKernel(kernel))));
  const svg = draw("svg", { width, height: top + height + 110, role: "group", "aria-label": "Blocks of the arena over the kernel calls" }, ticks,
    draw("line", { class: "bound", x1: left, x2: width, y1: y(m.bound), y2: y(m.bound) }), shapes, draw("line", { class: "peak", x1: x(m.peak + 0.5), x2: x(m.peak + 0.5), y1: top, y2: top + height }), names,
    draw("path", { class: "live", d: live }), draw("text", { class: "small", x: left - 6, y: top + height + 45, "text-anchor": "end" }, bytes(most)), draw("text", { class: "small", x: left - 6, y: top + height + 102, "text-anchor": "end" }, "alive"));
  main.append(el("p", { class: "note" }, "Calls from left to right, bytes upwards. A bar that changes colour is reused in place: one value overwrites the one before. Dashed boxes are scratch. Bars are named after the operation whose result they hold. Red: the peak; green: the lower bound. Below: bytes alive."),
    el("div", { class: "scroll" }, svg), details);
  const holders = m.blocks.map((b, k) => [b, k]).filter(([b]) => b.first <= m.peak && m.peak <= b.last).sort((a, b) => b[0].size - a[0].size);
  main.append(el("div", { class: "columns" },
    el("div", {}, el("h3", {}, "Who holds the peak, at ", el("a", { href: kernelLink(sig, m.peak) }, sig.kernels[m.peak]?.name || "")), el("table", {}, head("value", "#bytes", "", "calls"), el("tbody", {}, holders.slice(0, 30).map(([b, k]) => row(
      el("td", { class: "name" }, el("a", { href: bufferLink(sig, k) }, b.values.map((v) => v[1] || `%${v[0]}`).join(" → "))), el("td", { class: "num" }, bytes(b.size)), el("td", { class: "meters" }, meter(b.size / Math.max(holders[0][0].size, 1))), el("td", { class: "num" }, `${b.first}..${b.last}`)))))),
    el("div", {}, el("h3", {}, "Outside the arena"), el("table", {}, head("name", "kind", "#bytes"), el("tbody", {}, m.outside.slice(0, 60).map((o) => row(el("td", { class: "name" }, sig.byName.has(o.name) ? opAnchor(sig, sig.byName.get(o.name)) : o.name), el("td", {}, o.kind), el("td", { class: "num" }, bytes(o.size)))))))));
  function pick(k) {
    svg.querySelectorAll(".on").forEach((n) => n.classList.remove("on"));
    const shape = svg.querySelector(`.block[data-k="${k}"]`), b = m.blocks[k];
    if (!b) { details.replaceChildren(el("p", { class: "note" }, `There is no buffer ${k}.`)); return; }
    shape?.classList.add("on");
    shape?.parentNode.append(shape);
    details.replaceChildren(el("h3", {}, `Buffer ${k}`), el("dl", {}, el("dt", {}, "bytes"), el("dd", {}, `${b.size.toLocaleString("en")} at offset ${b.offset.toLocaleString("en")}`),
      el("dt", {}, "alive"), el("dd", {}, kernelChip(sig, b.first), "to ", kernelChip(sig, Math.min(b.last, sig.kernels.length - 1))),
      el("dt", {}, "holds"), el("dd", {}, b.values.map(([value, name, first], n) => el("div", {}, n ? "then in place " : "", name && sig.byName.has(name) ? opAnchor(sig, sig.byName.get(name)) : name, value >= 0 ? ` %${value}` : "", " from ", kernelChip(sig, first))))));
  }
  if (chosen !== undefined) pick(Number(chosen));
}
