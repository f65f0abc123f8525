import { TextDecoder, encode, joined } from "./encoding.js";
import { Headers } from "./headers.js";
import { ReadableStream } from "./streams.js";
import { URLSearchParams } from "./url.js";

const NO_BODY = new Set([101, 103, 204, 205, 304]);

// What a body is made of: null, bytes or a stream; and the content-type that goes with it.
function bodyOf(init) {
  if (init === undefined || init === null) return [null];
  if (init instanceof URLSearchParams) return [encode(String(init)), "application/x-www-form-urlencoded;charset=UTF-8"];
  if (ArrayBuffer.isView(init)) return [new Uint8Array(init.buffer, init.byteOffset, init.byteLength)];
  if (init instanceof ArrayBuffer) return [new Uint8Array(init)];
  if (init instanceof ReadableStream) return [init];
  if (typeof init === "object" && (init[Symbol.asyncIterator] || init[Symbol.iterator])) return [ReadableStream.from(init)];
  return [encode(String(init)), "text/plain;charset=UTF-8"];
}

class Body {
  #content;
  bodyUsed = false;

  constructor(init, headers) {
    const [content, type] = bodyOf(init);
    this.#content = content;
    this.headers = new Headers(headers);
    if (type && !this.headers.has("content-type")) this.headers.set("content-type", type);
  }

  get body() {
    if (this.#content instanceof Uint8Array) this.#content = ReadableStream.from([this.#content]);
    return this.#content;
  }

  // null, a Uint8Array or a stream; to be called once.
  takeContent() {
    if (this.bodyUsed || this.#content?.locked) throw new TypeError("the body has been read already");
    this.bodyUsed = this.#content !== null;
    return this.#content;
  }

  async bytes() {
    const content = this.takeContent() ?? new Uint8Array(0);
    if (content instanceof Uint8Array) return content;
    const chunks = [];
    for await (const chunk of content) chunks.push(chunk);
    return joined(chunks);
  }

  async arrayBuffer() {
    return (await this.bytes()).slice().buffer;
  }

  async text() {
    return new TextDecoder().decode(await this.bytes()).replace(/^\ufeff/, "");
  }

  async json() {
    return JSON.parse(await this.text());
  }

  copyForClone() {
    if (this.bodyUsed || this.#content?.locked) throw new TypeError("the body has been read already");
    if (!(this.#content instanceof ReadableStream)) return this.#content;
    const [mine, copy] = this.#content.tee();
    this.#content = mine;
    return copy;
  }
}

export class Request extends Body {
  constructor(input, init = {}) {
    const from = input instanceof Request ? input : undefined;
    const method = String(init.method ?? from?.method ?? "GET");
    const body = init.body ?? from?.takeContent() ?? null;
    if (body !== null && /^(get|head)$/i.test(method)) throw new TypeError(`a ${method} request cannot have a body`);
    super(body, init.headers ?? from?.headers);
    this.method = /^(delete|get|head|options|post|put)$/i.test(method) ? method.toUpperCase() : method;
    this.url = from ? from.url : String(input);
  }

  clone() {
    return new Request(this.url, { method: this.method, headers: this.headers, body: this.copyForClone() });
  }
}

export class Response extends Body {
  constructor(body = null, { status = 200, statusText = "", headers } = {}) {
    if (!(status >= 200 && status <= 599)) throw new RangeError(`${status} is no status of a response: it is 200 to 599`);
    if (body !== null && NO_BODY.has(status)) throw new TypeError(`a response of status ${status} cannot have a body`);
    super(body, headers);
    this.status = Number(status);
    this.statusText = statusText;
    this.ok = status < 300;
  }

  static json(value, init = {}) {
    const headers = new Headers(init.headers);
    if (!headers.has("content-type")) headers.set("content-type", "application/json");
    return new Response(JSON.stringify(value), { ...init, headers });
  }

  static redirect(url, status = 302) {
    return new Response(null, { status, headers: { location: String(url) } });
  }

  clone() {
    const { status, statusText, headers } = this;
    return new Response(this.copyForClone(), { status, statusText, headers });
  }
}
