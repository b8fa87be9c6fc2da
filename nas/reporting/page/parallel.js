// Parallel coordinates: an axis per column, a line per row; a drag along an axis selects a range.

const TALL = 300;
const LACKING = TALL - 14;  // where a line passes an axis on which its row has no value
const SPACE = 78;  // between axes, at least

function parallelOf(explorer) {
  const { state } = explorer;
  const canvas = make("canvas", { role: "img" });
  const marks = make("canvas", { class: "marks", "aria-hidden": "true" });
  const frame = make("div", {
    class: "wide frame", tabindex: "0", role: "region", "aria-label": "Parallel coordinates",
  }, canvas, marks);
  const note = make("p", { class: "help" });
  const name = make("p", { class: "said", role: "status" });
  let axes = [];
  let drag = null;

  function draw() {
    axes = state.axes.map((one) => explorer.column(one));
    const width = Math.max(frame.clientWidth, axes.length * SPACE);
    const pen = sharp(canvas, width, TALL);
    if (!axes.length) return;
    const gap = (width - SPACE) / Math.max(1, axes.length - 1);
    const rows = explorer.numbers.map((_, row) => row);
    axes.forEach((column, i) => {
      column.at = SPACE / 2 + i * gap;
      column.scale = scaleOf(column, covered(explorer, column, rows), LACKING - 24, 44);
    });
    drawLines(pen, rows);
    axes.forEach((column) => drawAxis(pen, column, Math.max(50, gap - 12)));
    const by = coloured();
    note.textContent = `n = ${explorer.shown.length}` +
      (by ? `; ${by.name} from ${by.better ? "worst (dark) to best (bright)" : "low (dark) to high (bright)"}` : "") +
      "; values that are missing pass through –. Drag along an axis to select a range.";
    canvas.setAttribute("aria-label", `Parallel coordinates of ${state.axes.join(", ")} for ` +
      `${explorer.shown.length} ${explorer.noun}s; the table holds the same values.`);
  }

  const coloured = () => explorer.columns.find((column) => column.name === explorer.colour);

  // the share of rows that are worse, for the colour of each row; null without a value
  function ranks() {
    const column = coloured();
    const rank = new Float32Array(explorer.count).fill(NaN);
    if (!column) return rank;
    const known = explorer.shown.filter((row) => column.values[row] !== null && explorer.status[row] !== "failed");
    known.sort((a, b) => (column.better || 1) * (column.values[a] - column.values[b]));
    known.forEach((row, place) => { rank[row] = place / Math.max(1, known.length - 1); });
    return rank;
  }

  function drawLines(pen, rows) {
    const rank = ranks();
    const grey = colour("grey");
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    pen.lineWidth = 1;
    pen.globalAlpha = 0.15;
    pen.strokeStyle = grey;
    if (explorer.shown.length < explorer.count) for (const row of rows) if (!explorer.isShown[row]) line(pen, row);
    pen.globalAlpha = Math.max(0.12, Math.min(0.8, 150 / explorer.shown.length));
    const order = explorer.shown.toSorted((a, b) => (rank[a] || -1) - (rank[b] || -1));
    for (const row of order) {
      pen.strokeStyle = Number.isNaN(rank[row]) ? grey : ramp(rank[row], dark);
      line(pen, row);
    }
    pen.globalAlpha = 1;
  }

  function drawMarks() {
    const pen = sharp(marks, canvas.clientWidth, TALL);
    const marked = [[explorer.row(state.pinned), "second"], [explorer.row(state.open), "text"], [explorer.hovered, "text"]];
    for (const [row, tint] of marked) {
      if (row === null) continue;
      pen.strokeStyle = colour(tint);
      pen.lineWidth = 2.5;
      line(pen, row);
    }
    if (!drag) return;
    pen.fillStyle = colour("text");
    pen.globalAlpha = 0.3;
    pen.fillRect(drag.column.at - 6, Math.min(drag.from, drag.to), 12, Math.abs(drag.to - drag.from));
  }

  function height(column, row) {
    const value = column.values[row];
    return value === null ? LACKING : column.scale.place(value);
  }

  function line(pen, row) {
    pen.beginPath();
    for (const column of axes) pen.lineTo(column.at, height(column, row));
    pen.stroke();
  }

  function drawAxis(pen, column, room) {
    const { at, scale } = column;
    pen.strokeStyle = pen.fillStyle = colour("text");
    pen.lineWidth = 1;
    pen.beginPath(); pen.moveTo(at, 40); pen.lineTo(at, LACKING - 20); pen.stroke();
    pen.textAlign = "center";
    const inside = Math.min(room, 2 * at, 2 * (canvas.clientWidth - at));
    pen.fillText(fitted(pen, column.name, inside), at, 16);
    if (column.unit) pen.fillText(fitted(pen, column.unit, inside), at, 30);
    pen.fillText("–", at, LACKING + 4);
    pen.textAlign = "left";
    let last = Infinity;
    for (const [place, text] of scale.ticks) {
      if (Math.abs(place - last) < 14) continue;
      last = place;
      const short = fitted(pen, text, room - 16);
      pen.globalAlpha = 0.75;
      pen.fillStyle = colour("page");
      pen.fillRect(at + 3, place - 7, pen.measureText(short).width + 4, 14);
      pen.globalAlpha = 1;
      pen.fillStyle = colour("text");
      pen.fillText(short, at + 5, place + 4);
    }
    const chosen = state.filters[column.name];
    if (!chosen) return;
    const ends = [chosen.low, chosen.high].map(scale.end);
    pen.globalAlpha = 0.3;
    pen.fillRect(at - 6, Math.min(...ends), 12, Math.abs(ends[1] - ends[0]));
    pen.globalAlpha = 1;
  }

  function at(event) {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  // the shown row whose line passes closest to a place
  function nearest(px, py) {
    const right = axes.findIndex((column) => column.at > px);
    if (right < 1) return null;
    const [a, b] = [axes[right - 1], axes[right]];
    const share = (px - a.at) / (b.at - a.at);
    let [best, least] = [null, 10];
    for (const row of explorer.shown) {
      const far = Math.abs(height(a, row) * (1 - share) + height(b, row) * share - py);
      if (far < least) [best, least] = [row, far];
    }
    return best;
  }

  canvas.addEventListener("pointerdown", (event) => {
    const [x, y] = at(event);
    const column = axes.find((one) => Math.abs(one.at - x) < 14);
    if (!column || event.pointerType === "touch") return;
    drag = { column, from: y, to: y };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    if (drag) {
      drag.to = y;
      later("hover");
    } else {
      explorer.hover(nearest(x, y));
      name.textContent = explorer.hovered === null ? "" : explorer.name(explorer.hovered);
    }
  });
  canvas.addEventListener("pointerup", () => {
    if (!drag) return;
    const { column, from, to } = drag;
    drag = null;
    const ends = [column.scale.back(from), column.scale.back(to)].sort((a, b) => a - b);
    explorer.filter(column.name, Math.abs(from - to) > 4 ? { low: ends[0], high: ends[1] } : null);
  });
  canvas.addEventListener("pointerleave", () => drag ?? explorer.hover(null));
  canvas.addEventListener("click", (event) => {
    const row = nearest(...at(event));
    if (row !== null && !axes.some((column) => Math.abs(column.at - at(event)[0]) < 14)) explorer.open(row);
  });

  const later = plotOf(explorer, frame, draw, drawMarks);
  return make("div", { class: "plot" },
    make("div", { class: "controls" }, chooser(explorer, "axes", "Axes"), name), frame, note);
}

// from dark blue to bright yellow, as cividis, which looks alike to people who see fewer colours
// (Nuñez et al. 2018, https://doi.org/10.1371/journal.pone.0199239); lighter on a dark page
function ramp(share, dark) {
  const [from, to] = dark ? [[70, 110, 190], [255, 234, 70]] : [[0, 34, 78], [224, 180, 20]];
  const mixed = from.map((one, i) => Math.round(one + share * (to[i] - one)));
  return `rgb(${mixed.join(" ")})`;
}
