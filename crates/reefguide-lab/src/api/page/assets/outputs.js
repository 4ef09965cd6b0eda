// An assignment's files: a list with downloads, and a look into what can be looked into.

import { el, json, newId, row, rowgroup, size, table } from "./dom.js";

const COLUMNS = ["File", "Size", ""];
/** Of a longer file the beginning is shown. */
const PREVIEW_BYTES = 64 * 1024;
const IMAGE = /\.(png|jpe?g|gif|webp|avif|svg)$/i;
const LOG = /\.(log|jsonl|ndjson)$/i;

export function isLog(output) {
  return LOG.test(output.path);
}

function url(output) {
  return `/lab/objects?${new URLSearchParams({ key: output.key })}`;
}

async function beginning(output) {
  const answer = await fetch(url(output));
  if (!answer.ok) throw new Error(`The lab answered ${answer.status}.`);
  const reader = answer.body.getReader();
  const chunks = [];
  let length = 0;
  while (length < PREVIEW_BYTES) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    length += value.length;
  }
  await reader.cancel();
  const bytes = new Uint8Array(await new Blob(chunks).arrayBuffer());
  return bytes.subarray(0, PREVIEW_BYTES);
}

/** The text of `output`, or of its beginning, for people. */
async function textOf(output) {
  const bytes = await beginning(output);
  const whole = bytes.length === output.size;
  // In the middle of a file, a character may be cut in two.
  const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: !whole });
  if (text.includes("\0")) throw new Error("binary");
  if (!whole) return `${text}\n… (${size(output.size)} in all)`;
  if (/\.(geo)?json$/i.test(output.path)) return json(JSON.parse(text));
  return text;
}

/** The content of `output` as an element; it fills when it has come. */
export function preview(output) {
  if (IMAGE.test(output.path)) {
    return el("img", { src: url(output), alt: `The image ${output.path}`, class: "preview" });
  }
  const text = el("pre", { tabindex: "0", "aria-label": output.path }, "…");
  textOf(output).then(
    (content) => (text.textContent = content || "(empty)"),
    () => (text.textContent = "There is nothing to read in this file; download it."),
  );
  return text;
}

export function outputsTable(outputs) {
  const rows = outputs.map((output) => {
    const place = el("div", { id: newId(), class: "place", hidden: true });
    const look = el(
      "button",
      {
        type: "button",
        "aria-expanded": "false",
        "aria-controls": place.id,
        "aria-label": `Preview ${output.path}`,
        click: () => {
          place.hidden = !place.hidden;
          look.setAttribute("aria-expanded", String(!place.hidden));
          if (!place.hidden) place.replaceChildren(preview(output));
        },
      },
      "Preview",
    );
    const name = output.path.split("/").at(-1) || "output";
    const save = el("a", { href: url(output), download: name, "aria-label": `Download ${output.path}` }, "Download");
    const cells = [[el("code", {}, output.path || output.key), place], size(output.size), [look, " ", save]];
    return row(COLUMNS, cells);
  });
  return table("Outputs", COLUMNS, rowgroup(...rows));
}
