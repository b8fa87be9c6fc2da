// One point per row on two axes of the reader's choice; a drag selects, a click opens.

const HEIGHT = 340;

function scatterOf(explorer) {
  const { state } = explorer;
  const canvas = make("canvas", { tabindex: "0", role: "img" });
  const marks = make("canvas", { class: "marks", "aria-hidden": "true" });
  const said = make("p", { class: "said", role: "status" });
  const note = make("p", { class: "help" });
  const tip = make("div", { class: "tip", hidden: true });
  const legend = make("p", { class: "legend" });
  let places = [];  // [row, x, y] of what is drawn
  let scales = null;
  let drag = null;
  let dragged = false;  // whether the last press ended as a selection, not as a click
  let colours = {};

  function draw() {
    colours = Object.fromEntries([...STATUSES, "grey"].map((name) => [name, colour(name)]));
    const [x, y] = [explorer.column(state.x), explorer.column(state.y)];
    const width = Math.max(260, frame.clientWidth);
    const pen = sharp(canvas, width, HEIGHT);
    const rows = explorer.numbers.map((_, row) => row)
      .filter((row) => x.values[row] !== null && y.values[row] !== null);
    const sound = (column) => covered(explorer, column, rows);
    scales = { x: scaleOf(x, sound(x), 64, width - 14), y: scaleOf(y, sound(y), HEIGHT - 42, 14) };
    drawAxes(pen, width, x, y);
    places = rows.filter((row) => explorer.isShown[row])
      .map((row) => [row, scales.x.place(x.values[row]), scales.y.place(y.values[row])]);
    explorer.places = places;
    const hidden = rows.filter((row) => !explorer.isShown[row]);
    pen.globalAlpha = 0.25;
    for (const row of hidden) point(pen, row, scales.x.place(x.values[row]), scales.y.place(y.values[row]), "grey");
    pen.globalAlpha = places.length > 3000 ? 0.5 : 0.9;
    for (const [row, px, py] of places) drawError(pen, y, row, px);
    for (const [row, px, py] of places) point(pen, row, px, py);
    pen.globalAlpha = 1;
    const best = drawBest(pen, x, y);
    const front = drawFront(pen, x, y);
    const lacking = explorer.shown.length - places.length;
    note.textContent = `n = ${places.length}${lacking ? `; ${lacking} without a value on an axis` : ""}` +
      (best ? "; line: best so far, failed ones left out" : "") +
      (front ? `; line: Pareto front, ${front} ${explorer.noun}s` : "") +
      (explorer.status.includes("failed") ? "; failed ones beyond the axes lie at the edge" : "") +
      (y.error && places.length ? `; bars: ${y.error}` : "");
    drawLegend();
    canvas.setAttribute("aria-label", `${withUnit(y)} against ${withUnit(x)}, ${places.length} points. ` +
      "Arrow keys move between points, Enter opens one; the table holds the same values.");
  }

  function drawAxes(pen, width, x, y) {
    pen.fillStyle = colour("text");
    pen.strokeStyle = colour("line");
    pen.textAlign = "center";
    for (const [place, text] of scales.x.ticks) {
      pen.beginPath(); pen.moveTo(place, 10); pen.lineTo(place, HEIGHT - 42); pen.stroke();
      pen.fillText(fitted(pen, text, (width - 80) / Math.max(1, scales.x.ticks.length)), place, HEIGHT - 26);
    }
    pen.textAlign = "right";
    for (const [place, text] of scales.y.ticks) {
      pen.beginPath(); pen.moveTo(60, place); pen.lineTo(width - 10, place); pen.stroke();
      pen.fillText(fitted(pen, text, 58), 58, place + 4);
    }
    pen.textAlign = "center";
    pen.fillText(`${withUnit(x)} →`, 60 + (width - 70) / 2, HEIGHT - 6);
  }

  function point(pen, row, px, py, fixed) {
    const status = explorer.status[row];
    pen.fillStyle = pen.strokeStyle = colours[fixed ?? status];
    pen.lineWidth = 1.6;
    mark(pen, SHAPES[status], px, py);
  }

  function drawError(pen, y, row, px) {
    const half = y.error && explorer.column(y.error).values[row];
    if (!half) return;
    pen.strokeStyle = colours[explorer.status[row]];
    pen.beginPath();
    pen.moveTo(px, scales.y.place(y.values[row] - half));
    pen.lineTo(px, scales.y.place(y.values[row] + half));
    pen.stroke();
  }

  // over the order of proposals: the best value so far among rows that have not failed
  function drawBest(pen, x, y) {
    if (x.name !== "#" || !y.better || y.words) return false;
    let best = null;
    pen.strokeStyle = colour("trained");
    pen.beginPath();
    const steps = explorer.shown.filter((row) => explorer.status[row] !== "failed" && y.values[row] !== null)
      .sort((a, b) => x.values[a] - x.values[b]);
    for (const row of steps) {
      const px = scales.x.place(x.values[row]);
      if (best === null) pen.moveTo(px, scales.y.place(best = y.values[row]));
      pen.lineTo(px, scales.y.place(best));
      if (y.better * (y.values[row] - best) > 0) pen.lineTo(px, scales.y.place(best = y.values[row]));
    }
    pen.stroke();
    return steps.length > 1;
  }

  function drawFront(pen, x, y) {
    const front = explorer.front(x, y);
    if (front.length < 2) return 0;
    pen.strokeStyle = colour("front");
    pen.lineWidth = 1.5;
    pen.beginPath();
    const taken = [];
    for (const row of front) pen.lineTo(scales.x.place(x.values[row]), scales.y.place(y.values[row]));
    pen.stroke();
    pen.fillStyle = colour("text");
    pen.textAlign = "left";
    for (const row of front) {
      const text = explorer.short ? explorer.labels[row] : `#${explorer.numbers[row]}`;
      const wide = pen.measureText(text).width;
      const [at, py] = [scales.x.place(x.values[row]), scales.y.place(y.values[row]) - 6];
      const fits = !canvas.clientWidth || at + 6 + wide <= canvas.clientWidth;
      const px = fits ? at + 6 : at - 6 - wide;
      if (taken.some(([qx, qy, wider]) => px < qx + wider + 4 && qx < px + wide + 4 && Math.abs(py - qy) < 13)) continue;
      pen.fillText(text, px, py);
      taken.push([px, py, wide]);
    }
    return front.length;
  }

  // rings around the row under the pointer, the open one and the one kept for comparison
  function drawMarks() {
    const { open, pinned } = state;
    const pen = sharp(marks, canvas.clientWidth, HEIGHT);
    for (const [row, px, py] of places) {
      const number = explorer.numbers[row];
      if (row !== explorer.hovered && number !== open && number !== pinned) continue;
      pen.strokeStyle = colour(number === pinned ? "second" : "text");
      pen.lineWidth = 2;
      pen.beginPath(); pen.arc(px, py, 8, 0, 7); pen.stroke();
    }
    if (drag) {
      pen.fillStyle = colour("text");
      pen.globalAlpha = 0.12;
      pen.fillRect(drag.x, drag.y, drag.toX - drag.x, drag.toY - drag.y);
    }
    showTip();
  }

  function drawLegend() {
    const known = STATUSES.filter((status) => explorer.status.includes(status));
    const shown = known.length > 1 ? known : [];  // a legend of one entry says nothing
    legend.replaceChildren(...shown.map((status) => make("span", { class: status }, status)));
  }

  function nearest(px, py) {
    let [best, least] = [null, 15 ** 2];
    for (const [row, x, y] of places) {
      const far = (x - px) ** 2 + (y - py) ** 2;
      if (far < least) [best, least] = [row, far];
    }
    return best;
  }

  function showTip() {
    const place = places.find(([row]) => row === explorer.hovered);
    tip.hidden = !place;
    if (!place) return;
    const [row, px, py] = place;
    tip.replaceChildren(make("b", {}, explorer.name(row)), ...facts(row).map((fact) => make("div", {}, fact)));
    tip.style.left = `${Math.max(0, Math.min(px + 12, frame.clientWidth - tip.offsetWidth))}px`;
    tip.style.top = `${py > HEIGHT / 2 ? py - tip.offsetHeight - 12 : py + 12}px`;
  }

  function facts(row) {
    const pair = [...new Set([state.x, state.y])].map((name) => explorer.column(name));
    const found = pair.map((column) => `${withUnit(column)}: ${shortly(column.values[row])}`);
    return explorer.why[row] ? [...found, explorer.why[row].slice(0, 160)] : found;
  }

  function at(event) {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch") return;
    const [x, y] = at(event);
    drag = { x, y, toX: x, toY: y };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    if (drag) {
      Object.assign(drag, { toX: x, toY: y });
      later("hover");
    } else explorer.hover(nearest(x, y));
  });
  canvas.addEventListener("pointerup", () => {
    const box = drag;
    drag = null;
    dragged = box !== null && Math.hypot(box.toX - box.x, box.toY - box.y) > 8;
    if (dragged) select(box);
    else later("hover");
  });
  canvas.addEventListener("pointerleave", () => drag ?? explorer.hover(null));
  canvas.addEventListener("click", (event) => {
    if (dragged) return;
    const row = nearest(...at(event));
    if (row !== null) explorer.open(row);
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Enter" && explorer.hovered !== null) explorer.open(explorer.hovered);
    if (!step || !places.length) return;
    event.preventDefault();
    const order = places.toSorted((a, b) => a[1] - b[1] || a[2] - b[2]).map(([row]) => row);
    const now = order.indexOf(explorer.hovered);
    explorer.hover(order[now < 0 ? 0 : (now + step + order.length) % order.length]);
    said.textContent = [explorer.name(explorer.hovered), ...facts(explorer.hovered)].join(", ");
  });

  function select(box) {
    const range = (scale, a, b) => {
      const ends = [scale.back(a), scale.back(b)].sort((one, other) => one - other);
      return { low: ends[0], high: ends[1] };
    };
    state.filters[state.x] = range(scales.x, box.x, box.toX);
    explorer.filter(state.y, range(scales.y, box.y, box.toY));
  }

  function axis(key, label) {
    const options = explorer.columns.map((column) =>
      make("option", { value: column.name, selected: column.name === state[key] }, withUnit(column)));
    return make("label", {}, `${label} `, make("select", {
      onchange: (event) => { state[key] = event.target.value; explorer.changed(); },
    }, ...options));
  }

  const frame = make("div", { class: "frame" }, canvas, marks, tip);
  const later = plotOf(explorer, frame, draw, drawMarks);
  return make("div", { class: "plot" },
    make("div", { class: "controls" }, axis("y", "vertical"), axis("x", "horizontal")), frame, legend, note,
    make("p", { class: "help" }, "Click a point to open it; drag a rectangle to select."), said);
}
