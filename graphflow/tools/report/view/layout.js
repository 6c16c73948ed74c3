/* Layered drawing of a directed graph (Sugiyama, Tagawa, Toda 1981): ranks by longest paths, long edges cut by dummies, few crossings by
   medians, straight columns by repeated averaging. Knows nothing of what it draws.

   layered([{w, h}], [[from, to]]) gives {at: [{x, y}] centres, routes: [[[x, y], …]] one for each edge, width, height}. */

const LAYER_GAP = 46, NODE_GAP = 18, LONG_EDGE = 10, DUMMY = 8, SWEEPS = 6;

function layered(nodes, edges) {
  const count = nodes.length;
  const forward = acyclic(count, edges);
  const rank = ranks(count, forward);
  const total = nodes.map((n) => ({ w: n.w, h: n.h }));
  const ranksOf = Array.from(rank);
  const chains = forward.map(([u, v]) => {
    const chain = [u];
    if (rank[v] - rank[u] <= LONG_EDGE) {
      for (let r = rank[u] + 1; r < rank[v]; r += 1) {
        chain.push(total.length);
        total.push({ w: DUMMY, h: 0 });
        ranksOf.push(r);
      }
    }
    chain.push(v);
    return chain;
  });
  const up = total.map(() => []), down = total.map(() => []);
  for (const chain of chains) {
    for (let k = 1; k < chain.length; k += 1) {
      if (Math.abs(ranksOf[chain[k]] - ranksOf[chain[k - 1]]) === 1) {
        down[chain[k - 1]].push(chain[k]);
        up[chain[k]].push(chain[k - 1]);
      }
    }
  }
  const layers = orderLayers(ranksOf, up, down);
  const x = columns(layers, total, up, down);
  const tops = [];
  let y = 0;
  layers.forEach((layer, r) => {
    const tall = layer.reduce((most, n) => Math.max(most, total[n].h), 0);
    tops[r] = y + tall / 2;
    y += tall + LAYER_GAP;
  });
  let left = Infinity, right = -Infinity;
  total.forEach((n, k) => { left = Math.min(left, x[k] - n.w / 2); right = Math.max(right, x[k] + n.w / 2); });
  if (!count) left = right = 0;
  const at = nodes.map((_, k) => ({ x: x[k] - left, y: tops[rank[k]] }));
  const routes = chains.map((chain, e) => {
    const points = chain.slice(1, -1).map((n) => [x[n] - left, tops[ranksOf[n]]]);
    return forward[e].reversed ? points.reverse() : points;
  });
  return { at, routes, width: right - left, height: Math.max(0, y - LAYER_GAP), rank: Array.from(rank) };
}

/* The edges with those turned round that close circles. */
function acyclic(count, edges) {
  const out = Array.from({ length: count }, () => []);
  edges.forEach(([u, v], e) => out[u].push([v, e]));
  const state = new Uint8Array(count), turned = new Set();
  for (let start = 0; start < count; start += 1) {
    if (state[start]) continue;
    const stack = [[start, 0]];
    state[start] = 1;
    while (stack.length) {
      const top = stack[stack.length - 1];
      if (top[1] === out[top[0]].length) { state[top[0]] = 2; stack.pop(); continue; }
      const [v, e] = out[top[0]][top[1]];
      top[1] += 1;
      if (state[v] === 1) turned.add(e);
      else if (!state[v]) { state[v] = 1; stack.push([v, 0]); }
    }
  }
  return edges.map(([u, v], e) => {
    const edge = turned.has(e) ? [v, u] : [u, v];
    edge.reversed = turned.has(e);
    return edge;
  });
}

/* Longest paths from the sources; then what only feeds something late is drawn down to it. */
function ranks(count, edges) {
  const out = Array.from({ length: count }, () => []), waits = new Int32Array(count), rank = new Int32Array(count);
  for (const [u, v] of edges) { if (u !== v) { out[u].push(v); waits[v] += 1; } }
  const inputs = Int32Array.from(waits), order = [];
  for (let n = 0; n < count; n += 1) if (!waits[n]) order.push(n);
  for (let k = 0; k < order.length; k += 1) {
    for (const v of out[order[k]]) {
      rank[v] = Math.max(rank[v], rank[order[k]] + 1);
      waits[v] -= 1;
      if (!waits[v]) order.push(v);
    }
  }
  for (let k = order.length - 1; k >= 0; k -= 1) {
    const n = order[k];
    if (!inputs[n] && out[n].length) rank[n] = out[n].reduce((least, v) => Math.min(least, rank[v] - 1), Infinity);
  }
  return rank;
}

function orderLayers(rank, up, down) {
  const layers = [];
  rank.forEach((r, n) => { (layers[r] = layers[r] || []).push(n); });
  for (let r = 0; r < layers.length; r += 1) layers[r] = layers[r] || [];
  const position = new Float64Array(rank.length);
  const number = (layer) => layer.forEach((n, k) => { position[n] = k; });
  layers.forEach(number);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const near = sweep % 2 ? down : up;
    const sequence = sweep % 2 ? [...layers.keys()].reverse() : [...layers.keys()];
    for (const r of sequence) {
      const key = new Map();
      for (const n of layers[r]) {
        const places = near[n].map((m) => position[m]).sort((a, b) => a - b);
        const half = places.length >> 1;
        key.set(n, !places.length ? position[n] : places.length % 2 ? places[half] : (places[half - 1] + places[half]) / 2);
      }
      layers[r].sort((a, b) => key.get(a) - key.get(b) || position[a] - position[b]);
      number(layers[r]);
    }
  }
  return layers;
}

/* Centres: every node where its neighbours are on average, as near as its layer's order and the gaps allow. */
function columns(layers, sizes, up, down) {
  const x = new Float64Array(sizes.length);
  for (const layer of layers) {
    let end = 0;
    for (const n of layer) { x[n] = end + sizes[n].w / 2; end += sizes[n].w + NODE_GAP; }
    for (const n of layer) x[n] -= end / 2;
  }
  const mean = (list) => list.reduce((sum, n) => sum + x[n], 0) / list.length;
  for (let pass = 0; pass < 10; pass += 1) {
    const sequence = pass % 2 ? [...layers.keys()].reverse() : [...layers.keys()];
    for (const r of sequence) {
      const layer = layers[r];
      const wish = layer.map((n) => {
        const near = pass === 9 ? [...up[n], ...down[n]] : pass % 2 ? down[n] : up[n];
        return near.length ? mean(near) : x[n];
      });
      const low = new Float64Array(layer.length), high = new Float64Array(layer.length);
      for (let k = 0; k < layer.length; k += 1) {
        low[k] = k ? Math.max(wish[k], low[k - 1] + (sizes[layer[k - 1]].w + sizes[layer[k]].w) / 2 + NODE_GAP) : wish[k];
      }
      for (let k = layer.length - 1; k >= 0; k -= 1) {
        high[k] = k < layer.length - 1 ? Math.min(wish[k], high[k + 1] - (sizes[layer[k + 1]].w + sizes[layer[k]].w) / 2 - NODE_GAP) : wish[k];
      }
      layer.forEach((n, k) => { x[n] = (low[k] + high[k]) / 2; });
    }
  }
  return x;
}
