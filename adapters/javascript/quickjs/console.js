import { getStderr } from "wasi:cli/stderr@0.2.10";
import { getStdout } from "wasi:cli/stdout@0.2.10";
import { describe, text } from "../errors.js";
import { encode } from "./encoding.js";

const MOST_AT_ONCE = 4096; // of blocking-write-and-flush

const printer = (open) => (...values) => {
  const line = values.map((value) => (value instanceof Error ? describe(value) : text(value))).join(" ");
  const bytes = encode(`${line}\n`);
  const output = open();
  for (let at = 0; at < bytes.length; at += MOST_AT_ONCE) {
    output.blockingWriteAndFlush(bytes.slice(at, at + MOST_AT_ONCE));
  }
  output[Symbol.dispose]();
};

const out = printer(getStdout);
const err = printer(getStderr);
export const console = { log: out, info: out, debug: out, warn: err, error: err, trace: err };
