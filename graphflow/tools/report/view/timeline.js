/* The last measured step: one lane a thread, calls by colour, barriers and gaps. */

function viewTimeline(main, sig) {
  main.append(el("h2", {}, "Time line"));
  if (!sig.laps.length) { main.append(el("p", { class: "note" }, "Nothing was measured: this signature has not run.")); return; }
  const threads = 1 + Math.max(...sig.laps.map((l) => l[1])), start = Math.min(...sig.laps.map((l) => l[2])), end = Math.max(...sig.laps.map((l) => l[3]));
  const length = Math.max(end - start, 1), busy = Array.from({ length: threads }, () => 0), calls = Array.from({ length: threads }, () => 0);
  for (const [, thread, from, to] of sig.laps) { busy[thread] += to - from; calls[thread] += 1; }
  const holder = el("div", { class: "scroll", tabindex: 0 });
  let zoom = 1;
  const paintLanes = () => {
    const width = Math.max(700, (main.clientWidth - 40) * zoom), left = 74, lane = 54, top = 26;
    const x = (t) => left + ((t - start) / length) * (width - left - 12);
    const parts = [];
    const unit = 10 ** Math.floor(Math.log10((length / width) * 90)), tick = [1, 2, 5, 10].map((n) => n * unit).find((n) => (n / length) * width > 80) || unit;
    for (let t = 0; t <= length; t += tick) parts.push(`<line class="axis" x1="${x(start + t)}" x2="${x(start + t)}" y1="16" y2="${top + threads * lane}"/><text class="small" x="${x(start + t) + (t + tick > length ? -3 : 3)}" y="13" ${t + tick > length ? 'text-anchor="end"' : ""}>${seconds(t / 1e9) === "–" ? "0" : seconds(t / 1e9)}</text>`);
    for (let n = 0; n < threads; n += 1) parts.push(`<rect class="gap" x="${left}" y="${top + n * lane + 6}" width="${width - left - 12}" height="${lane - 18}"/><text x="6" y="${top + n * lane + 28}">thread ${n}</text>`);
    const ends = new Map();
    for (const [call, , , to] of sig.laps) ends.set(call, Math.max(ends.get(call) || 0, to));
    if (threads > 1) for (const [call, to] of ends) if (sig.kernels[call].barrier) parts.push(`<line class="barrier" x1="${x(to)}" x2="${x(to)}" y1="${top}" y2="${top + threads * lane - 6}"/>`);
    for (const [call, thread, from, to, times] of sig.laps) {
      const kernel = sig.kernels[call], wide = Math.max(0.6, x(to) - x(from)), upper = top + thread * lane + (times > 1 ? 20 : 6), high = lane - (times > 1 ? 32 : 18);
      const label = wide > 34 ? `<text x="${x(from) + 4}" y="${upper + 15}" style="pointer-events:none">${escaped(clip(`${shortKernel(kernel)} ${kernelOp(sig, kernel)}`, wide))}</text>` : "";
      parts.push(`<a href="${kernelLink(sig, call)}"><rect class="lap" x="${x(from)}" y="${upper}" width="${wide}" height="${high}" style="fill:hsl(${hue(call)} 52% var(--tint));stroke:hsl(${hue(call)} 45% var(--rule))"><title>${escaped(kernel.name)}: ${seconds((to - from) / 1e9)}${times > 1 ? ` in ${times} rounds of a loop` : ""}</title></rect>${label}</a>`);
    }
    holder.innerHTML = `<svg width="${width}" height="${top + threads * lane + 4}" role="group" aria-label="Calls by thread">${parts.join("")}</svg>`;
  };
  const clip = (text, wide) => { const most = Math.floor((wide - 6) / 6); return text.length <= most ? text : `${text.slice(0, Math.max(0, most - 1))}…`; };
  const scale = (factor) => { const middle = (holder.scrollLeft + holder.clientWidth / 2) / holder.scrollWidth; zoom = Math.max(1, Math.min(60, zoom * factor)); paintLanes(); holder.scrollLeft = middle * holder.scrollWidth - holder.clientWidth / 2; };
  main.append(el("div", { class: "controls" }, el("span", {}, `The last of ${plural(sig.runs, "run")}: ${seconds(length / 1e9)} in native code; mean ${seconds(sig.wall)}`),
    el("button", { type: "button", title: "Larger (+)", onclick: () => scale(1.6) }, "+"), el("button", { type: "button", title: "Smaller (-)", onclick: () => scale(1 / 1.6) }, "−"), el("button", { type: "button", onclick: () => { zoom = 1; paintLanes(); } }, "Fit")),
  el("p", { class: "note" }, "Grey: the thread waits or has no part. Low bars: calls in a loop, drawn from their first round on as if the others followed at once. Red lines: barriers, where all threads meet. A call leads to its kernel."), holder);
  holder.addEventListener("keydown", (e) => { if (e.key === "+" || e.key === "=") scale(1.6); if (e.key === "-") scale(1 / 1.6); });
  paintLanes();
  main.append(el("h3", {}, "Threads"), el("table", {}, head("thread", "#calls", "#busy", "#waiting", ""), el("tbody", {}, busy.map((b, n) => row(el("td", {}, `thread ${n}`), el("td", { class: "num" }, calls[n]), el("td", { class: "num" }, seconds(b / 1e9)), el("td", { class: "num" }, `${seconds((length - b) / 1e9)}, ${percent(1 - b / length)}`), el("td", { class: "meters" }, meter(b / length)))))));
}
