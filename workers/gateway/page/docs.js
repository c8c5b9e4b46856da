// The interfaces of this gateway, to read and to try. Nothing that is answered is read as markup.

const MOST = 100_000;
const METHODS = ["get", "post", "delete"];
let components = {};

function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  Object.assign(element, properties);
  element.append(...children.filter(Boolean));
  return element;
}

const resolve = (schema) =>
  schema?.$ref ? schema.$ref.slice("#/components/".length).split("/").reduce((at, part) => at?.[part], components) : schema;

// A value that fits a schema, short: only what is required, and the smallest of it.
function example(schema, depth = 0) {
  const own = resolve(schema) ?? {};
  const first = (own.oneOf ?? own.anyOf)?.[0];
  if (first) return example(first, depth);
  if (own.enum) return own.enum[0];
  const type = [own.type].flat()[0];
  if (type === "object" || own.properties) {
    const wanted = Object.entries(own.properties ?? {}).filter(([name]) => own.required?.includes(name) || depth === 0);
    const pairs = wanted.map(([name, value]) => [name, depth > 1 ? null : example(value, depth + 1)]);
    return Object.fromEntries(pairs.filter(([name, value]) => own.required?.includes(name) || (value !== null && value !== "")));
  }
  return { integer: own.minimum ?? 1, number: own.minimum ?? 1, boolean: false, array: [], string: "" }[type] ?? null;
}

function jobExample(path, schema) {
  if (path === "/v1/jobs") return { text: "a red apple", picture: { count: 1, seed: 7 } };
  if (path.startsWith("/v1/images")) return { prompt: "a red apple", n: 1, response_format: "url" };
  if (path.endsWith("txt2img")) return { prompt: "a red apple", steps: 8, batch_size: 1 };
  return example(schema);
}

function inputs(path, operation) {
  return (operation.parameters ?? []).map(resolve).map((parameter) => {
    const input = make("input", { value: parameter.schema?.default ?? "" });
    const about = [parameter.name, parameter.in === "path" ? "in the address" : `in the ${parameter.in}`, parameter.description];
    return { ...parameter, input, row: make("label", {}, about.filter(Boolean).join(": "), input) };
  });
}

function address(path, fields) {
  const filled = path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(fields.find((one) => one.name === name)?.input.value ?? ""));
  const query = fields.filter((one) => one.in === "query" && one.input.value).map((one) => [one.name, one.input.value]);
  return query.length ? `${filled}?${new URLSearchParams(query)}` : filled;
}

async function show(answer, into) {
  const media = answer.headers.get("content-type") ?? "";
  const status = make("p", {}, `${answer.status} ${answer.statusText} ${media}`);
  if (media.startsWith("image/")) {
    return into.replaceChildren(status, make("img", { alt: "The answer", src: URL.createObjectURL(await answer.blob()) }));
  }
  let text = (await answer.text()).slice(0, MOST);
  try {
    text = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // Not every answer is JSON.
  }
  into.replaceChildren(status, make("pre", { textContent: text, tabIndex: 0 }));
}

function form(path, method, operation) {
  const fields = inputs(path, operation);
  const content = operation.requestBody?.content ?? {};
  const json = content["application/json"];
  const upload = !json && content["multipart/form-data"] ? make("input", { type: "file" }) : undefined;
  const body = json && make("textarea", { value: JSON.stringify(jobExample(path, json.schema), null, 2), spellcheck: false });
  const result = make("div", { role: "status" });
  const send = async () => {
    const headers = Object.fromEntries(fields.filter((one) => one.in === "header" && one.input.value).map((one) => [one.name, one.input.value]));
    const key = document.getElementById("key").value;
    if (key) headers.Authorization = `Bearer ${key}`;
    if (body) headers["Content-Type"] = "application/json";
    const sent = upload ? new FormData() : body?.value;
    if (upload?.files[0]) sent.append("file", upload.files[0]);
    if (upload) sent.append("model", "whisper-1");
    result.replaceChildren(make("p", {}, "…"));
    try {
      await show(await fetch(address(path, fields), { method: method.toUpperCase(), headers, body: sent }), result);
    } catch (error) {
      result.replaceChildren(make("p", { textContent: String(error) }));
    }
  };
  const button = make("button", { type: "button", textContent: "Send", onclick: send });
  const part = body && make("label", {}, "Body, application/json", body);
  return [...fields.map((one) => one.row), part, upload && make("label", {}, "Recording", upload), button, result];
}

function operation(path, method, described) {
  const head = make("summary", {}, make("b", { textContent: method }), make("code", { textContent: path }), ` ${described.summary}`);
  const details = make("details", {}, head);
  const statuses = Object.entries(described.responses).map(([status, own]) => `${status}: ${resolve(own).description}`);
  details.addEventListener("toggle", () => {
    if (details.children.length > 1) return;
    details.append(make("small", { textContent: statuses.join(" · ") }), ...form(path, method, described).filter(Boolean));
  });
  return details;
}

async function main() {
  const document_ = await (await fetch("/openapi.json")).json();
  components = document_.components;
  const all = Object.entries(document_.paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => methods[method]).map((method) => operation(path, method, methods[method])),
  );
  document.getElementById("operations").replaceChildren(...all);
}

await main();
