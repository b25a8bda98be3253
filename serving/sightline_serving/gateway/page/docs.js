// Shows openapi.json: each operation with what it takes and answers, and a curl line to paste.

function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function table(rows, heads) {
  const made = element("table");
  const head = made.createTHead().insertRow();
  heads.forEach((text) => head.append(element("th", text, { scope: "col" })));
  const body = made.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    row.forEach((text) => line.append(element("td", text)));
  }
  return made;
}

function typeOf(schema = {}) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.join(" | ");
  const bounds = [];
  if (schema.minimum !== undefined) bounds.push(`from ${schema.minimum}`);
  if (schema.maximum !== undefined) bounds.push(`to ${schema.maximum}`);
  return [schema.format === "binary" ? "bytes" : schema.type ?? "any", ...bounds].join(" ");
}

function curl(method, path, operation) {
  const filled = path.replaceAll("{model}", "MODEL").replace(/\{(\w+)\}/g, "1");
  const address = new URL(`.${filled}`, document.baseURI); // a proxy may have put a path before it
  const kinds = Object.keys(operation.requestBody?.content ?? {});
  if (kinds.includes("application/octet-stream")) return `curl --data-binary @FILE '${address}'`;
  if (kinds.includes("multipart/form-data")) return `curl -F image=@FILE '${address}'`;
  return kinds.length ? `curl --json @FILE '${address}'` : `curl '${address}'`;
}

function show(method, path, operation) {
  const section = element("details", "", { class: "operation" });
  const summary = element("summary");
  summary.append(
    element("b", method.toUpperCase(), { class: `method ${method}` }),
    element("code", path),
    element("span", operation.summary),
  );
  section.append(summary, element("pre", curl(method, path, operation)));
  if (operation.parameters) {
    const rows = operation.parameters.map(({ name, in: place, schema }) => [
      name, place, typeOf(schema), schema.description ?? "",
    ]);
    section.append(table(rows, ["parameter", "in", "type", "meaning"]));
  }
  if (operation.requestBody) {
    const rows = Object.entries(operation.requestBody.content).map(([kind, { schema }]) => [
      kind, Object.keys(schema.properties ?? {}).join(", ") || typeOf(schema),
    ]);
    section.append(table(rows, ["body", "fields"]));
  }
  const rows = Object.entries(operation.responses).map(([status, { description, content = {} }]) => [
    status, description, Object.keys(content).join(", "),
  ]);
  section.append(table(rows, ["status", "when", "as"]));
  return section;
}

const main = document.querySelector("#operations");
try {
  const spec = await (await fetch("openapi.json")).json();
  main.replaceChildren(element("h1", `${spec.info.title} ${spec.info.version}`), element("p", spec.info.description));
  const tags = Object.fromEntries(spec.tags.map(({ name }) => [name, []]));
  for (const [path, methods] of Object.entries(spec.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      tags[operation.tags[0]].push({ method, path, operation });
    }
  }
  for (const [tag, operations] of Object.entries(tags)) {
    main.append(element("h2", tag));
    for (const { method, path, operation } of operations) main.append(show(method, path, operation));
  }
} catch (fault) {
  main.replaceChildren(element("p", `openapi.json cannot be read: ${fault.message}`, { role: "alert" }));
}
main.removeAttribute("aria-busy");
