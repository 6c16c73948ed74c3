/* Overview, search, keys, and which view is shown. */

const VIEWS = { overview: ["Overview", viewOverview], source: ["Source", viewSource], graph: ["Graph", viewGraph], passes: ["Passes", viewPasses], kernel: ["Kernels", viewKernel], memory: ["Memory", viewMemory], timeline: ["Time line", viewTimeline] };
const WHOLE = new Set(["graph", "kernel"]); // views that fill the window and scroll inside
const ALIAS = { op: "graph", buffer: "memory" };

function viewOverview(main, sig) {
  const m = sig.memory, machine = DATA.machine;
  const card = (value, label) => el("div", { class: "card" }, el("b", {}, value), el("span", {}, label));
  const fused = sig.kernels.filter((k) => k.ops.length > 1).length;
  main.append(el("h2", {}, sig.title), el("div", { class: "cards" },
    card(seconds(sig.total), `in kernels, mean of ${plural(sig.runs, "run")}; ${seconds(sig.wall)} in native code`), card(String(sig.ops.length), `operations of ${plural(sig.byLine.size, "line")}`),
    card(String(sig.kernels.length), `kernel calls, ${fused} of several operations; ${sig.codes.length} codes`), card(bytes(m.total), `arena, ${m.bound ? (m.total / m.bound).toFixed(3) : "1.000"} of the lower bound`),
    card(seconds(sig.passes.reduce((s, p) => s + p.seconds, 0)), "in passes"), card(Object.entries(sig.sizes).map(([k, v]) => `${k} = ${v}`).join(", ") || "static", "sizes of this plan")));
  const kernels = sig.kernels.map((k, n) => [k, n]).filter(([k]) => k.seconds).sort((a, b) => b[0].seconds - a[0].seconds);
  const lines = [...sig.byLine].sort((a, b) => b[1].seconds - a[1].seconds || b[1].ops.length - a[1].ops.length);
  main.append(el("div", { class: "columns" },
    el("div", {}, el("h3", {}, "Where the time goes: kernels"), kernels.length ? el("table", {}, head("kernel", "#time", "", "#roofline", "bound by"), el("tbody", {}, kernels.slice(0, 14).map(([k, n]) => row(
      el("td", { class: "name" }, el("div", { class: "tagged" }, el("a", { href: kernelLink(sig, n), class: "chip", hue: hue(n) }, shortKernel(k)), el("span", {}, kernelOp(sig, k)))), el("td", { class: "num" }, seconds(k.seconds)), el("td", { class: "meters" }, meter(k.seconds / kernels[0][0].seconds, "hot")),
      el("td", { class: "num" }, percent(k.share)), el("td", {}, k.bound))))) : el("p", { class: "note" }, "This signature has not run: nothing was measured.")),
    el("div", {}, el("h3", {}, "Where the time goes: lines"), el("table", {}, head("line", "#time", "", "#ops"), el("tbody", {}, lines.slice(0, 14).map(([key, v]) => {
      const [file, line] = key.split(":").map(Number);
      return row(el("td", { class: "name" }, el("a", { href: sourceLink(sig, file, line) }, `${DATA.sources[file].name}:${line}`), " ", el("code", {}, (DATA.sources[file].lines[line - 1] || "").trim().slice(0, 90))), el("td", { class: "num" }, seconds(v.seconds)),
        el("td", { class: "meters" }, meter(v.seconds / Math.max(lines[0][1].seconds, 1e-12), "hot")), el("td", { class: "num" }, v.ops.length));
    })))),
    sig.passes.length && el("div", {}, el("h3", {}, "Passes"), el("table", {}, head("pass", "#nodes", "changes", "#time"), el("tbody", {}, sig.passes.map((p, k) => row(el("td", {}, el("a", { href: link(sig, "passes", sig.passes[Math.max(0, k - 1)].name, p.name) }, p.name)), el("td", { class: "num" }, p.nodes),
      el("td", {}, k ? changeMarks(sig, k) : ""), el("td", { class: "num" }, k ? seconds(p.seconds) : "")))))),
    machine && el("div", {}, el("h3", {}, "Machine"), el("dl", {}, el("dt", {}, "code for"), el("dd", {}, sig.cpu), el("dt", {}, "arithmetic"), el("dd", {}, `${rate(machine.flops, "flop/s")} on ${plural(machine.threads, "thread")}, ${machine.lanes} float32 a vector`),
      el("dt", {}, "L2, L3, DRAM"), el("dd", {}, [machine.l2, machine.l3, machine.dram].map((r) => rate(r, "B/s")).join(", ")), el("dt", {}, "graphflow"), el("dd", {}, `${DATA.version}, Python ${DATA.python}`)))));
}

/* -- which view -- */

function route() {
  const [number, view, ...rest] = (location.hash || DATA.start).replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const n = Math.min(Math.max(0, Number(number) || 0), DATA.signatures.length - 1);
  const sig = signature(n), name = ALIAS[view] || (VIEWS[view] ? view : "overview");
  return { sig, name: shows(sig, name) ? name : "graph", rest: shows(sig, name) ? rest : [] };
}

/* A graph that nothing was compiled of has less to show. */
const shows = (sig, view) => sig.passes.length > 0 || view === "source" || view === "graph";

