// What both generations need to turn WASI's requests into those of the fetch convention, and back.

// Called while the component is built: better then than at the first request.
export function checked(app) {
  if (typeof app?.fetch === "function") return app;
  throw new TypeError("what the app exports has no function `fetch`: it is to be `export default { fetch(request) { … } }`");
}

// These belong to a connection, which is the server's: WASI refuses them.
const HOP_BY_HOP = new Set([
  "connection", "host", "http2-settings", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade",
]);

// Values of headers are bytes; the fetch convention has them as strings with a character for each byte.
const bytesOf = (value) => Uint8Array.from(value, (character) => character.charCodeAt(0));
const stringOf = (bytes) => {
  let string = "";
  for (const byte of bytes) string += String.fromCharCode(byte);
  return string;
};

export function headersOf(entries) {
  const headers = new Headers();
  for (const [name, value] of entries) headers.append(name, stringOf(value));
  return headers;
}

export function headersToSend(response) {
  // WASI refuses a content-length that the body does not have (an answer to HEAD), and HTTP/1.1 one with trailers.
  const length = response.body !== null && !response.trailers;
  return [...response.headers]
    .filter(([name]) => !HOP_BY_HOP.has(name) && (name !== "content-length" || length))
    .map(([name, value]) => [name, bytesOf(value)]);
}

export function urlOf(scheme, authority, path) {
  const name = scheme?.tag === "HTTPS" || scheme?.tag === "https" ? "https" : "http";
  return `${name}://${authority || "localhost"}${path || "/"}`;
}

export const methodName = ({ tag, val }) => (tag === "other" ? val : tag.toUpperCase());
export const methodOf = (incoming) => methodName(incoming.method());

// The fetch convention has no trailers: an app sets `response.trailers` to a function that gives them after the body.
export async function trailersOf(response) {
  if (!response.trailers) return undefined;
  const trailers = new Headers(await response.trailers());
  return [...trailers].map(([name, value]) => [name, bytesOf(value)]);
}
