// Serves `export default { fetch }` as wasi:http/handler 0.3, with the fetch classes of quickjs/.

import { getEnvironment } from "wasi:cli/environment@0.3.0";
import { Fields, Request as WasiRequest, Response as WasiResponse } from "wasi:http/types@0.3.0";
import { describe, text } from "./errors.js";
import { checked, headersOf, headersToSend, methodName, trailersOf, urlOf } from "./http.js";

let environment;
// Not before a request or startup: what runs earlier does so while the component is built.
const env = () => (environment ??= Object.fromEntries(getEnvironment()));

export function handlerOf(app) {
  checked(app);
  return { handle: (incoming) => handle(app, incoming) };
}

async function handle(app, incoming) {
  const body = new IncomingBody();
  try {
    const response = await app.fetch(requestOf(incoming, body), env());
    if (!(response instanceof Response)) throw new TypeError(`fetch gave ${text(response)} instead of a Response`);
    return outgoing(response, body);
  } catch (error) {
    console.error(describe(error));
    const headers = { "content-type": "text/plain" };
    return outgoing(new Response("Internal Server Error\n", { status: 500, headers }), body);
  }
}

export const lifespanAsyncOf = (app) => ({
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
  const method = methodName(incoming.getMethod());
  const url = urlOf(incoming.getScheme(), incoming.getAuthority(), incoming.getPathWithQuery());
  const fields = incoming.getHeaders();
  const headers = headersOf(fields.copyAll());
  fields[Symbol.dispose]();
  body.take(incoming);
  if (method !== "GET" && method !== "HEAD") return new Request(url, { method, headers, body: body.stream() });
  body.close();
  return new Request(url, { method, headers });
}

// The request's body, read only when and as far as the app asks for it.
class IncomingBody {
  take(incoming) {
    [this.body, this.trailers] = WasiRequest.consumeBody(incoming, Promise.resolve({ tag: "ok", val: undefined }));
  }

  stream() {
    return new ReadableStream({ pull: (controller) => this.pull(controller), cancel: () => this.close() });
  }

  async pull(controller) {
    if (!this.body) throw new TypeError("the request has ended: its body can no longer be read");
    const reading = this.body.next();
    this.reading = reading;
    const { done, value } = await reading;
    this.reading = undefined;
    if (!done) return controller.enqueue(value);
    this.body = undefined; // it has dropped itself
    // Only the trailers tell whether this was the end, or the client has gone.
    const end = await this.trailers.read();
    this.trailers.drop();
    if (end.tag === "err") throw new TypeError(`the request's body broke off: ${text(end.val)}`);
    end.val?.[Symbol.dispose]();
    controller.close();
  }

  // Left to the collector, an unread body would keep the connection waiting.
  close() {
    if (this.reading) return;
    this.body?.drop();
    if (this.body) this.trailers.drop();
    this.body = undefined;
  }
}

function outgoing(response, incoming) {
  const content = response.takeContent();
  const whole = content instanceof Uint8Array;
  if (whole) response.headers.set("content-length", content.length);
  const headers = Fields.fromList(headersToSend(response));
  let body = whole ? [content] : null;
  let end;
  if (content !== null && !whole) {
    end = new Promise((ended) => (body = chunks(content, ended)));
  }
  const trailers = Promise.resolve(end).then((error) => {
    incoming.close();
    return error ? failed(error) : trailersAfter(response);
  });
  const [answer, sent] = WasiResponse.new(headers, body, trailers);
  sent.drop();
  answer.setStatusCode(response.status);
  return answer;
}

async function* chunks(content, ended) {
  try {
    for await (const chunk of content) {
      if (!ArrayBuffer.isView(chunk)) throw new TypeError(`a body is made of Uint8Array, not of ${text(chunk)}`);
      yield chunk;
    }
  } catch (error) {
    console.error(describe(error));
    ended(error);
  } finally {
    ended(); // also if the client has gone, which ends the generator early
  }
}

// Instead of trailers, an error: the server cuts the response off.
const failed = (error) => ({ tag: "err", val: { tag: "internal-error", val: text(error) } });

async function trailersAfter(response) {
  try {
    const trailers = await trailersOf(response);
    return { tag: "ok", val: trailers && Fields.fromList(trailers) };
  } catch (error) {
    console.error(describe(error));
    return failed(error);
  }
}
