// Reduces JSON Schemas to what a form can show. The rest is entered as JSON.

function resolve(schema, root) {
  if (typeof schema !== "object" || schema === null) return {};
  for (let steps = 0; typeof schema.$ref === "string" && schema.$ref.startsWith("#") && steps < 10; steps += 1) {
    const { $ref, ...beside } = schema;
    const keys = $ref.slice(1).split("/").slice(1);
    const target = keys
      .map((key) => decodeURIComponent(key).replaceAll("~1", "/").replaceAll("~0", "~"))
      .reduce((place, key) => place?.[key], root);
    schema = { ...target, ...beside };
  }
  if (!Array.isArray(schema.allOf)) return schema;
  const { allOf, ...beside } = schema;
  return allOf.map((part) => resolve(part, root)).reduceRight(merge, beside);
}

function merge(one, other) {
  const both = { ...other, ...one };
  if (one.properties && other.properties) both.properties = { ...other.properties, ...one.properties };
  if (one.required && other.required) both.required = [...new Set([...other.required, ...one.required])];
  return both;
}

function isNull(schema) {
  return schema.type === "null" || schema.const === null;
}

/** The values that a schema lists, if it lists any. */
function listed(schema) {
  const { title, description } = schema;
  if (schema.const !== undefined) return [{ value: schema.const, title, description }];
  return schema.enum?.map((value) => ({ value, title, description: undefined }));
}

function choice(values, shape) {
  const some = values.filter(({ value }) => value !== null);
  return { ...shape, kind: "choice", values: some, nullable: shape.nullable || some.length < values.length };
}

function label(option, root) {
  if (option.title) return option.title;
  const properties = Object.entries(option.properties ?? {});
  const tag = properties
    .map(([, property]) => listed(resolve(property, root)))
    .find((values) => values?.length === 1);
  if (tag) return String(tag[0].value);
  return properties.length === 1 ? properties[0][0] : (option.type ?? "another");
}

/** The `kind` of field for `schema`, with the properties that the field needs. */
export function simplify(schema, root) {
  schema = resolve(schema, root);
  const types = [schema.type ?? []].flat();
  const shape = {
    nullable: types.includes("null"),
    description: schema.description,
    default: schema.default,
  };
  const values = listed(schema);
  if (values) return choice(values, shape);

  const alternatives = schema.oneOf ?? schema.anyOf;
  if (Array.isArray(alternatives)) {
    const { oneOf, anyOf, ...beside } = schema;
    const options = alternatives.map((option) => resolve(option, root));
    const some = options.filter((option) => !isNull(option));
    shape.nullable ||= some.length < options.length;
    if (some.every(listed)) return choice(some.flatMap(listed), shape);
    if (schema.properties) return { ...shape, kind: "json" };
    if (some.length === 1) return { ...simplify(merge(beside, some[0]), root), nullable: shape.nullable };
    return { ...shape, kind: "variant", options: some.map((option) => ({ label: label(option, root), schema: option })) };
  }

  const type = types.filter((name) => name !== "null");
  if (type.length > 1) return { ...shape, kind: "json" };
  switch (type[0] ?? (schema.properties && "object")) {
    case "boolean":
      return { ...shape, kind: "boolean" };
    case "string":
      return { ...shape, kind: "string", pattern: schema.pattern, format: schema.format, ...lengths(schema) };
    case "integer":
      return { ...shape, kind: "number", step: schema.multipleOf ?? 1, ...bounds(schema, true) };
    case "number":
      return { ...shape, kind: "number", step: schema.multipleOf ?? "any", ...bounds(schema, false) };
    case "array":
      if (schema.prefixItems || Array.isArray(schema.items) || !schema.items) return { ...shape, kind: "json" };
      return { ...shape, kind: "list", items: schema.items, least: schema.minItems ?? 0 };
    case "object":
      if (!schema.properties) return { ...shape, kind: "json", empty: {} };
      return { ...shape, kind: "object", properties: properties(schema) };
    default:
      return { ...shape, kind: "json" };
  }
}

function lengths({ minLength, maxLength }) {
  return { minLength, maxLength };
}

function bounds(schema, integer) {
  const { minimum, maximum, exclusiveMinimum: above, exclusiveMaximum: below } = schema;
  const range = [
    minimum !== undefined && `at least ${minimum}`,
    above !== undefined && `more than ${above}`,
    maximum !== undefined && `at most ${maximum}`,
    below !== undefined && `less than ${below}`,
  ];
  return {
    min: minimum ?? (integer && above !== undefined ? above + 1 : undefined),
    max: maximum ?? (integer && below !== undefined ? below - 1 : undefined),
    range: [integer ? "whole number" : "number", ...range.filter((part) => part)].join(", "),
  };
}

/** Properties, the required ones first. */
function properties(schema) {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties)
    .map(([name, property]) => ({ name, schema: property, required: required.has(name) }))
    .sort((one, other) => other.required - one.required);
}
