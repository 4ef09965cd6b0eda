// Fault dials: those that are set, and a form for another.

import { draw, el, newId, row, rowgroup, table } from "./dom.js";
import { ask } from "./lab.js";

const COLUMNS = ["Route", "What goes wrong", "Struck", ""];

const status = (value, min = 200, max = 599) => ({ name: "status", label: "Status", min, max, value });
const LOCATION = { name: "location", label: "Location (without one: the same address with https)", type: "text", optional: true };
const RETRY_AFTER = { name: "retryAfter", label: "Retry-After in seconds", min: 0, optional: true };
const MS = { name: "ms", label: "Milliseconds", min: 0, value: 1000 };
const BYTES = { name: "bytes", label: "Bytes before", min: 0, value: 0 };
const KINDS = {
  status: { says: "answered with a status as the server would, nothing done", asks: [status(500), RETRY_AFTER] },
  page: { says: "answered by a proxy's page, nothing done", asks: [status(200)] },
  "swapped-answer": { says: "handled, but a proxy's page is the answer", asks: [status(200)] },
  redirect: { says: "sent to another address, nothing done", asks: [status(302, 301, 308), LOCATION] },
  delay: { says: "handled late", asks: [MS] },
  "lost-answer": { says: "handled, then the connection is reset", asks: [] },
  reset: { says: "the connection is reset, nothing done", asks: [] },
  "stale-keep-alive": { says: "a reused connection is closed", asks: [] },
  "expire-tokens": { says: "all access tokens end first", asks: [] },
  "slow-body": { says: "the answer's body comes late", asks: [MS] },
  "slow-pieces": { says: "each piece of the answer's body comes late", asks: [MS] },
  "cut-body": { says: "reset in the answer's body", asks: [BYTES] },
  "corrupt-body": { says: "a wrong byte in the answer's body", asks: [BYTES] },
  "cut-upload": { says: "reset in the request's body, nothing done", asks: [BYTES] },
  "corrupt-upload": { says: "a wrong byte in the request's body", asks: [BYTES] },
};

function describe(dial) {
  const details = [
    dial.status,
    dial.location !== undefined && `to ${dial.location}`,
    dial.retryAfter !== undefined && `Retry-After ${dial.retryAfter} s`,
    dial.ms !== undefined && `${dial.ms} ms`,
    dial.bytes !== undefined && `after ${dial.bytes} bytes`,
    dial.skip > 0 && `from request ${dial.skip + 1} on`,
  ].filter((part) => part);
  return [el("strong", {}, dial.kind), details.length ? ` ${details.join(", ")}` : ""];
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

export function dialsView() {
  const set = el("div");
  const problem = el("p", { role: "alert", class: "problem" });
  const said = el("p", { role: "status" });
  const turn = (method, path, body, done) =>
    ask(method, path, body).then(
      () => {
        problem.textContent = "";
        said.textContent = done;
      },
      (error) => (problem.textContent = error.message),
    );

  const clear = el("button", { type: "button", click: () => turn("DELETE", "/lab/faults", undefined, "All dials are cleared.") }, "Clear all");

  function dialRow(dial) {
    const path = `/lab/faults/${dial.id}`;
    const remove = el(
      "button",
      {
        type: "button",
        "aria-label": `Remove ${dial.kind} on ${dial.route}`,
        click: () => turn("DELETE", path, undefined, `The dial ${dial.kind} on ${dial.route} is removed.`),
      },
      "Remove",
    );
    const struck = dial.count === undefined ? `${dial.fired} times` : `${dial.fired} of ${dial.count}`;
    return row(COLUMNS, [el("code", {}, dial.route), el("span", {}, describe(dial)), struck, remove]);
  }

  const route = select("Route", [], "");
  const kinds = Object.entries(KINDS).map(([kind, { says }]) => el("option", { value: kind }, `${kind}: ${says}`));
  const kind = select("What goes wrong", kinds, "status");
  const asks = el("div", { class: "asks" });
  const askFor = () => asks.replaceChildren(...KINDS[kind.input.value].asks.map(field));
  kind.input.addEventListener("change", askFor);
  askFor();
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
    const dial = { route: route.input.value, kind: kind.input.value };
    for (const input of given) dial[input.name] = input.type === "number" ? input.valueAsNumber : input.value;
    turn("POST", "/lab/faults", dial, `The dial ${dial.kind} on ${dial.route} is set.`);
  }

  const form = el(
    "form",
    { submit, class: "dial" },
    el("h2", {}, "Set a dial"),
    route.node,
    kind.node,
    asks,
    field({ name: "count", label: "How often (without a number: until it is removed)", min: 1, optional: true }),
    field({ name: "skip", label: "Requests that pass before", min: 0, value: 0 }),
    el("button", { type: "submit", class: "primary" }, "Set dial"),
  );

  function receive({ faults }) {
    draw(set, faults, (dials) =>
      dials.length
        ? [table("Dials that are set", COLUMNS, rowgroup(...dials.map(dialRow))), el("p", {}, clear)]
        : el("p", { class: "none" }, "No dial is set: the lab behaves."),
    );
  }

  return { title: "Fault dials", content: [problem, set, said, form], receive };
}