let shown = 0;
async function show() {
  const turn = (shown += 1);
  const { sig, name, rest } = route();
  const main = byId("main");
  byId("signature").value = sig.number;
  byId("views").replaceChildren(...Object.entries(VIEWS).filter(([key]) => shows(sig, key)).map(([key, [title]], k) => el("a", { href: link(sig, key), "aria-current": key === name ? "page" : null }, title, el("kbd", {}, k + 1))));
  main.classList.toggle("whole", WHOLE.has(name));
  main.replaceChildren();
  main.scrollTop = 0;
  const fresh = document.createElement("div");
  fresh.style.display = "contents";
  main.append(fresh);
  main.dataset.view = name;
  main.removeAttribute("data-ready");
  const holder = { append: (...c) => fresh.append(...c), get clientWidth() { return main.clientWidth; } };
  await VIEWS[name][1](holder, sig, rest);
  if (turn === shown) main.dataset.ready = location.hash || "#";
}

/* -- search -- */

function search(text) {
  const list = byId("found");
  list.replaceChildren();
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return;
  const { sig } = route();
  const fits = (name) => words.every((w) => name.toLowerCase().includes(w));
  const rows = [];
  sig.kernels.forEach((k, n) => fits(k.name) && rows.push([k.name, `kernel, ${seconds(k.seconds)}`, kernelLink(sig, n)]));
  sig.ops.forEach((op, k) => (fits(op[NAME]) || fits(op[TYPE])) && rows.push([op[NAME], op[TYPE], opLink(sig, k)]));
  sig.memory.blocks.forEach((b, k) => b.values.forEach((v) => v[1] && fits(`buffer ${v[1]}`) && rows.push([v[1], `buffer ${k}, ${bytes(b.size)}`, bufferLink(sig, k)])));
  rows.sort((a, b) => a[0].length - b[0].length);
  rows.slice(0, 40).forEach(([name, what, href], k) => list.append(el("li", { role: "option", "aria-selected": k === 0 ? "true" : "false" }, el("a", { href, tabindex: -1 }, el("span", {}, name), el("span", { class: "soft" }, what)))));
  if (!rows.length) list.append(el("li", { class: "soft", style: "padding:4px 8px" }, "nothing of that name"));
}

function searchKey(event) {
  const items = [...byId("found").querySelectorAll("[role=option]")];
  const at = items.findIndex((i) => i.getAttribute("aria-selected") === "true");
  if (event.key === "Escape") { event.target.value = ""; search(""); event.target.blur(); }
  if (event.key === "Enter" && at >= 0) { location.hash = items[at].firstChild.getAttribute("href"); event.target.value = ""; search(""); event.target.blur(); }
  const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (move && items.length) {
    event.preventDefault();
    const next = (at + move + items.length) % items.length;
    items.forEach((i, k) => i.setAttribute("aria-selected", k === next ? "true" : "false"));
    items[next].scrollIntoView({ block: "nearest" });
  }
}

/* -- beginning -- */

function theme(name) {
  document.documentElement.dataset.theme = name;
  try { localStorage.setItem("graphflow-theme", name); } catch (_) { /* a page from disk may not be allowed to keep anything */ }
}

function keys(event) {
  if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  const { sig } = route();
  const view = Object.keys(VIEWS).filter((name) => shows(sig, name))[Number(event.key) - 1];
  if (event.key === "/") { event.preventDefault(); byId("search").focus(); }
  else if (event.key === "t") byId("theme").click();
  else if (event.key === "?") byId("keys").showModal();
  else if (view && !(event.key === "0")) location.hash = link(sig, view);
}

function begin() {
  byId("title").textContent = DATA.title;
  let wanted = null;
  try { wanted = localStorage.getItem("graphflow-theme"); } catch (_) { /* see theme */ }
  theme(wanted || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  byId("theme").addEventListener("click", () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  byId("signature").append(...DATA.signatures.map((s, n) => el("option", { value: n }, `${s.title} · ${plural(s.kernels.length, "kernel")} · ${plural(s.runs, "run")} · ${seconds(s.wall)}`)));
  byId("signature").hidden = DATA.signatures.length < 2;
  byId("signature").addEventListener("change", (e) => { location.hash = `#/${e.target.value}/${route().name === "graph" ? "graph" : "overview"}`; });
  byId("search").addEventListener("input", (e) => search(e.target.value));
  byId("search").addEventListener("keydown", searchKey);
  byId("found").addEventListener("click", () => { byId("search").value = ""; search(""); });
  document.addEventListener("click", (e) => { if (!e.target.closest(".search")) search(""); });
  document.addEventListener("keydown", keys);
  document.addEventListener("click", (e) => { // in a notebook's frame the address that "#" is added to is the notebook's
    const anchor = e.target.closest('a[href^="#"]');
    if (!anchor || e.ctrlKey || e.metaKey || e.shiftKey || e.button) return;
    e.preventDefault();
    location.hash = anchor.getAttribute("href");
  });
  const dialog = byId("keys");
  const rows = [["1 … 7", "the views"], ["/", "search; ↑ ↓ Enter choose, Esc ends"], ["Tab, Enter", "go on, open"], ["← ↑ → ↓", "in the graph: from box to box; in a listing: line by line"], ["+ − 0", "larger, smaller, all of it"], ["t", "light or dark"], ["?", "these keys"]];
  dialog.append(el("h2", {}, "Keys"), el("dl", {}, rows.flatMap(([k, what]) => [el("dt", {}, el("kbd", {}, k)), el("dd", {}, what)])), el("p", { class: "note" }, "The address of the page leads back to what is chosen."), el("form", { method: "dialog" }, el("button", {}, "Close")));
  byId("help").addEventListener("click", () => dialog.showModal());
  addEventListener("hashchange", show);
  if (!DATA.signatures.length) { byId("main").append(el("p", { class: "note" }, "The program ran nothing: there is no compiled signature to show.")); return; }
  show();
}

begin();
