// The fields of a form for a JSON Schema.
//
// A field has a `node`. `get` returns its value (`undefined`: absent), `set` shows a value as far as the field can, `at`
// finds the field at a path below it, and `mark` shows what is wrong with its value.

import { el, json, newId } from "./dom.js";
import { simplify } from "./schema.js";

/** A field's text is not JSON. */
export class Unreadable extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

export function same(one, other) {
  return sorted(one) === sorted(other);
}

function sorted(value) {
  const byKey = (_, inner) =>
    inner && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([one], [other]) => (one < other ? -1 : 1)))
      : inner;
  return JSON.stringify(value, byKey);
}

export function field(schema, root, name, required) {
  const shape = simplify(schema, root);
  const made = makers[shape.kind](shape, { root, name, required });
  if (required && shape.default !== undefined) made.set(shape.default);
  return made;
}

const makers = {
  string(shape, place) {
    const { minLength, maxLength, pattern, format } = shape;
    const input = el("input", { type: "text", autocomplete: "off", minlength: minLength, maxlength: maxLength });
    // The lab checks the pattern: patterns in HTML have a different syntax.
    const hints = [format, pattern && `matches ${pattern}`];
    return control(input, shape, place, hints, {
      read: () => input.value,
      write: (value) => (input.value = typeof value === "string" ? value : ""),
    });
  },

  number(shape, place) {
    const { min, max, step, range } = shape;
    const input = el("input", { type: "number", autocomplete: "off", min, max, step });
    return control(input, shape, place, [range], {
      read: () => input.valueAsNumber,
      write: (value) => (input.value = typeof value === "number" ? value : ""),
    });
  },

  boolean(shape, place) {
    if (!place.required || shape.nullable) {
      return makers.choice({ ...shape, values: [{ value: true }, { value: false }] }, place);
    }
    const input = el("input", { type: "checkbox" });
    const made = control(input, shape, place, [], {
      read: () => input.checked,
      write: (value) => (input.checked = value === true),
    });
    // It is never empty: unchecked is a value.
    input.required = false;
    return { ...made, get: () => input.checked };
  },

  choice(shape, place) {
    const { values, nullable } = shape;
    const optional = !place.required || nullable;
    const only = values.length === 1 && !optional;
    const options = values.map(({ value, title }, index) =>
      el("option", { value: index }, title ?? (typeof value === "string" ? value : JSON.stringify(value))),
    );
    const input = el("select", {}, !only && el("option", { value: "" }, optional ? "not set" : "choose…"), options);
    const hints = values.map(({ value, description }) => description && `${value}: ${description}`);
    return control(input, shape, place, hints, {
      read: () => values[Number(input.value)].value,
      write: (value) => {
        const index = values.findIndex((known) => same(known.value, value));
        input.value = index < 0 ? "" : index;
      },
    });
  },

  json(shape, place) {
    const input = el("textarea", { rows: 4, spellcheck: "false" }, shape.empty && place.required ? json(shape.empty) : "");
    const made = control(input, shape, place, ["JSON"], {
      read: () => {
        try {
          return JSON.parse(input.value);
        } catch (error) {
          throw new Unreadable(made, `This is not JSON: ${error.message}`);
        }
      },
      write: (value) => (input.value = value === undefined ? "" : json(value)),
    });
    return made;
  },

  list(shape, { root, name, required }) {
    const items = [];
    const list = el("div", { class: "items" });
    const error = el("p", { class: "error" });
    const add = () => {
      const item = field(shape.items, root, `${name} ${items.length + 1}`, true);
      const remove = el("button", { type: "button", "aria-label": `Remove ${name} ${items.length + 1}` }, "Remove");
      const line = el("div", { class: "item" }, item.node, remove);
      remove.addEventListener("click", () => {
        const values = items.filter((other) => other !== item).map((other) => other.get());
        made.set(values);
        more.focus();
      });
      items.push(item);
      list.append(line);
      return item;
    };
    const clear = () => {
      items.length = 0;
      list.replaceChildren();
    };
    const more = el("button", { type: "button", click: () => add().node.querySelector("input, select, textarea, button")?.focus() }, `Add to ${name}`);
    const node = el("fieldset", {}, legend(name, required), hint(shape, required), list, more, error);
    const made = {
      node,
      get: () => {
        if (items.length === 0 && !required) return undefined;
        return items.map((item) => item.get() ?? null);
      },
      set: (value) => {
        clear();
        if (Array.isArray(value)) value.forEach((inner) => add().set(inner));
      },
      at: (path) => (items[path[0]] ? items[path[0]].at(path.slice(1)) : made),
      mark: (message) => (error.textContent = message),
    };
    for (let index = 0; required && index < shape.least; index += 1) add();
    return made;
  },

  object(shape, { root, name, required }) {
    // Built on demand, because a schema may contain itself.
    let fields;
    const optional = !required || shape.nullable;
    const inner = el("div");
    const error = el("p", { class: "error" });
    const open = () => {
      fields = shape.properties.map((property) => ({
        name: property.name,
        field: field(property.schema, root, property.name, property.required),
      }));
      inner.replaceChildren(...fields.map((each) => each.field.node));
    };
    const close = () => {
      fields = undefined;
      inner.replaceChildren();
    };
    const has = el("input", { type: "checkbox", id: newId(), change: () => (has.checked ? open() : close()) });
    const node =
      name === undefined
        ? el("div", {}, inner, error)
        : el(
            "fieldset",
            {},
            legend(name, required),
            hint(shape, required),
            optional && el("p", {}, has, " ", el("label", { for: has.id }, `With ${name}`)),
            inner,
            error,
          );
    if (!optional) open();
    const made = {
      node,
      get: () => {
        if (!fields) return required ? null : undefined;
        const values = fields.map((each) => [each.name, each.field.get()]);
        return Object.fromEntries(values.filter(([, value]) => value !== undefined));
      },
      set: (value) => {
        const is = value !== null && typeof value === "object";
        has.checked = is;
        if (optional) close();
        if (!is) return;
        open();
        for (const each of fields) {
          if (each.name in value) each.field.set(value[each.name]);
        }
      },
      at: (path) => {
        const below = fields?.find((each) => each.name === path[0]);
        return below ? below.field.at(path.slice(1)) : made;
      },
      mark: (message) => (error.textContent = message),
    };
    return made;
  },

  variant(shape, { root, name = "payload", required }) {
    let inner;
    const optional = !required || shape.nullable;
    const place = el("div");
    const error = el("p", { class: "error" });
    const choose = (option) => {
      inner = option && field(option.schema, root, option.label, true);
      place.replaceChildren(...(inner ? [inner.node] : []));
    };
    const id = newId();
    const input = el(
      "select",
      { id, change: () => choose(shape.options[Number(input.value || NaN)]), required: !optional },
      el("option", { value: "" }, optional ? "not set" : "choose…"),
      shape.options.map((option, index) => el("option", { value: index }, option.label)),
    );
    const node = el("fieldset", {}, legend(name, required), hint(shape, required), el("label", { for: id }, "Kind"), input, place, error);
    const made = {
      node,
      get: () => (inner ? inner.get() : required && shape.nullable ? null : undefined),
      set: (value) => {
        const index = shape.options.findIndex((option) => {
          const tried = field(option.schema, root, option.label, true);
          tried.set(value);
          try {
            return same(tried.get(), value);
          } catch {
            return false;
          }
        });
        input.value = index < 0 ? "" : index;
        choose(shape.options[index]);
        inner?.set(value);
      },
      at: (path) => (inner ? inner.at(path) : made),
      mark: (message) => (error.textContent = message),
    };
    return made;
  },
};

