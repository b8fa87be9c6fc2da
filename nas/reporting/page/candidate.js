// What is known of the open row, beside the one that is kept for comparison.

function panelOf(explorer) {
  const { state } = explorer;
  const panel = make("section", { class: "panel", tabindex: "-1" });
  const said = make("p", { class: "unseen", role: "status" });  // for screen readers
  let shown = "";

  function draw(what) {
    if (what === "hover") return;
    const rows = [...new Set([state.pinned, state.open])].map((n) => explorer.row(n)).filter((row) => row !== null);
    panel.hidden = !rows.length;
    const now = JSON.stringify([state.pinned, state.open]);
    const names = rows.map((row) => explorer.name(row)).join(" and ");
    panel.setAttribute("aria-label", names);
    if (now !== shown) said.textContent = rows.length ? `Opened ${names}` : "";
    panel.replaceChildren(...(rows.length ? contents(rows) : []));
    if (now !== shown && rows.length && shown) panel.scrollIntoView({ block: "nearest" });
    shown = now;
  }

  function contents(rows) {
    const title = rows.map((row) => explorer.name(row)).join(" and ");
    const kept = state.pinned !== undefined && state.pinned !== null;
    const keep = make("button", {
      type: "button", class: "keep",
      onclick: () => explorer.pin(kept ? null : rows.at(-1)),
    }, kept ? "Stop comparing" : "Keep to compare with another");
    const close = make("button", {
      type: "button", onclick: () => { state.pinned = null; explorer.open(null); },
    }, "Close");
    const hint = kept && rows.length === 1 ? make("p", { class: "help" }, `Open another ${explorer.noun} to compare.`) : null;
    return [
      make("h3", {}, title), make("div", { class: "controls" }, keep, close), ...(hint ? [hint] : []),
      ...rows.filter((row) => explorer.why[row]).map((row) =>
        make("p", { class: "why" }, make("b", {}, `#${explorer.numbers[row]} failed: `), explorer.why[row])),
      make("div", { class: "pieces" },
        ...rows.map((row) => graphOf(explorer, row)).filter(Boolean), ...[curveOf(explorer, rows)].filter(Boolean)),
      valuesOf(rows),
    ];
  }

  function valuesOf(rows) {
    const roles = { result: "Results", score: "Scores", cost: "Costs", graph: "Graph", decision: "Settings" };
    const head = make("tr", {}, make("th", { scope: "col" }, ""), ...rows.map((row) => make("th", { scope: "col" }, `#${explorer.numbers[row]}`)));
    const status = make("tr", {}, make("th", { scope: "row" }, "status"), ...rows.map((row) => make("td", {}, explorer.status[row])));
    const groups = Object.entries(roles).flatMap(([role, text]) => {
      const known = explorer.columns.filter((column) =>
        column.role === role && rows.some((row) => column.values[row] !== null));
      if (!known.length) return [];
      const title = make("tr", {}, make("th", { colspan: String(rows.length + 1), scope: "rowgroup" }, text));
      return [make("tbody", {}, title, ...known.map((column) => valueRow(column, rows)))];
    });
    return make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "All values" },
      make("table", { class: "values" }, make("thead", {}, head, status), ...groups));
  }

  function valueRow(column, rows) {
    const values = rows.map((row) => column.values[row]);
    const differs = rows.length > 1 && values[0] !== values[1];
    const half = column.error && explorer.column(column.error);
    const cell = (row) => shortly(column.values[row]) + (half && half.values[row] !== null ? ` ± ${shortly(half.values[row])}` : "");
    return make("tr", { class: differs ? "differs" : null },
      make("th", { scope: "row" }, `${differs ? "≠ " : ""}${withUnit(column)}`), ...rows.map((row) => make("td", {}, cell(row))));
  }

  explorer.listeners.push(draw);
  draw();
  return make("div", {}, said, panel);
}

