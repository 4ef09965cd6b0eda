// An assignment's files: a list with downloads and previews.

import { el, json, newId, row, rowgroup, size, table } from "./dom.js";

const COLUMNS = ["File", "Size", ""];
/** The preview of a longer file shows only its beginning. */
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
  if (!answer.ok) throw new Error(`The lab responded with ${answer.status}.`);
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

/** The text of `output` or of its beginning, formatted for reading. */
async function textOf(output) {
  const bytes = await beginning(output);
  const whole = bytes.length === output.size;
  // The last character may be incomplete in the middle of a file.
  const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: !whole });
  const rest = whole ? "" : `\n… (${size(output.size)} in all)`;
  if (text.includes("\0")) throw new Error("binary");
  if (LOG.test(output.path)) return text.split("\n").map(logLine).join("\n") + rest;
  if (!whole) return text + rest;
  if (/\.(geo)?json$/i.test(output.path)) return json(JSON.parse(text));
  return text;
}

/** A line of a worker's log in the format of its terminal. Other lines stay as they are. */
function logLine(line) {
  try {
    const { timestamp, level, message, target, ...fields } = JSON.parse(line);
    if (typeof message !== "string") return line;
    const others = Object.entries(fields).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
    return [timestamp, level, message, ...others].filter((part) => part).join(" ");
  } catch {
    return line;
  }
}

/** An element with the content of `output`, which is filled when it has loaded. */
export function preview(output) {
  if (IMAGE.test(output.path)) {
    return el("img", { src: url(output), alt: `The image ${output.path}`, class: "preview" });
  }
  const text = el("pre", { tabindex: "0", "aria-label": output.path }, "…");
  textOf(output).then(
    (content) => (text.textContent = content || "(empty)"),
    () => (text.textContent = "This file has no preview; download it."),
  );
  return text;
}

export function download(output) {
  const name = output.path.split("/").at(-1) || "output";
  return el("a", { href: url(output), download: name, "aria-label": `Download ${output.path}` }, "Download");
}

export function outputsTable(outputs) {
  const rows = outputs.map((output) => {
    const place = el("div", { id: newId(), class: "place", hidden: true });
    const toggle = el(
      "button",
      {
        type: "button",
        "aria-expanded": "false",
        "aria-controls": place.id,
        "aria-label": `Preview ${output.path}`,
        click: () => {
          place.hidden = !place.hidden;
          toggle.setAttribute("aria-expanded", String(!place.hidden));
          if (!place.hidden) place.replaceChildren(preview(output));
        },
      },
      "Preview",
    );
    const cells = [[el("code", {}, output.path || output.key), place], size(output.size), [toggle, " ", download(output)]];
    return row(COLUMNS, cells);
  });
  return table("Outputs", COLUMNS, rowgroup(...rows));
}