function control(input, shape, { name = "Payload", required }, hints, { read, write }) {
  input.id = newId();
  input.required = required && !shape.nullable;
  const help = hint(shape, required, hints);
  const error = el("p", { class: "error", id: newId() });
  input.setAttribute("aria-describedby", [help?.id, error.id].filter((id) => id).join(" "));
  const label = el("label", { for: input.id }, name, !required && optionalMark());
  const parts = input.type === "checkbox" ? [el("p", {}, input, " ", label)] : [label, input];
  const made = {
    node: el("div", { class: "field" }, parts, help, error),
    get: () => {
      if (input.value !== "" || input.type === "checkbox") return read();
      if (!required) return undefined;
      return shape.nullable ? null : input.type === "text" ? "" : undefined;
    },
    set: write,
    at: () => made,
    mark: (message) => {
      error.textContent = message;
      input.setAttribute("aria-invalid", "true");
    },
  };
  return made;
}

function legend(name, required) {
  return el("legend", {}, name, !required && optionalMark());
}

function optionalMark() {
  return el("span", { class: "optional" }, " optional");
}

function hint(shape, required, more = []) {
  const absent = !required && shape.default !== undefined && shape.default !== null;
  const parts = [shape.description?.replace(/\.$/, ""), ...more, absent && `default: ${JSON.stringify(shape.default)}`];
  const text = parts.filter((part) => part).join("; ");
  return text ? el("p", { class: "hint", id: newId() }, text) : undefined;
}