// the training of one or two rows as an SVG
function curveOf(explorer, rows) {
  const known = rows.filter((row) => explorer.curves[row]);
  if (!known.length) return null;
  const [wide, tall, left, bottom] = [360, 200, 52, 168];
  const points = known.flatMap((row) => explorer.curves[row].steps.flatMap((step, i) =>
    explorer.curves[row].values.map((values) => ({ step, value: values[i] }))).filter((one) => one.value !== null));
  const all = (key) => ({ values: points.map((one) => one[key]) });
  const places = points.map((_, i) => i);
  const [x, y] = [scaleOf(all("step"), places, left, wide - 10), scaleOf(all("value"), places, bottom, 12)];
  const parts = [];
  for (const [place, text] of x.ticks) parts.push(make("text", { x: place, y: bottom + 16, "text-anchor": "middle" }, text));
  for (const [place, text] of y.ticks) {
    parts.push(make("line", { x1: left, x2: wide - 10, y1: place, y2: place, class: "grid" }));
    parts.push(make("text", { x: left - 4, y: place + 4, "text-anchor": "end" }, text));
  }
  const words = [];
  known.forEach((row, which) => explorer.curves[row].values.forEach((values, series) => {
    const line = explorer.curves[row].steps.map((step, i) => [step, values[i]]).filter(([, value]) => value !== null);
    if (!line.length) return;
    const style = `curve c${which} s${series}`;
    const path = line.map(([step, value]) => `${x.place(step)},${y.place(value)}`).join("L");
    parts.push(make("path", { d: `M${path}`, class: style }));
    for (const [step, value] of line) parts.push(make("circle", { cx: x.place(step), cy: y.place(value), r: 3, class: style }));
    words.push(`#${explorer.numbers[row]} ${explorer.curveNames[series]} (${["", "second colour, "][which]}${["solid", "dashed", "dotted"][series] ?? "solid"})`);
  }));
  parts.push(make("text", { x: (left + wide) / 2, y: tall - 4, "text-anchor": "middle" }, explorer.curveUnit));
  return make("figure", {}, make("svg", { viewBox: `0 0 ${wide} ${tall}`, role: "img", "aria-label": `Curve of ${words.join(", ")}` }, ...parts),
    make("figcaption", {}, words.join("; ")));
}

// the graph of a row as an SVG; layers from left to right as in nas/reporting/drawing.py
function graphOf(explorer, row) {
  const graph = explorer.graphs.rows[row];
  if (!graph) return null;
  const [nodes, flat] = graph;
  const edges = Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
  const places = layout(nodes.length, edges);
  const [right, top, under] = [Math.max(...places.map(([x]) => x)), Math.min(...places.map(([, y]) => y)), Math.max(...places.map(([, y]) => y))];
  const labels = nodes.map((node) => explorer.graphs.labels[node][0].split("\n"));
  const half = Math.max(30, 3.3 * Math.max(...labels.flat().map((text) => text.length)) + 6);
  const [stepX, stepY] = [2 * half + 26, 52];
  const at = places.map(([x, y]) => [x * stepX + half + 4, (y - top) * stepY + 28]);
  const [wide, tall] = [right * stepX + 2 * half + 8, (under - top) * stepY + 56];
  const lines = edges.map(([a, b]) => {
    const [[x0, y0], [x1, y1]] = [at[a], at[b]];
    const crossed = at.some(([x, y], i) => i !== a && i !== b && x0 < x && x < x1 && Math.abs(y0 + ((y1 - y0) * (x - x0)) / (x1 - x0) - y) < 18);
    const bend = crossed ? 34 : 0;
    return make("path", { d: `M${x0 + half},${y0}Q${(x0 + x1) / 2},${(y0 + y1) / 2 - bend} ${x1 - half},${y1}`, class: "edge" });
  });
  const boxes = nodes.map((node, i) => {
    const [x, y] = at[i];
    return make("g", { class: `node ${explorer.graphs.labels[node][1]}` },
      make("rect", { x: x - half, y: y - 17, width: 2 * half, height: 34, rx: 6 }),
      ...labels[i].map((text, line) => make("text", {
        x, y: y + 4 + 13 * (line - (labels[i].length - 1) / 2), "text-anchor": "middle",
      }, text)));
  });
  const words = `Graph of ${explorer.name(row)}: ${nodes.length} nodes, ${edges.length} edges`;
  return make("figure", { class: "graph" },
    make("svg", { viewBox: `0 0 ${wide} ${tall}`, width: wide, height: tall, style: `min-width: ${0.55 * wide}px`, role: "img", "aria-label": words }, ...lines, ...boxes),
    make("figcaption", {}, words));
}

// each node's place: the longest path from an input, and a height that keeps edges short, by
// sorting every layer by its neighbours' mean height (Sugiyama et al. 1981)
function layout(count, edges) {
  const [before, after] = [0, 1].map((side) => Array.from({ length: count }, (_, node) =>
    edges.filter((edge) => edge[1 - side] === node).map((edge) => edge[side])));
  const column = Array(count).fill(0);
  for (let round = 0, changed = true; changed && round < count; round++) {
    changed = false;
    for (const [a, b] of edges) if (column[b] < column[a] + 1) { column[b] = column[a] + 1; changed = true; }
  }
  const layers = [];
  column.forEach((place, node) => (layers[place] ??= []).push(node));
  const height = Array(count);
  const spread = (layer) => layer.forEach((node, i) => { height[node] = i - (layer.length - 1) / 2; });
  layers.forEach(spread);
  for (let sweep = 0; sweep < 8; sweep++) {
    const near = sweep % 2 ? after : before;
    for (const layer of sweep % 2 ? layers.toReversed() : layers) {
      const pull = (node) => near[node].length ? near[node].reduce((sum, other) => sum + height[other], 0) / near[node].length : height[node];
      const pulls = new Map(layer.map((node) => [node, pull(node)]));
      layer.sort((a, b) => pulls.get(a) - pulls.get(b) || a - b);
      spread(layer);
    }
  }
  return column.map((place, node) => [place, height[node]]);
}
