// The form to submit a job: its type, and its payload in fields or as JSON.

import { el, json, newId } from "./dom.js";
import { Unreadable, field, same } from "./fields.js";
import { ask } from "./lab.js";

const ANOTHER = "\0another";

function segments(pointer) {
  return pointer
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** The editor for the payload of one type. It is JSON if the type has no schema or the form cannot show the payload. */
function payloadEditor(schema) {
  const form = el("div");
  const text = el("textarea", { rows: 12, spellcheck: "false", id: newId() });
  const textError = el("p", { class: "error", id: newId() });
  text.setAttribute("aria-describedby", textError.id);
  const asText = el("div", { class: "field", hidden: true }, el("label", { for: text.id }, "Payload as JSON"), text, textError);
  const note = el("p", { class: "hint", role: "status" });
  const box = el("input", { type: "checkbox", id: newId() });
  const toggle = el("p", { class: "switch" }, box, " ", el("label", { for: box.id }, "as JSON"));
  let root;

  const fromText = () => {
    try {
      return JSON.parse(text.value);
    } catch (error) {
      throw new Unreadable({ mark: markText, node: asText }, `This is not JSON: ${error.message}`);
    }
  };
  const markText = (message) => {
    textError.textContent = message;
    text.setAttribute("aria-invalid", "true");
  };
  const build = () => {
    root = schema && field(schema, schema, undefined, true);
    form.replaceChildren(...(root ? [root.node] : []));
  };
  const show = (isText) => {
    box.checked = isText;
    form.hidden = isText;
    asText.hidden = !isText;
    // Remove a hidden form: the browser would check whether it is complete.
    if (isText) form.replaceChildren();
    else form.replaceChildren(root.node);
  };
  const set = (payload) => {
    build();
    text.value = json(payload);
    root?.set(payload);
    const fits = root !== undefined && same(root.get(), payload);
    note.textContent = root && !fits ? "The form cannot show all of this payload." : "";
    show(!fits);
  };

  box.addEventListener("change", () => {
    try {
      if (box.checked) {
        text.value = json(root.get());
        show(true);
      } else set(fromText());
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      box.checked = !box.checked;
      error.field.mark(error.message);
    }
  });
  build();
  toggle.hidden = !root;
  if (!root) {
    text.value = "{}";
    asText.hidden = false;
  }
  return {
    node: el("div", {}, toggle, note, form, asText),
    set,
    get: () => (root && !box.checked ? root.get() : fromText()),
    clear: () => {
      for (const error of asText.parentNode.querySelectorAll(".error")) error.textContent = "";
      for (const input of asText.parentNode.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
    },
    mark: (path, message) => {
      if (root && !box.checked) root.at(segments(path)).mark(message);
      else markText(`${path} ${message}`.trim());
    },
  };
}

function submitForm({ types, any }, like) {
  const type = el(
    "select",
    { id: newId(), required: true },
    el("option", { value: "" }, "choose…"),
    types.map(({ name }) => el("option", { value: name }, name)),
    any && el("option", { value: ANOTHER }, "another type…"),
  );
  const name = el("input", { type: "text", id: newId(), autocomplete: "off", required: true });
  const another = el("div", { class: "field" }, el("label", { for: name.id }, "Name of the type"), name);
  const extra = el("div");
  const place = el("div");
  const problem = el("div", { role: "alert", class: "problem", tabindex: "-1" });
  const button = el("button", { type: "submit", class: "primary", disabled: true }, "Submit job");
  let editor;

  const choose = () => {
    editor = type.value ? payloadEditor(types.find((known) => known.name === type.value)?.input) : undefined;
    button.disabled = !editor;
    extra.replaceChildren(...(type.value === ANOTHER ? [another] : []));
    place.replaceChildren(...(editor ? [editor.node] : []));
    problem.replaceChildren();
  };
  type.addEventListener("change", choose);

  const refused = (error) => {
    const errors = error.errors ?? [];
    const lines = errors.map(({ path, message }) => el("li", {}, el("code", {}, path || "payload"), ` ${message}`));
    problem.replaceChildren(el("p", {}, error.message), ...(lines.length ? [el("ul", {}, lines)] : []));
    for (const { path, message } of errors) editor.mark(path, message);
    (place.querySelector("[aria-invalid]") ?? problem).focus();
  };

  async function submit(event) {
    event.preventDefault();
    editor.clear();
    problem.replaceChildren();
    try {
      const job = { type: type.value === ANOTHER ? name.value : type.value, payload: editor.get() };
      const { jobId, cached } = await ask("POST", "/lab/jobs", job);
      location.hash = `#/jobs/${jobId}${cached ? "?same" : ""}`;
    } catch (error) {
      if (error instanceof Unreadable) {
        error.field.mark(error.message);
        error.field.node.querySelector("textarea").focus();
      } else refused(error);
    }
  }

  if (like) {
    const known = types.some((other) => other.name === like.type);
    type.value = known ? like.type : ANOTHER;
    name.value = known ? "" : like.type;
    choose();
    editor.set(like.input_payload);
  }
  const choice = el("div", { class: "field" }, el("label", { for: type.id }, "Job type"), type);
  return el("form", { submit }, problem, choice, extra, place, button);
}

export function submitView(query) {
  const place = el("div", {}, el("p", { class: "none" }, "…"));
  const wanted = query.get("like");
  Promise.all([ask("GET", "/lab/job-types"), wanted && ask("GET", `/lab/jobs/${wanted}`)]).then(
    ([choices, like]) => place.replaceChildren(submitForm(choices, like)),
    (error) => place.replaceChildren(el("p", { role: "alert", class: "problem" }, error.message)),
  );
  return { title: "Submit a job", content: [place] };
}
