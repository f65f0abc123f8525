// What the fetch convention has and StarlingMonkey lacks: ReadableStream.from, `for await` over a stream, and timers whose
// exceptions do not end the instance.

import { describe } from "./errors.js";

for (const name of ["setTimeout", "setInterval"]) {
  const timer = globalThis[name];
  globalThis[name] = (callback, ms, ...args) =>
    timer(() => {
      try {
        callback(...args);
      } catch (error) {
        console.error(describe(error));
      }
    }, ms);
}

ReadableStream.prototype[Symbol.asyncIterator] ??= async function* () {
  const reader = this.getReader();
  let ended = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      ended = done;
      if (done) return;
      yield value;
    }
  } finally {
    if (!ended) await reader.cancel();
    reader.releaseLock();
  }
};

ReadableStream.from ??= (iterable) => {
  const iterator = iterable[Symbol.asyncIterator]?.() ?? iterable[Symbol.iterator]();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => iterator.return?.(reason),
  });
};
