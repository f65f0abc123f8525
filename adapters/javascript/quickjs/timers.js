import { waitFor } from "wasi:clocks/monotonic-clock@0.3.0";
import { describe } from "../errors.js";

const running = new Set();
let last = 0;

async function run(id, callback, ms, args, again) {
  do {
    await waitFor(Math.max(0, Math.round(ms * 1e6) || 0));
    if (!running.has(id)) return;
    if (!again) running.delete(id);
    try {
      callback(...args);
    } catch (error) {
      globalThis.console.error(describe(error));
    }
  } while (running.has(id));
}

const timer = (again) => (callback, ms = 0, ...args) => {
  const id = ++last;
  running.add(id);
  run(id, callback, ms, args, again);
  return id;
};

export const setTimeout = timer(false);
export const setInterval = timer(true);
export const clearTimeout = (id) => running.delete(id);
export const clearInterval = clearTimeout;
