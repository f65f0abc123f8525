// Serves `export default { fetch }` as wasi:http/incoming-handler 0.2, with the fetch classes of StarlingMonkey.

import { getEnvironment } from "wasi:cli/environment@0.2.10";
import { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam } from "wasi:http/types@0.2.10";
import { describe, text } from "./errors.js";
import { checked, headersOf, headersToSend, methodOf, trailersOf, urlOf } from "./http.js";

const READ_AT_ONCE = 65536n;

let environment;
// Not before a request or startup: what runs earlier does so while the component is built.
const env = () => (environment ??= Object.fromEntries(getEnvironment()));

export function incomingHandlerOf(app) {
  checked(app);
  return { handle: (incoming, outparam) => handle(app, incoming, outparam) };
}

async function handle(app, incoming, outparam) {
  const body = new IncomingBody(incoming);
  let response;
  try {
    response = await app.fetch(requestOf(incoming, body), env());
    if (!(response instanceof Response)) throw new TypeError(`fetch gave ${text(response)} instead of a Response`);
  } catch (error) {
    console.error(describe(error));
    response = new Response("Internal Server Error\n", { status: 500, headers: { "content-type": "text/plain" } });
  }
  try {
    await send(response, outparam);
  } catch (error) {
    console.error(describe(error));
  } finally {
    // Not left to the collector: it takes its time, and the server limits how much an instance holds.
    body.close();
    incoming[Symbol.dispose]();
  }
}

export const lifespanOf = (app) => ({
  startup: () => hook(app, "startup"),
  shutdown: () => hook(app, "shutdown"),
});

// WASI wants what went wrong as a string.
async function hook(app, name) {
  try {
    await app[name]?.(env());
  } catch (error) {
    console.error(describe(error));
    if (name === "startup") throw text(error);
  }
}

function requestOf(incoming, body) {
  const method = methodOf(incoming);
  const fields = incoming.headers();
  const init = { method, headers: headersOf(fields.entries()) };
  fields[Symbol.dispose]();
  if (method !== "GET" && method !== "HEAD") {
    init.body = body.stream();
    init.duplex = "half";
  }
  return new Request(urlOf(incoming.scheme(), incoming.authority(), incoming.pathWithQuery()), init);
}

// The request's body, read only when and as far as the app asks for it.
class IncomingBody {
  constructor(incoming) {
    this.incoming = incoming;
  }

  stream() {
    return new ReadableStream({ pull: (controller) => this.pull(controller), cancel: () => this.close() }, { highWaterMark: 0 });
  }

  pull(controller) {
    if (this.closed) throw new TypeError("the request has ended: its body can no longer be read");
    this.body ??= this.incoming.consume();
    this.input ??= this.body.stream();
    try {
      controller.enqueue(this.input.blockingRead(READ_AT_ONCE));
    } catch (error) {
      this.close();
      const { tag, val } = failure(error);
      if (tag !== "closed") throw new TypeError(`the request's body broke off: ${val?.toDebugString?.() ?? text(error)}`);
      controller.close();
    }
  }

  close() {
    this.closed = true;
    this.input?.[Symbol.dispose]();
    this.body?.[Symbol.dispose]();
    this.input = this.body = undefined;
  }
}

async function send(response, outparam) {
  const headers = Fields.fromList(headersToSend(response));
  const outgoing = new OutgoingResponse(headers);
  outgoing.setStatusCode(response.status);
  const body = outgoing.body();
  ResponseOutparam.set(outparam, { tag: "ok", val: outgoing });
  // Also for HEAD: the server leaves the body out, and WASI compares it with the content-length.
  if (response.body !== null && !(await copy(response.body, body))) return body[Symbol.dispose]();
  const trailers = await trailersOf(response);
  OutgoingBody.finish(body, trailers && Fields.fromList(trailers));
}

// False if the client has gone, or the app's stream failed: unfinished, the response is cut off.
async function copy(from, body) {
  const reader = from.getReader();
  const output = body.write();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return true;
      // Not instanceof: what WASI gives is of another realm.
      if (!ArrayBuffer.isView(value)) throw new TypeError(`a body is made of Uint8Array, not of ${text(value)}`);
      if (!write(output, value)) {
        reader.cancel("the client has gone").catch((error) => console.error(describe(error)));
        return false;
      }
    }
  } catch (error) {
    console.error(describe(error));
    return false;
  } finally {
    output[Symbol.dispose]();
  }
}

function write(output, bytes) {
  try {
    for (let at = 0; at < bytes.length; ) {
      const room = Number(output.checkWrite());
      if (room === 0) {
        const ready = output.subscribe();
        ready.block();
        ready[Symbol.dispose]();
        continue;
      }
      output.write(bytes.subarray(at, at + room));
      at += room;
    }
    output.flush();
    return true;
  } catch (error) {
    if (!failure(error).tag) throw error;
    return false;
  }
}

const failure = (error) => error?.payload ?? error ?? {};
