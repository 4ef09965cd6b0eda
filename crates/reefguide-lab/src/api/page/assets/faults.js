// Faults: the ones that are set, and a form to set another.

import { draw, el, newId, row, rowgroup, table } from "./dom.js";
import { ask } from "./lab.js";

const COLUMNS = ["Route", "What goes wrong", "Fired", ""];

const status = (value, min = 200, max = 599) => ({ name: "status", label: "Status", min, max, value });
const LOCATION = { name: "location", label: "Location (default: the same address with https)", type: "text", optional: true };
const RETRY_AFTER = { name: "retryAfter", label: "Retry-After in seconds", min: 0, optional: true };
const MS = { name: "ms", label: "Milliseconds", min: 0, value: 1000 };
const BYTES = { name: "bytes", label: "Bytes that pass first", min: 0, value: 0 };
const KINDS = {
  status: { summary: "the server's response with a status; the request is not handled", fields: [status(500), RETRY_AFTER] },
  page: { summary: "a proxy's page; the request is not handled", fields: [status(200)] },
  "swapped-answer": { summary: "a proxy's page, though the request is handled", fields: [status(200)] },
  redirect: { summary: "a redirect to another address; the request is not handled", fields: [status(302, 301, 308), LOCATION] },
  delay: { summary: "the request is handled late", fields: [MS] },
  "lost-answer": { summary: "the request is handled, then the connection is reset", fields: [] },
  reset: { summary: "the connection is reset; the request is not handled", fields: [] },
  "stale-keep-alive": { summary: "a reused connection is closed", fields: [] },
  "expire-tokens": { summary: "all access tokens expire first", fields: [] },
  "slow-body": { summary: "the response body is sent late", fields: [MS] },
  "slow-pieces": { summary: "each piece of the response body is sent late", fields: [MS] },
  "cut-body": { summary: "the connection is reset in the response body", fields: [BYTES] },
  "corrupt-body": { summary: "a wrong byte in the response body", fields: [BYTES] },
  "cut-upload": { summary: "the connection is reset in the request body; the request is not handled", fields: [BYTES] },
  "corrupt-upload": { summary: "a wrong byte in the request body", fields: [BYTES] },
};

function describe(fault) {
  const details = [
    fault.status,
    fault.location !== undefined && `to ${fault.location}`,
    fault.retryAfter !== undefined && `Retry-After ${fault.retryAfter} s`,
    fault.ms !== undefined && `${fault.ms} ms`,
    fault.bytes !== undefined && `after ${fault.bytes} bytes`,
    fault.skip > 0 && `from request ${fault.skip + 1} on`,
  ].filter((part) => part);
  return [el("strong", {}, fault.kind), details.length ? ` ${details.join(", ")}` : ""];
}

function field({ name, label, type = "number", min, max, value, optional }) {
  const bounds = type === "number" ? { min, max, step: 1 } : {};
  const input = el("input", { type, id: newId(), name, ...bounds, value, required: !optional });
  return el("div", { class: "field" }, el("label", { for: input.id }, label), input);
}

function select(label, options, value) {
  const input = el("select", { id: newId() }, options);
  input.value = value;
  return { input, node: el("div", { class: "field" }, el("label", { for: input.id }, label), input) };
}

export function faultsView() {
  const set = el("div");
  const problem = el("p", { role: "alert", class: "problem" });
  const done = el("p", { role: "status" });
  const change = (method, path, body, message) =>
    ask(method, path, body).then(
      () => {
        problem.textContent = "";
        done.textContent = message;
      },
      (error) => (problem.textContent = error.message),
    );

  const clear = el("button", { type: "button", click: () => change("DELETE", "/lab/faults", undefined, "All faults are cleared.") }, "Clear all");

  function faultRow(fault) {
    const path = `/lab/faults/${fault.id}`;
    const remove = el(
      "button",
      {
        type: "button",
        "aria-label": `Remove ${fault.kind} on ${fault.route}`,
        click: () => change("DELETE", path, undefined, `The fault ${fault.kind} on ${fault.route} is removed.`),
      },
      "Remove",
    );
    const fired = fault.count === undefined ? `${fault.fired} times` : `${fault.fired} of ${fault.count}`;
    return row(COLUMNS, [el("code", {}, fault.route), el("span", {}, describe(fault)), fired, remove]);
  }

  const route = select("Route", [], "");
  const kinds = Object.entries(KINDS).map(([kind, { summary }]) => el("option", { value: kind }, `${kind}: ${summary}`));
  const kind = select("What goes wrong", kinds, "status");
  const fields = el("div", { class: "fields" });
  const showFields = () => fields.replaceChildren(...KINDS[kind.input.value].fields.map(field));
  kind.input.addEventListener("change", showFields);
  showFields();
  ask("GET", "/lab/routes").then(
    (routes) => {
      route.input.replaceChildren(...routes.map((name) => el("option", { value: name }, name)));
      route.input.value = "result";
    },
    (error) => (problem.textContent = error.message),
  );

  function submit(event) {
    event.preventDefault();
    const given = [...form.querySelectorAll("input[name]")].filter((input) => input.value !== "");
    const fault = { route: route.input.value, kind: kind.input.value };
    for (const input of given) fault[input.name] = input.type === "number" ? input.valueAsNumber : input.value;
    change("POST", "/lab/faults", fault, `The fault ${fault.kind} on ${fault.route} is set.`);
  }

  const form = el(
    "form",
    { submit, class: "fault" },
    el("h2", {}, "Set a fault"),
    route.node,
    kind.node,
    fields,
    field({ name: "count", label: "How often (default: until it is removed)", min: 1, optional: true }),
    field({ name: "skip", label: "Requests that pass first", min: 0, value: 0 }),
    el("button", { type: "submit", class: "primary" }, "Set fault"),
  );

  function receive({ faults }) {
    draw(set, faults, (all) =>
      all.length
        ? [table("Faults that are set", COLUMNS, rowgroup(...all.map(faultRow))), el("p", {}, clear)]
        : el("p", { class: "none" }, "No faults are set."),
    );
  }

  return { title: "Faults", content: [problem, set, done, form], receive };
}
