// The testbed in the fetch convention. testbed-javascript-async links to this file: both engines run the same app.

let count = 0;

const plain = (body, status = 200) => new Response(body, { status, headers: { "content-type": "text/plain" } });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const routes = {
  "/": () => plain("Hello, world!"),
  "/hello": () => plain("Hello, world!"),
  "/count": () => plain(String(++count)),
  "/echo": echo,
  "/trailers": trailers,
  "/stream": stream,
  "/sleep": sleep,
  "/burn": burn,
  "/trap": trap,
  "/throw": () => outer(),
  "/env": (_url, _request, env) => Response.json(env),
  "/out": out,
  "/status": (url) => plain(url.searchParams.get("body") ?? "", number(url, "code")),
};

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const route = routes[url.pathname];
    return route ? route(url, request, env) : plain("not found", 404);
  },

  startup(env) {
    const fail = env.TESTBED_STARTUP?.match(/^fail:(.*)$/s);
    if (fail) throw new Error(fail[1]);
    console.log("testbed: startup");
  },

  shutdown() {
    console.log("testbed: shutdown");
  },
};

function echo(_url, request) {
  return new Response(request.body, { headers: { "content-type": request.headers.get("content-type") ?? "text/plain" } });
}

function trailers() {
  const response = new Response("body", { headers: { "content-type": "text/plain", trailer: "x-trailer" } });
  response.trailers = () => ({ "x-trailer": "yes" });
  return response;
}

function stream(url) {
  let left = number(url, "chunks");
  const chunk = new Uint8Array(number(url, "bytes")).fill("x".charCodeAt(0));
  const body = new ReadableStream({
    async pull(controller) {
      if (left-- <= 0) return controller.close();
      await pause(number(url, "ms"));
      controller.enqueue(chunk.slice());
    },
  });
  return plain(body);
}

async function sleep(url) {
  await pause(number(url, "ms"));
  return plain("slept");
}

function burn(url) {
  const end = Date.now() + number(url, "ms");
  while (Date.now() < end);
  return plain("burned");
}

// JavaScript has no unreachable instruction: the nearest is an exception.
function trap() {
  throw new Error("trap");
}

function outer() {
  return inner();
}

function inner() {
  throw new Error("thrown on purpose");
}

async function out(url) {
  if (typeof fetch === "undefined") return plain("componentize-qjs cannot import wasi:http/client", 501);
  try {
    const answer = await fetch(url.searchParams.get("url"));
    const text = await answer.text();
    return plain(`status ${answer.status}\n${text.slice(0, 200)}`);
  } catch (error) {
    return plain(`${error}`, 502);
  }
}

function number(url, name) {
  return Number(url.searchParams.get(name) ?? 0);
}
