// Creates elements from text and other elements, never from markup, so that a job's text is shown as it is.

export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") node.addEventListener(key, value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

let lastId = 0;

/** A unique id for an element. */
export function newId() {
  lastId += 1;
  return `id-${lastId}`;
}

const shown = new WeakMap();

/** Redraws the content of `node` only if its data has changed, to keep the focus and the selection in it. */
export function draw(node, data, content) {
  const text = JSON.stringify(data) ?? "";
  if (shown.get(node) === text) return;
  shown.set(node, text);
  node.replaceChildren(...[content(data)].flat().filter((child) => child));
}

export function badge(status) {
  return el("span", { class: `badge ${status.toLowerCase().replace("_", "-")}` }, status.replace("_", " "));
}

/** A time: without the date if it is today's. The tooltip has all of it. */
export function time(iso) {
  const at = new Date(iso);
  const today = at.toDateString() === new Date().toDateString();
  return el("time", { datetime: iso, title: iso }, today ? at.toLocaleTimeString() : at.toLocaleString());
}

export function seconds(from, to) {
  const ms = new Date(to) - new Date(from);
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let unit = -1;
  for (; bytes >= 1024 && unit < units.length - 1; unit += 1) bytes /= 1024;
  return `${bytes.toFixed(bytes < 10 ? 1 : 0)} ${units[unit]}`;
}

export function json(value) {
  return JSON.stringify(value, null, 2);
}

/** A table that becomes cards on a narrow screen. It has roles because browsers then no longer treat it as a table. */
export function table(label, columns, body) {
  const heads = columns.map((column) => el("th", { role: "columnheader", scope: "col" }, column));
  const head = el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, heads));
  return el("table", { role: "table", "aria-label": label }, head, body);
}

export function row(columns, cells) {
  const cell = (content, index) => el("td", { role: "cell", "data-label": columns[index] }, content);
  return el("tr", { role: "row" }, cells.map(cell));
}

export function rowgroup(...rows) {
  return el("tbody", { role: "rowgroup" }, rows);
}
