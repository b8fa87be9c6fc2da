// What both plots need: a sharp canvas in the page's colours, scales and ticks.

const SHAPES = { trained: "disc", screened: "small disc", failed: "cross", duplicate: "ring" };

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function sharp(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.font = "12px system-ui, sans-serif";
  return pen;
}

// a scale from a column's values to pixels: words, linear, or logarithmic on both sides of zero if
// magnitudes differ widely; values beyond those of `rows` lie at the edge
function scaleOf(column, rows, start, end) {
  const span = end - start;
  if (column.words) {
    const step = span / Math.max(1, column.words.length);
    const place = (value) => start + (column.words.indexOf(value) + 0.5) * step;
    return {
      place, ticks: column.words.map((word) => [place(word), word]),
      back: (pixel) => (pixel - start) / step - 0.5, end: (index) => start + (index + 0.5) * step,
    };
  }
  const values = rows.map((row) => column.values[row]).filter((value) => value !== null);
  let low = Infinity, high = -Infinity, least = Infinity;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
    if (value) least = Math.min(least, Math.abs(value));
  }
  if (!values.length) [low, high] = [0, 1];
  const wide = Math.max(Math.abs(low), Math.abs(high)) > 100 * least;
  const bend = wide ? (v) => Math.sign(v) * Math.log1p(Math.abs(v) / least) : (v) => v;
  const unbend = wide ? (v) => Math.sign(v) * Math.expm1(Math.abs(v)) * least : (v) => v;
  const [from, to] = [bend(low), bend(high)];
  const pad = (to - from) * 0.04 || Math.abs(from) * 0.1 || 1;
  const share = (value) => (bend(value) - from + pad) / (to - from + 2 * pad);
  const place = (value) => start + Math.min(1, Math.max(0, share(value))) * span;
  const back = (pixel) => unbend(((pixel - start) / span) * (to - from + 2 * pad) + from - pad);
  const finest = values.every(Number.isInteger) ? 1 : 0;
  return { place, back, end: place, ticks: ticksOf(low, high, wide, place, finest) };
}

// finest: the least distance of ticks, so that whole numbers have whole ticks
function ticksOf(low, high, wide, place, finest) {
  const room = Math.abs(place(high) - place(low)) / 60;
  const tick = (value) => [place(value), shortly(value)];
  if (high === low) return [tick(low)];
  if (!wide) {
    const rough = (high - low) / Math.max(1, room);
    const size = 10 ** Math.floor(Math.log10(rough));
    const step = Math.max(finest, [1, 2, 5, 10].map((times) => times * size).find((one) => one >= rough) ?? rough);
    const count = Math.floor(high / step) - Math.ceil(low / step) + 1;
    return Array.from({ length: Math.max(0, count) }, (_, i) => tick(Number(((Math.ceil(low / step) + i) * step).toPrecision(12))));
  }
  const powers = [];
  for (let power = -12; power <= 15; power++) powers.push(-(10 ** power), 10 ** power);
  const inside = [0, ...powers].filter((value) => value >= low && value <= high).sort((a, b) => a - b);
  const kept = [];
  for (const value of inside) {
    if (!kept.length || Math.abs(place(value) - place(kept.at(-1))) > 45) kept.push(value);
  }
  return (kept.length > 1 ? kept : [low, high]).map((value) => [place(value), powerly(value)]);
}

function powerly(value) {
  const size = Math.abs(value);
  return value && (size >= 1e5 || size < 1e-3) ? value.toExponential(0).replace("e+", "e") : shortly(value);
}

// the rows that a scale covers: those that have not failed, if there are any with a value
function covered(explorer, column, rows) {
  const sound = rows.filter((row) => explorer.status[row] !== "failed" && column.values[row] !== null);
  return sound.length ? sound : rows;
}

function mark(pen, shape, x, y) {
  pen.beginPath();
  if (shape === "cross") {
    pen.moveTo(x - 4, y - 4); pen.lineTo(x + 4, y + 4);
    pen.moveTo(x + 4, y - 4); pen.lineTo(x - 4, y + 4);
    pen.stroke();
  } else if (shape === "ring") {
    pen.arc(x, y, 3.5, 0, 7);
    pen.stroke();
  } else {
    pen.arc(x, y, shape === "disc" ? 4.5 : 2.5, 0, 7);
    pen.fill();
  }
}

// a plot that is drawn again when the page's width, its colours or the explorer change
// drawAll: everything; drawMarks: what the pointer changes, on a canvas of its own on top
function plotOf(explorer, frame, drawAll, drawMarks) {
  let waiting = null;
  const later = (what) => {
    const wanted = what === "hover" ? drawMarks : drawAll;
    if (waiting === null) {
      requestAnimationFrame(() => {
        const todo = waiting;
        waiting = null;
        todo();
        if (todo !== drawMarks) drawMarks();
      });
    }
    if (waiting !== drawAll) waiting = wanted;
  };
  explorer.listeners.push(later);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => later(), { signal: built.signal });
  new ResizeObserver(() => later()).observe(frame);
  return later;
}

// texts that end within so many pixels
function fitted(pen, text, width) {
  let short = String(text);
  while (short.length > 1 && pen.measureText(short).width > width) short = `${short.slice(0, -2)}…`;
  return short;
}
