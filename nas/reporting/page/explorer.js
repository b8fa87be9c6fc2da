// An explorer: the rows of a run, which of them are shown, which are open, and who listens.

const STATUSES = ["trained", "screened", "failed", "duplicate"];

class Explorer {
  constructor(data, kept) {
    Object.assign(this, data);
    for (const column of this.columns) {
      if (column.words) column.values = column.codes.map((code) => column.words[code] ?? null);
      column.isNumber = !column.words;
    }
    this.status = Array.from(data.status, (code) => STATUSES[code]);
    this.why = data.why.codes.map((code) => data.why.words[code] ?? null);
    this.count = this.numbers.length;
    this.listeners = [];
    this.hovered = null;
    this.state = kept ?? {
      filters: {}, sort: data.sort, columns: data.table, axes: data.axes, x: data.x, y: data.y,
    };
    this.apply();
  }

  column(name) {
    return this.columns.find((column) => column.name === name) ?? this.columns[0];
  }

  row(number) {
    const row = this.numbers.indexOf(number);
    return row < 0 ? null : row;
  }

  // filters are plain data by source, so that they survive a reload of a running search:
  // {text} for the filter box, {low, high} for a range of the column that is the source
  filter(source, value) {
    if (value) this.state.filters[source] = value;
    else delete this.state.filters[source];
    this.apply();
    this.changed();
  }

  apply() {
    const tests = Object.entries(this.state.filters).map(([source, value]) => this.test(source, value));
    this.shown = [];
    this.isShown = new Uint8Array(this.count);
    for (let row = 0; row < this.count; row++) {
      if (!tests.every((test) => test(row))) continue;
      this.isShown[row] = 1;
      this.shown.push(row);
    }
  }

  test(source, value) {
    if (value.text === undefined) {
      const { values, words } = this.column(source);
      const place = words ? (row) => words.indexOf(values[row]) : (row) => values[row];
      return (row) => values[row] !== null && place(row) >= value.low && place(row) <= value.high;
    }
    const terms = value.text.match(/"[^"]*"[^\s"]*|\S+/g) ?? [];
    const tests = terms.map((term) => this.term(term));
    return (row) => tests.every((test) => test(row));
  }

  // one term of the filter box: `name<1.5`, `"long name">=2`, `failed:memory`, or any text
  term(term) {
    const parts = /^(?:"([^"]+)"|([^<>=:"]+))(<=|>=|<|>|=|:)(.+)$/.exec(term);
    const plain = (text) => text.toLowerCase().replaceAll(" ", "-");
    if (parts) {
      const name = plain(parts[1] ?? parts[2]);
      const wanted = parts[4].toLowerCase();
      const fixed = { status: this.status, failed: this.why, "#": this.numbers }[name];
      const values = fixed ?? this.columns.find((column) => plain(column.name) === name)?.values;
      if (values) {
        const compare = {
          "<": (a, b) => a < b, ">": (a, b) => a > b, "=": (a, b) => a === b,
          "<=": (a, b) => a <= b, ">=": (a, b) => a >= b,
        }[parts[3]];
        if (compare && Number.isFinite(Number(wanted))) {
          return (row) => values[row] !== null && compare(Number(values[row]), Number(wanted));
        }
        return (row) => String(values[row] ?? "").toLowerCase().includes(wanted);
      }
    }
    const text = term.replaceAll('"', "").toLowerCase();
    const words = this.columns.filter((column) => column.words).map((column) => column.values);
    return (row) =>
      [this.labels[row], this.status[row], this.why[row], `#${this.numbers[row]}`,
        ...words.map((values) => values[row])]
        .some((cell) => cell !== null && String(cell).toLowerCase().includes(text));
  }

  open(row) {
    this.state.open = row === null ? null : this.numbers[row];
    this.changed();
  }

  pin(row) {
    this.state.pinned = row === null ? null : this.numbers[row];
    this.changed();
  }

  hover(row) {
    if (row === this.hovered) return;
    this.hovered = row;
    this.changed("hover");
  }

  // what: "hover" if only the row under the pointer has changed
  changed(what) {
    for (const listener of this.listeners) listener(what);
  }

  name(row) {
    return `#${this.numbers[row]} ${this.labels[row]}`.trim();
  }

  // the rows that no other dominates, if both columns say which direction is better
  front(x, y) {
    if (!x.better || !y.better || x === y) return [];
    const cost = (column, row) => -column.better * column.values[row];
    const known = this.shown.filter(
      (row) => this.status[row] === "trained" && x.values[row] !== null && y.values[row] !== null,
    );
    known.sort((a, b) => cost(x, a) - cost(x, b) || cost(y, a) - cost(y, b));
    let least = Infinity;
    return known.filter((row) => cost(y, row) < least && ((least = cost(y, row)), true));
  }
}

// a number in at most five digits, as the tables of the command line show it
function shortly(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value);
  return String(Number(value.toPrecision(5)));
}

function withUnit(column) {
  return column.unit ? `${column.name}, ${column.unit}` : column.name;
}

// a new element; texts of a run reach the page only as text nodes and attributes
function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "rect", "path", "line", "text", "circle", "title", "tspan"].includes(tag);
  const element = svg
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}
