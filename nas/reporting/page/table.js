// The table of an explorer: sorted, filtered, a page at a time.

const PER_PAGE = 25;

function tableOf(explorer) {
  const { state } = explorer;
  const fixed = ["#", explorer.noun, "status"];
  const body = make("tbody");
  const head = make("tr");
  const pages = make("nav", { class: "pages", "aria-label": `Pages of the table of ${explorer.noun}s` });
  const found = make("p", { role: "status" });
  const box = make("input", {
    type: "search", value: state.filters.text?.text ?? "", autocomplete: "off", spellcheck: "false",
    placeholder: "text, or name<value", "aria-label": `Filter the ${explorer.noun}s`,
    oninput: () => {
      page = 0;
      explorer.filter("text", box.value.trim() ? { text: box.value } : null);
    },
  });
  let page = 0;

  function valuesOf(name) {
    if (name === "#") return explorer.numbers;
    if (name === explorer.noun) return explorer.labels;
    return name === "status" ? explorer.status : explorer.column(name).values;
  }

  function sorted() {
    const { name, down } = state.sort;
    const values = valuesOf(name);
    const order = (a, b) =>
      typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
    return explorer.shown.toSorted((a, b) => {
      if (values[a] === null || values[b] === null) return (values[a] === null) - (values[b] === null);
      return (down ? -1 : 1) * order(values[a], values[b]) || a - b;
    });
  }

  function drawHead() {
    head.replaceChildren(...[...fixed, ...state.columns].map((name) => {
      const isSorted = state.sort.name === name;
      const direction = state.sort.down ? "descending" : "ascending";
      const column = fixed.includes(name) ? { name } : explorer.column(name);
      const button = make("button", {
        type: "button",
        onclick: () => {
          state.sort = { name, down: isSorted ? !state.sort.down : column.better === 1 };
          page = 0;
          explorer.changed();
        },
      }, withUnit(column), isSorted ? (state.sort.down ? " ↓" : " ↑") : "");
      return make("th", { scope: "col", "aria-sort": isSorted ? direction : "none" }, button);
    }));
  }

  function drawRow(row) {
    const name = explorer.name(row);
    const open = make("button", {
      type: "button", class: "open", "aria-label": `Open ${explorer.noun} ${name}`,
      onclick: () => explorer.open(row),
    }, String(explorer.numbers[row]));
    const cells = state.columns.map((column) => shortly(explorer.column(column).values[row]));
    return make("tr", {
      "data-row": row, class: explorer.status[row],
      "aria-selected": String(explorer.numbers[row] === state.open),
      onpointerenter: () => explorer.hover(row), onpointerleave: () => explorer.hover(null),
      onclick: (event) => event.target.closest("button") ?? explorer.open(row),
    },
    make("td", {}, open), make("td", { class: "name" }, explorer.labels[row]),
    make("td", {}, explorer.status[row]), ...cells.map((cell) => make("td", {}, cell)));
  }

  function drawPages(count) {
    const last = Math.max(0, Math.ceil(count / PER_PAGE) - 1);
    page = Math.min(page, last);
    const button = (text, to) => make("button", {
      type: "button", disabled: to < 0 || to > last || to === page,
      onclick: () => { page = to; draw(); },
    }, text);
    pages.replaceChildren(
      button("first", 0), button("previous", page - 1), `page ${page + 1} of ${last + 1}`,
      button("next", page + 1), button("last", last),
    );
    pages.hidden = last === 0;
  }

  function draw(what) {
    if (what === "hover") {
      for (const line of body.children) {
        line.classList.toggle("hovered", Number(line.dataset.row) === explorer.hovered);
      }
      return;
    }
    const rows = sorted();
    drawPages(rows.length);
    drawHead();
    body.replaceChildren(...rows.slice(page * PER_PAGE, (page + 1) * PER_PAGE).map(drawRow));
    found.textContent = `${rows.length} of ${explorer.count} ${explorer.noun}s`;
  }

  const table = make("table", {}, make("thead", {}, head), body);
  const help = `Words match any text. name<1.5, name>=2, name=3 and name:text match a column; write a name with spaces in quotes: "validation loss"<2. Also status:failed and failed:memory.`;
  explorer.listeners.push(draw);
  draw();
  return make("div", { class: "table" },
    make("div", { class: "controls" }, box, filterChips(explorer), chooser(explorer, "columns", "Columns")),
    make("p", { class: "help" }, help), found,
    make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": `Table of ${explorer.noun}s` }, table), pages);
}

// the ranges that were drawn in plots, each with a button that removes it
function filterChips(explorer) {
  const chips = make("span", { class: "chips" });
  function draw(what) {
    if (what === "hover") return;
    const ranges = Object.entries(explorer.state.filters).filter(([, value]) => value.text === undefined);
    chips.replaceChildren(...ranges.map(([name, { low, high }]) => {
      const { words } = explorer.column(name);
      const range = words
        ? words.slice(Math.max(0, Math.ceil(low)), Math.floor(high) + 1).join(", ")
        : `${shortly(low)} to ${shortly(high)}`;
      return make("button", {
        type: "button", "aria-label": `Remove the filter ${name} ${range}`,
        onclick: () => explorer.filter(name, null),
      }, `${name} ${range} ×`);
    }));
  }
  explorer.listeners.push(draw);
  draw();
  return chips;
}

// check boxes for the columns of the table or the axes of a plot
function chooser(explorer, key, title) {
  const boxes = explorer.columns.filter((column) => column.role).map((column) => make("label", {}, make("input", {
    type: "checkbox", checked: explorer.state[key].includes(column.name),
    onchange: (event) => {
      const kept = explorer.state[key].filter((name) => name !== column.name);
      explorer.state[key] = event.target.checked ? [...kept, column.name] : kept;
      explorer.changed();
    },
  }), ` ${column.name}`));
  return make("details", { class: "chooser" }, make("summary", {}, title), make("div", {}, ...boxes));
}
