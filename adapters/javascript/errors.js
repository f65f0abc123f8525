// What is printed of an exception: its message and its stack, with the author's own files and lines.

// build.mjs puts every file of the app into one and leaves its source map here: { sources, mappings }.
const BUNDLE_FRAME = /[^\s(@]*wasmserve-bundle\.js:(\d+):(\d+)/g;
const MOST_FRAMES = 30; // an endless recursion has hundreds
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
let lines;

export function describe(error) {
  if (!isError(error)) return `thrown: ${text(error)}`;
  let described = `${error.name}: ${error.message}\n${frames(error.stack)}`;
  if (error.payload !== undefined) described += `\nbecause of ${text(error.payload)}`;
  if (error.cause !== undefined) described += `\ncaused by ${describe(error.cause)}`;
  return described;
}

// Errors of WASI are of another realm, where Error is another class.
const isError = (value) => value instanceof Error || typeof value?.stack === "string";

export function text(value) {
  if (isError(value)) return value.message;
  if (typeof value !== "object" || value === null) return String(value);
  try {
    return JSON.stringify(value, (_, part) => (typeof part === "bigint" ? Number(part) : part)) ?? String(value);
  } catch {
    return String(value);
  }
}

// The text with the author's files and lines instead of those of the bundle.
export const located = (text) => text.replace(BUNDLE_FRAME, (_, line, column) => original(Number(line), Number(column)));

function frames(stack) {
  return stack
    .split("\n")
    .slice(0, MOST_FRAMES)
    .map(located)
    .filter((line) => line.trim() !== "" && !line.includes("/sources/initializer.js:")) // bindings
    .map((line) => line.replace(/^([^@\s]*)@(.*)$/, (_, name, at) => (name ? `    at ${name} (${at})` : `    at ${at}`)))
    .join("\n");
}

function original(line, column) {
  const map = globalThis.wasmserveSourceMap;
  lines ??= map ? decode(map.mappings) : [];
  let found;
  for (const entry of lines[line - 1] ?? []) {
    if (entry.column > column - 1 && found) break;
    found = entry;
  }
  return found ? `${map.sources[found.source]}:${found.line + 1}:${found.from + 1}` : `bundle:${line}:${column}`;
}

// For each line of the bundle what begins at which column; all but the column counts on from what was before.
function decode(mappings) {
  let source = 0;
  let line = 0;
  let from = 0;
  return mappings.split(";").map((segments) => {
    let column = 0;
    const entries = [];
    for (const segment of segments === "" ? [] : segments.split(",")) {
      const numbers = base64Numbers(segment);
      column += numbers[0];
      if (numbers.length < 4) continue;
      source += numbers[1];
      line += numbers[2];
      from += numbers[3];
      entries.push({ column, source, line, from });
    }
    return entries;
  });
}

// Five bits in each character, the lowest first, and a bit for "goes on"; the lowest bit of all is the sign.
function base64Numbers(segment) {
  const numbers = [];
  let value = 0;
  let shift = 0;
  for (const character of segment) {
    const digit = DIGITS.indexOf(character);
    value |= (digit & 31) << shift;
    shift += 5;
    if (digit & 32) continue;
    numbers.push(value & 1 ? -(value >> 1) : value >> 1);
    value = 0;
    shift = 0;
  }
  return numbers;
}
