"use strict";
// Tables sort by their heads and filter by a word; the data of a figure unfold as a table. Nothing is fetched.
const UNITS = { k: 1e3, M: 1e6, G: 1e9, T: 1e12, ms: 1e-3 };

function valueOf(text) {
  const found = /^[<≤]?\s*([+\-−]?\d[\d.]*(?:e[+\-]?\d+)?)\s*(ms|k|M|G|T)?/.exec(text.trim());
  if (!found) return null;
  const number = Number(found[1].replace("−", "-"));
  return Number.isNaN(number) ? null : number * (UNITS[found[2]] || 1);
}

function sortBy(table, column, descending) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row, place) => {
    const text = row.cells[column].textContent.trim();
    return { row, place, text, number: valueOf(text) };
  });
  const numeric = rows.filter(r => r.number !== null).length * 2 > rows.filter(r => r.text !== "" && r.text !== "—").length;
  const sign = descending ? -1 : 1;
  rows.sort((a, b) => {
    if (numeric) {
      if (a.number === null || b.number === null) return (a.number === null) - (b.number === null) || a.place - b.place;
      return sign * (a.number - b.number) || a.place - b.place;
    }
    return sign * a.text.localeCompare(b.text, undefined, { numeric: true }) || a.place - b.place;
  });
  body.append(...rows.map(r => r.row));
}

function makeSortable(table) {
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.title = "Sort by this column";
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortBy(table, head.cellIndex, descending);
    });
  }
}

function makeFilterable(table) {
  const box = document.createElement("p"), label = document.createElement("label");
  const input = document.createElement("input"), count = document.createElement("span");
  box.className = "filter";
  input.type = "search";
  input.placeholder = "words, all of which a row must have";
  label.append("Filter ", input);
  count.setAttribute("aria-live", "polite");
  box.append(label, count);
  table.closest(".scroll").before(box);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
      shown += !row.hidden;
    }
    count.textContent = words.length ? `${shown} of ${table.tBodies[0].rows.length} rows` : "";
  });
}

function parsed(text) {
  const rows = [[]];
  let cell = "", quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c === '"' && text[i + 1] === '"') { cell += '"'; i++; }
      else if (c === '"') quoted = false;
      else cell += c;
    } else if (c === '"') quoted = true;
    else if (c === ",") { rows.at(-1).push(cell); cell = ""; }
    else if (c === "\n") { rows.at(-1).push(cell); cell = ""; rows.push([]); }
    else cell += c;
  }
  return rows.filter(row => row.length);
}

function showData(details) {
  if (!details.open || details.querySelector("table")) return;
  const link = details.querySelector("a[download]");
  const [head, ...rows] = parsed(decodeURIComponent(link.getAttribute("href").replace(/^[^,]*,/, "")));
  const most = 500, table = document.createElement("table"), scroll = document.createElement("div");
  const headRow = table.createTHead().insertRow();
  for (const name of head) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    headRow.append(cell);
  }
  const body = table.createTBody();
  for (const row of rows.slice(0, most)) {
    const line = body.insertRow();
    for (const value of row) line.insertCell().textContent = value;
  }
  scroll.className = "scroll";
  scroll.append(table);
  details.append(scroll);
  makeSortable(table);
  if (rows.length > 8) makeFilterable(table);
  if (rows.length > most) details.append(`The first ${most} of ${rows.length} rows; the file has all.`);
}

function openTarget() {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let own = target && target.closest("details"); own; own = own.parentElement.closest("details")) own.open = true;
  if (target) target.scrollIntoView();
}

for (const table of document.querySelectorAll("main table")) {
  makeSortable(table);
  if ("filter" in table.dataset) makeFilterable(table);
}
for (const details of document.querySelectorAll("details.data")) details.addEventListener("toggle", () => showData(details));
addEventListener("hashchange", openTarget);
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details:not(.data)")) details.open = true;
});
openTarget();
