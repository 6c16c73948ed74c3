/* One kernel: where it came from, how it stands beside the machine, and its code at three levels with linked lines. */

const KINDS = ["multiply-add", "arithmetic", "load", "store", "shuffle", "compare, mask", "convert", "gather, scatter", "vector integer", "move", "integer", "branch", "other"];
const KIND_HUES = [212, 262, 330, 4, 48, 128, 176, 28, 296, 100, 20, 60, 0];
const MEANS = {
  compute: "its arithmetic takes longest", L2: "the bytes out of the second level cache take longest", L3: "the bytes out of the third level cache take longest",
  DRAM: "the bytes out of main memory take longest", latency: "too little work to be bound by arithmetic or memory: starting, loop edges, waiting",
};

function kernelNumber(sig, name) {
  return name === undefined ? -1 : sig.kernels.findIndex((k) => shortKernel(k) === name || k.name === name);
}

function viewKernel(main, sig, [name, kind, ...rest]) {
  const byTime = sig.kernels.map((_, k) => k).sort((a, b) => sig.kernels[b].seconds - sig.kernels[a].seconds || a - b);
  const number = name === undefined ? byTime[0] : kernelNumber(sig, name);
  const order = el("select", { title: "Order", "aria-label": "Order of the kernels" }, el("option", { value: "time" }, "by time"), el("option", { value: "call" }, "by call"));
  const list = el("div", { class: "list" });
  const fillList = () => {
    const numbers = order.value === "time" ? byTime : sig.kernels.map((_, k) => k);
    list.replaceChildren(...numbers.map((k) => {
      const kernel = sig.kernels[k];
      return el("a", { href: kernelLink(sig, k), hue: hue(k), "aria-current": k === number ? "true" : null },
        el("span", { class: "row" }, el("span", {}, el("b", {}, shortKernel(kernel)), ` ${kernelOp(sig, kernel)}`), el("span", { class: "num" }, seconds(kernel.seconds))),
        el("span", { class: "row soft" }, el("span", {}, `${kernel.form}, ${plural(kernel.ops.length, "op")}`), el("span", { class: "num" }, kernel.share === null ? "" : `${percent(kernel.share)} ${kernel.bound}`)));
    }));
  };
  order.addEventListener("change", fillList);
  fillList();
  const body = el("div", { class: "body" });
  main.append(el("div", { class: "split" }, el("aside", { class: "side", "aria-label": "Kernels" }, el("div", { class: "tools" }, el("b", {}, plural(sig.kernels.length, "kernel call")), " ", order), list), body));
  if (!sig.kernels.length || number < 0) {
    body.append(el("p", { class: "note" }, sig.kernels.length ? `This signature has no kernel ${name}.` : "Nothing is computed: every result is known or fed."));
    return null;
  }
  requestAnimationFrame(() => list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" }));
  return showKernel(body, sig, number, kind, rest);
}

async function showKernel(body, sig, number, kind, rest) {
  const kernel = sig.kernels[number], code = kernel.code >= 0 ? sig.codes[kernel.code] : null;
  const machine = DATA.machine;
  body.append(el("h2", {}, el("code", {}, kernel.name)));
  const card = (value, label) => el("div", { class: "card" }, el("b", {}, value), el("span", {}, label));
  body.append(el("div", { class: "cards" },
    card(seconds(kernel.seconds), `${kernel.calls > 1 ? `in ${kernel.calls} calls a step` : "a call"} on ${plural(Math.max(kernel.threads, 1), "thread")}${sig.total ? `, ${percent(kernel.seconds / sig.total)} of the step` : ""}`),
    card(percent(kernel.share), `of the roofline${kernel.bound ? `; bound by ${kernel.bound}: ${MEANS[kernel.bound]}` : ""}`),
    card(flops(kernel.flops), `${rate(kernel.seconds ? (kernel.flops * kernel.calls) / kernel.seconds : 0, "flop/s")} of ${rate(kernel.threads > 1 ? machine.flops : machine.core_flops, "flop/s")}`),
    card(bytes(kernel.bytes), `${rate(kernel.seconds ? (kernel.bytes * kernel.calls) / kernel.seconds : 0, "B/s")}; DRAM gives ${rate(machine.dram, "B/s")}`),
    code && card(code.vector ? `${code.vector} bits` : "scalar", `vectors; ${code.registers.vector} vector, ${code.registers.general} general, ${code.registers.mask} mask registers; ${code.stack} ${code.stack === 1 ? "access" : "accesses"} to the stack`)));
  const lines = new Map();
  kernel.ops.forEach((k) => { const op = sig.ops[k]; if (op[FILE] >= 0) { const key = `${op[FILE]}:${op[LINE]}`; lines.set(key, [...(lines.get(key) || []), k]); } });
  const origins = el("tbody", {}, [...lines].map(([key, ops]) => {
    const [file, line] = key.split(":").map(Number);
    return row(el("td", {}, el("a", { href: sourceLink(sig, file, line) }, `${DATA.sources[file].name}:${line}`)), el("td", { class: "mono name" }, (DATA.sources[file].lines[line - 1] || "").trim()),
      el("td", {}, ops.slice(0, 12).map((k) => el("a", { href: opLink(sig, k), class: "chip plain", title: sig.ops[k][NAME] }, sig.ops[k][NAME])), ops.length > 12 && `${ops.length - 12} more`));
  }));
  body.append(el("h3", {}, `Comes from ${plural(kernel.ops.length, "operation")} of ${plural(lines.size, "line")}`), el("table", {}, origins));
  if (!code) {
    body.append(el("p", { class: "note" }, kernel.form === "jump" ? "A jump of the plan: a loop or a branch decides here what runs next." : `No code: ${kernel.head}`));
    return;
  }
  for (const [mix, title] of [[code.mix, `Instruction mix, all ${code.instructions}`], [code.inner, "In the innermost loops"]]) {
    const all = Object.values(mix).reduce((a, b) => a + b, 0);
    if (!all) continue;
    const parts = Object.entries(mix).sort((a, b) => b[1] - a[1]);
    body.append(el("h3", {}, title), el("div", { class: "mix", role: "img", "aria-label": parts.map(([n, c]) => `${n} ${c}`).join(", ") }, parts.map(([n, c]) => el("i", { style: `--h:${KIND_HUES[KINDS.indexOf(n)]};width:${(100 * c) / all}%`, title: `${n}: ${c}` }))),
      el("div", {}, parts.map(([n, c]) => el("span", { class: "key" }, el("i", { style: `--h:${KIND_HUES[KINDS.indexOf(n)]}` }), `${n} ${c}`))));
  }
  body.append(el("h3", {}, "Buffers"), el("p", { class: "mono", style: "margin:0" }, kernel.buffers.map(([n, type, role, value]) => {
    const block = sig.memory.blocks.findIndex((b) => b.values.some((v) => v[0] === value && value >= 0));
    const text = `${role} ${n}: ${type}`;
    return block >= 0 ? el("a", { class: "chip plain", href: bufferLink(sig, block), title: "Where it lies" }, text) : el("span", { class: "chip plain" }, text);
  })), el("h3", {}, "Code"));
  const listing = JSON.parse(await unpack(code.text));
  const trail = el("div", { class: "trail", role: "status", "aria-live": "polite" });
  const view = listings(listing, (pane, n) => choosen(pane, n, true));
  const op = (node) => (kernel.nodes[node] || []).slice(-1)[0];
  const choosen = (pane, n, record) => {
    const found = belongings(listing, pane, n);
    view.show(found);
    if (record) keepAddress(kernelLink(sig, number, pane, n + 1));
    tell(found, pane === "ir" ? "loop IR" : pane === "llvm" ? "LLVM IR" : "assembly", n + 1);
  };
  const tell = (found, what, n) => {
    const shown = found.nodes.map(op).filter((k) => k !== undefined);
    const numbers = (list) => (list.length ? list.slice(0, 3).map((k) => k + 1).join(", ") + (list.length > 3 ? ", …" : "") : "–");
    trail.replaceChildren(el("b", {}, `${what}${n ? ` line ${n}` : ""}`), el("span", { class: "soft" }, `asm ${numbers(found.asm.on)}`), el("span", { class: "arrow" }, "←"), el("span", { class: "soft" }, `LLVM ${numbers(found.llvm.on)}`),
      el("span", { class: "arrow" }, "←"), el("span", { class: "soft" }, `loop IR ${numbers(found.ir.on)}`), el("span", { class: "arrow" }, "←"),
      ...(shown.length ? shown.slice(0, 4).flatMap((k) => [opAnchor(sig, k), el("span", { class: "arrow" }, "←"), el("span", { class: "to-source" }, place(sig, k))]) : [el("span", { class: "soft" }, "what the loops need")]));
  };
  trail.append(el("span", { class: "soft" }, "Click a line, or go through a listing with the arrow keys: what belongs to it lights up in the others."));
  body.append(el("div", { class: "controls" }, el("button", { type: "button", id: "hottest", onclick: () => { choosen("asm", hottest(listing), true); view.panes.asm.focus(); } }, "Hottest line"), el("span", { class: "soft" }, "the stripe at the left of the assembly says how many loops are around it")), trail, view.root);
  if (kind === "op" || kind === "from") {
    const wanted = kind === "op" ? [sig.byName.get(rest[0])] : kernel.ops.filter((k) => sig.ops[k][FILE] === Number(rest[0]) && sig.ops[k][LINE] === Number(rest[1]));
    const nodes = kernel.nodes.map((found, n) => (found.some((k) => wanted.includes(k)) ? n : -1)).filter((n) => n >= 0);
    const all = nodes.map((n) => ofNode(listing, n)).reduce((sum, f) => {
      for (const p of ["ir", "llvm", "asm"]) sum[p].on.push(...f[p].on);
      sum.nodes.push(...f.nodes);
      return sum;
    }, { ir: { on: [], near: [] }, llvm: { on: [], near: [] }, asm: { on: [], near: [] }, statement: -1, nodes: [] });
    view.show(all);
    tell(all, kind === "op" ? rest[0] : `line ${rest[1]}`, 0);
    requestAnimationFrame(() => trail.scrollIntoView({ block: "start" }));
  } else if (kind && listing[kind]) {
    choosen(kind, Math.min(Number(rest[0]), listing[kind].length) - 1, false);
    requestAnimationFrame(() => trail.scrollIntoView({ block: "start" }));
  }
}
