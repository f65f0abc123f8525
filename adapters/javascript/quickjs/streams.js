// As much of ReadableStream as bodies need. It never reads ahead: pull is called when somebody waits for a chunk.

export class ReadableStream {
  #source;
  #controller;
  #starting;
  #chunks = [];
  #closed = false;
  #failure; // { error }
  #changed = () => {};
  #reading = Promise.resolve();
  locked = false;

  constructor(source = {}) {
    this.#source = source;
    this.#controller = {
      desiredSize: 1,
      enqueue: (chunk) => {
        if (this.#closed) throw new TypeError("the stream is closed");
        this.#chunks.push(chunk);
        this.#changed();
      },
      close: () => {
        this.#closed = true;
        this.#changed();
      },
      error: (error) => this.#fail(error),
    };
    this.#starting = Promise.resolve(source.start?.(this.#controller)).catch((error) => this.#fail(error));
  }

  static from(iterable) {
    const iterator = iterable[Symbol.asyncIterator]?.() ?? iterable[Symbol.iterator]();
    return new ReadableStream({
      async pull(controller) {
        const { done, value } = await iterator.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => iterator.return?.(reason),
    });
  }

  getReader() {
    if (this.locked) throw new TypeError("the stream is being read already");
    this.locked = true;
    return {
      read: () => this.#read(),
      cancel: (reason) => this.#cancel(reason),
      releaseLock: () => (this.locked = false),
    };
  }

  async cancel(reason) {
    if (this.locked) throw new TypeError("the stream is being read");
    await this.#cancel(reason);
  }

  // Two streams with the same chunks; what one has read waits for the other.
  tee() {
    const reader = this.getReader();
    const open = new Set();
    const branch = () => {
      let own;
      return new ReadableStream({
        start: (controller) => void open.add((own = controller)),
        async pull() {
          const { done, value } = await reader.read();
          for (const controller of open) done ? controller.close() : controller.enqueue(value);
        },
        cancel(reason) {
          open.delete(own);
          return open.size === 0 ? reader.cancel(reason) : undefined;
        },
      });
    };
    return [branch(), branch()];
  }

  async pipeTo(writable) {
    const writer = writable.getWriter();
    try {
      for await (const chunk of this) await writer.write(chunk);
      await writer.close();
    } catch (error) {
      await writer.abort(error);
      throw error;
    } finally {
      writer.releaseLock();
    }
  }

  pipeThrough({ readable, writable }) {
    this.pipeTo(writable).catch(() => {}); // whoever reads the other end is told
    return readable;
  }

  async *[Symbol.asyncIterator]() {
    const reader = this.getReader();
    let ended = false;
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) {
          ended = true;
          return;
        }
        yield value;
      }
    } finally {
      if (!ended) await reader.cancel();
      reader.releaseLock();
    }
  }

  // One after the other.
  #read() {
    const result = this.#reading.then(() => this.#next());
    this.#reading = result.catch(() => {});
    return result;
  }

  async #next() {
    await this.#starting;
    let asked = false;
    for (;;) {
      if (this.#chunks.length > 0) return { done: false, value: this.#chunks.shift() };
      if (this.#failure) throw this.#failure.error;
      if (this.#closed) return { done: true, value: undefined };
      const changed = new Promise((resolve) => (this.#changed = resolve));
      if (this.#source.pull && !asked) {
        asked = true;
        Promise.resolve(this.#source)
          .then((source) => source.pull(this.#controller))
          .catch((error) => this.#fail(error));
      }
      await changed;
    }
  }

  #fail(error) {
    if (!this.#closed) this.#failure ??= { error };
    this.#changed();
  }

  async #cancel(reason) {
    if (this.#closed || this.#failure) return;
    this.#closed = true;
    this.#chunks = [];
    this.#changed();
    await this.#source.cancel?.(reason);
  }
}
