// Builds every explorer of the page, and follows a running search where the page is served.

let explorers = [];
let built = new AbortController();  // ends the listeners of the explorers that a reload replaces
const kept = {};  // the reader's choices by explorer, which a reload of the data keeps

function failuresOf(explorer) {
  const times = new Map();
  explorer.why.forEach((why) => why && times.set(why, (times.get(why) ?? 0) + 1));
  if (!times.size) return make("p", {}, "No failures.");
  const rows = [...times].sort((a, b) => b[1] - a[1]).map(([why, n]) => make("tr", {},
    make("td", {}, String(n)), make("td", { class: "name" }, why),
    make("td", {}, make("button", {
      type: "button", onclick: () => explorer.open(explorer.why.indexOf(why)),
    }, `Open #${explorer.numbers[explorer.why.indexOf(why)]}`))));
  return make("div", { class: "wide" }, make("table", { class: "failures" },
    make("thead", {}, make("tr", {}, ...["times", "reason", "first"].map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, ...rows)));
}

function build() {
  built.abort();
  built = new AbortController();
  explorers = [];
  for (const script of document.querySelectorAll("script.explorer")) {
    const data = JSON.parse(script.textContent);
    const explorer = new Explorer(data, kept[data.title]);
    kept[data.title] = explorer.state;
    explorers.push(explorer);
    script.nextElementSibling.replaceChildren(
      make("div", { class: "plots" }, scatterOf(explorer), parallelOf(explorer)),
      panelOf(explorer), tableOf(explorer),
      make("h3", {}, "What failed and why"), failuresOf(explorer),
    );
    explorer.changed();
  }
}

async function follow(seconds) {
  let mark = null;
  for (;;) {
    await new Promise((done) => setTimeout(done, 1000 * seconds));
    try {
      const answer = await fetch("/", { headers: mark ? { "If-None-Match": mark } : {} });
      if (answer.status !== 200 || answer.headers.get("ETag") === mark) continue;
      mark = answer.headers.get("ETag");
      const main = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
      const focused = document.activeElement?.getAttribute("aria-label");
      const caret = document.activeElement?.selectionStart;
      document.querySelector("main").replaceWith(document.adoptNode(main));
      build();
      const again = focused && document.querySelector(`[aria-label=${CSS.escape(focused)}]`);
      again?.focus();
      if (again?.matches?.("input[type=search]")) again.setSelectionRange(caret, caret);
    } catch {
      document.title = "not served any more";
    }
  }
}

build();
if (document.documentElement.dataset.follow) follow(Number(document.documentElement.dataset.follow));
