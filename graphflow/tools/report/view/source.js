/* The program's own lines with the operations that each made, their time and bytes. */

function viewSource(main, sig, [file, line]) {
  const used = [...new Set([...sig.byLine.keys()].map((k) => Number(k.split(":")[0])))];
  if (!used.length) {
    main.append(el("p", { class: "note" }, "No line of a file on disk made these operations."));
    return;
  }
  const weight = (n) => [...sig.byLine].reduce((sum, [k, v]) => sum + (k.startsWith(`${n}:`) ? v.seconds * 1e6 + v.ops.length : 0), 0);
  used.sort((a, b) => weight(b) - weight(a));
  const chosen = file === undefined ? used[0] : Number(file);
  const source = DATA.sources[chosen];
  main.append(el("div", { class: "controls" },
    el("h2", { style: "margin:0" }, source.name), el("span", { class: "soft mono" }, source.path),
    used.length > 1 && el("label", {}, "File ", el("select", { onchange: (e) => { location.hash = link(sig, "source", e.target.value); } },
      used.map((n) => el("option", { value: n, selected: n === chosen }, DATA.sources[n].name))))));
  main.append(el("p", { class: "note" }, "A line's time is its operations' share of their kernels, cut by how much each computes. Lines that made operations open on click or Enter."));
  const most = Math.max(1e-12, ...[...sig.byLine.values()].map((v) => v.seconds));
  const body = el("tbody");
  const text = source.lines.length ? source.lines : linesSeen(sig, chosen);
  text.forEach((code, k) => body.append(sourceLine(sig, chosen, k + 1, code, most)));
  main.append(el("table", { class: "source" }, head("#", "time of a step", "#bytes", "#ops", "", "kernels"), body));
  if (line) {
    const picked = body.querySelector(`tr[data-line="${Number(line)}"]`);
    if (picked) {
      picked.classList.add("picked");
      if (picked.classList.contains("has")) openLine(sig, chosen, Number(line), picked);
      requestAnimationFrame(() => picked.scrollIntoView({ block: "center" }));
    }
  }
}

function linesSeen(sig, file) {
  const last = Math.max(...[...sig.byLine.keys()].filter((k) => k.startsWith(`${file}:`)).map((k) => Number(k.split(":")[1])));
  return Array.from({ length: last }, () => "");
}

function sourceLine(sig, file, number, code, most) {
  const made = sig.byLine.get(`${file}:${number}`);
  if (!made) return el("tr", { "data-line": number }, el("td", { class: "no" }, number), el("td"), el("td"), el("td"), el("td", { class: "code" }, code), el("td"));
  const kernels = [...made.kernels].sort((a, b) => sig.kernels[b].seconds - sig.kernels[a].seconds);
  const toggle = (event) => {
    if (event.target.closest("a")) return;
    if (event.type === "keydown" && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    openLine(sig, file, number, event.currentTarget);
  };
  return el("tr", { class: "has", "data-line": number, tabindex: 0, "aria-expanded": "false", onclick: toggle, onkeydown: toggle },
    el("td", { class: "no" }, el("a", { href: sourceLink(sig, file, number), title: "Permanent link" }, number)),
    el("td", { class: "time" }, el("span", { style: "display:inline-block;width:70px" }, meter(made.seconds / most, "hot")), " ", made.seconds ? seconds(made.seconds) : ""),
    el("td", { class: "num" }, bytes(made.bytes)), el("td", { class: "num" }, made.ops.length), el("td", { class: "code" }, code),
    el("td", { class: "chips" }, kernels.slice(0, 3).map((k) => kernelChip(sig, k, "from", file, number)), kernels.length > 3 && el("span", { class: "soft" }, `+${kernels.length - 3}`)));
}

function openLine(sig, file, number, tr) {
  const next = tr.nextElementSibling;
  if (next && next.classList.contains("more")) {
    next.remove();
    tr.classList.remove("open");
    tr.setAttribute("aria-expanded", "false");
    return;
  }
  const ops = sig.byLine.get(`${file}:${number}`).ops.slice().sort((a, b) => sig.ops[b][SECONDS] - sig.ops[a][SECONDS]);
  const table = el("table", {}, head("operation", "type", "result", "#time", "#bytes", "kernels"), el("tbody", {}, ops.map((k) => {
    const op = sig.ops[k];
    return row(el("td", { class: "name" }, opAnchor(sig, k)), el("td", {}, op[TYPE]), el("td", { class: "mono" }, results(sig, k)),
      el("td", { class: "num" }, seconds(op[SECONDS])), el("td", { class: "num" }, bytes(op[BYTES])),
      el("td", {}, op[KERNELS].map((n) => kernelChip(sig, n, "op", op[NAME]))));
  })));
  tr.classList.add("open");
  tr.setAttribute("aria-expanded", "true");
  tr.after(el("tr", { class: "more" }, el("td", { colspan: 6 }, el("div", { class: "ops" }, table))));
}
