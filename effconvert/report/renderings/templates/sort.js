// Sorting and filtering of tables; without this script tables are complete, in their own order.
"use strict";
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  if (!body || body.rows.length < 2) continue;
  const rows = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: "" }[head.getAttribute("aria-sort")] ?? "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      if (next) head.setAttribute("aria-sort", next);
      body.append(...(next ? sorted(rows, column, next === "descending") : rows));
    });
  });
  if (rows.length > 30) addFilter(table, rows);
}

// A table that does not fit gets a scroll bar of its own; it is measured when it is laid out, also after it is unfolded.
const fitting = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    target.classList.toggle("wide", target.firstElementChild.offsetWidth > target.clientWidth + 1);
  }
});
for (const region of document.querySelectorAll(".scroll")) fitting.observe(region);

// Numbers before words, cells without a value last; equal rows keep their order.
function sorted(rows, column, down) {
  const keyed = rows.map((row) => ({ row, key: key(row.cells[column]) }));
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
    return compare(a.key, b.key) * (down ? -1 : 1);
  });
  return keyed.map((entry) => entry.row);
}

function key(cell) {
  const text = (cell.dataset.value ?? cell.textContent).trim();
  if (text === "" || text === "\u2013") return null;
  const number = Number(text.replaceAll(",", "").replace("\u2212", "-"));
  return Number.isNaN(number) ? text : number;
}

function compare(a, b) {
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
}

function addFilter(table, rows) {
  const line = document.createElement("p");
  const label = document.createElement("label");
  const input = document.createElement("input");
  const shown = document.createElement("output");
  line.className = "filter";
  input.type = "search";
  input.autocomplete = "off";
  input.setAttribute("aria-label", `Filter: ${table.caption.querySelector("b").textContent}`);
  label.append("Filter ", input);
  line.append(label, shown);
  table.parentNode.before(line);
  let texts;
  input.addEventListener("input", () => {
    texts ??= rows.map((row) => row.textContent.toLowerCase());
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    rows.forEach((row, number) => {
      row.hidden = !words.every((word) => texts[number].includes(word));
      left += !row.hidden;
    });
    shown.value = words.length ? `${left} of ${rows.length} rows` : "";
  });
}
