// WritableStream and TransformStream, as far as frameworks stream with them.

import { ReadableStream } from "./streams.js";

export class WritableStream {
  #sink;
  #writing;
  locked = false;

  constructor(sink = {}) {
    this.#sink = sink;
    this.#writing = Promise.resolve(sink.start?.({ error() {} }));
  }

  getWriter() {
    if (this.locked) throw new TypeError("the stream is being written to already");
    this.locked = true;
    return {
      ready: Promise.resolve(),
      desiredSize: 1,
      write: (chunk) => this.#then(() => this.#sink.write?.(chunk)),
      close: () => this.#then(() => this.#sink.close?.()),
      abort: async (reason) => this.#sink.abort?.(reason),
      releaseLock: () => (this.locked = false),
    };
  }

  close() {
    return this.#then(() => this.#sink.close?.());
  }

  async abort(reason) {
    await this.#sink.abort?.(reason);
  }

  // One after the other; after a failure, none.
  #then(step) {
    this.#writing = this.#writing.then(step);
    this.#writing.catch(() => {});
    return this.#writing;
  }
}

export class TransformStream {
  constructor({ start, transform, flush } = {}) {
    let controller;
    let cancelled = false;
    let wanted;
    let want;
    const wait = () => (want = new Promise((resolve) => (wanted = resolve)));
    wait();
    this.readable = new ReadableStream({
      start: (given) => {
        controller = given;
        const { enqueue } = controller;
        controller.enqueue = (chunk) => {
          wait();
          enqueue(chunk);
        };
        controller.terminate = () => controller.close();
        return start?.(controller);
      },
      pull: () => wanted(),
      cancel: () => {
        cancelled = true;
        wanted();
      },
    });
    this.writable = new WritableStream({
      // Not before somebody reads: whoever writes is to wait for whoever reads.
      async write(chunk) {
        await want;
        if (cancelled) throw new TypeError("nobody reads this stream any more");
        await (transform ? transform(chunk, controller) : controller.enqueue(chunk));
      },
      async close() {
        if (cancelled) return;
        await flush?.(controller);
        controller.close();
      },
      abort: (reason) => controller.error(reason),
    });
  }
}
