// The same job for a terminal: our program, curl, and the `nats` command line.
import { format, hasKey } from "/page/api.js";
import { painted } from "/page/job.js";

// One argument for a POSIX shell, whatever it holds.
const quoted = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;

const FLAGS = { shape: "--shape", width: "--width", height: "--height", steps: "--steps", guidance: "--guidance", negative: "--negative", seed: "--seed", count: "--count", sampler: "--sampler", model: "--model" };

// Behind "=" a value that begins with a dash is no flag.
const flag = (name, value) => (/^\w[\w.+-]*$/.test(value) ? `${name} ${value}` : `${name}=${quoted(value)}`);

// The seed that was painted with, so that the command makes the same pictures.
export function wish(job) {
  const { words, picture } = painted(job);
  const seed = job.pictures[0]?.seed ?? picture?.seed;
  return { text: words ?? "", picture: { ...picture, ...(seed === undefined ? {} : { seed }) } };
}

export function commands(job) {
  const { text, picture } = wish(job);
  const flags = Object.entries(picture).filter(([name]) => FLAGS[name]).map(([name, value]) => flag(FLAGS[name], value));
  const body = quoted(format({ text, picture }));
  // A text that begins with a dash is no flag.
  const words = text.startsWith("-") ? `-- ${quoted(text)}` : quoted(text);
  const draw = text.startsWith("-") ? ["shanshui draw", ...flags, words] : ["shanshui draw", words, ...flags];
  const key = hasKey() ? ' -H "Authorization: Bearer $KEY"' : "";
  return [
    ["shanshui", draw.join(" ")],
    ["curl", `curl -sS ${quoted(`${location.origin}/v1/jobs`)} -H 'Content-Type: application/json'${key} -d ${body}`],
    ["NATS", `nats pub -J --no-templates shanshui.text.default ${body}`],
  ];
}
