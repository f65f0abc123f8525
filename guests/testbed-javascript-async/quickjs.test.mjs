// The classes for QuickJS against those of Node.js, which are the same by specification.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as encoding from "./adapter/quickjs/encoding.js";
import * as ours from "./adapter/quickjs/fetch.js";
import { Headers as OurHeaders } from "./adapter/quickjs/headers.js";
import { ReadableStream as OurReadable } from "./adapter/quickjs/streams.js";
import { TransformStream as OurTransform } from "./adapter/quickjs/transform.js";
import { URL as OurUrl, URLSearchParams as OurParams } from "./adapter/quickjs/url.js";

const parts = ({ href, protocol, username, password, host, hostname, port, pathname, search, hash, origin }) =>
  ({ href, protocol, username, password, host, hostname, port, pathname, search, hash, origin });

test("URLs", () => {
  const urls = [
    "http://localhost", "http://LocalHost:80/a/../b/./c?x=1&y=#f", "https://u:p@example.com:8443/%7e/é?q=ü ü", "http://[::1]:8000/a//b",
    "http://a/b/..", "http://a/%2e%2e/x/.", "http://a?b", "http://a/\"<>`{}", "http://a/?\"<>", "HTTP://a:/",
    "http://a/'x'?'y'", "http://a/|^~[]", "http://a/?|^~`{}",
  ];
  for (const url of urls) assert.deepEqual(parts(new OurUrl(url)), parts(new URL(url)), url);
  const references = ["/x?y", "x", "../x", "?q", "#h", "", "//other/x", "https://b/", "./x/../y?z#w"];
  for (const reference of references) {
    assert.deepEqual(parts(new OurUrl(reference, "http://a:1/b/c?d#e")), parts(new URL(reference, "http://a:1/b/c?d#e")), reference);
  }
  for (const bad of ["", "/x", "x", "http://", "http:// a/"]) {
    assert.throws(() => new OurUrl(bad), TypeError, bad);
    assert.throws(() => new URL(bad), TypeError, bad);
  }
});

test("parameters of URLs", () => {
  for (const query of ["", "?a=1&b=2&a=3", "a=%C3%A9+x&b", "=x&&y==z", "bad=%zz%ff&%", "é=ü~!'()*-._"]) {
    const [mine, theirs] = [new OurParams(query), new URLSearchParams(query)];
    assert.deepEqual([...mine], [...theirs], query);
    assert.equal(`${mine}`, `${theirs}`, query);
  }
  const results = [OurUrl, URL].map((Url) => {
    const url = new Url("http://a/?x=1&y=2");
    url.searchParams.append("z", "a b");
    url.searchParams.set("x", "ü");
    url.searchParams.delete("y");
    return url.href;
  });
  assert.equal(results[0], results[1]);
});

test("headers", () => {
  const [mine, theirs] = [OurHeaders, Headers].map((H) => {
    const headers = new H([["B", " 1 "], ["a", "x"], ["b", "2"]]);
    headers.append("Set-Cookie", "a=1");
    headers.append("set-cookie", "b=2");
    headers.set("A", "é");
    return [[...headers], headers.get("B"), headers.get("none"), headers.getSetCookie(), headers.has("A"), [...new H(headers)]];
  });
  assert.deepEqual(mine, theirs);
  for (const [name, value] of [["", "x"], ["a b", "x"], ["a", "x\ny"], ["a", "\u0100"], ["ü", "x"]]) {
    assert.throws(() => new OurHeaders([[name, value]]), TypeError);
    assert.throws(() => new Headers([[name, value]]), TypeError);
  }
});

test("UTF-8", () => {
  const texts = ["", "plain", "é€😀", "\ud800x\udc00", "a".repeat(10000) + "😀"];
  for (const text of texts) assert.deepEqual(encoding.encode(text), new TextEncoder().encode(text));
  for (const text of texts) assert.equal(new encoding.TextDecoder().decode(new TextEncoder().encode(text)), text.toWellFormed());
  let random = 1;
  for (let round = 0; round < 20000; round++) {
    const bytes = Uint8Array.from({ length: 6 }, () => {
      random = (random * 1103515245 + 12345) % 2 ** 31;
      const kinds = [random >> 8, 0x80 | (random >> 8) & 63, 0xc0 | (random >> 8) & 63, [0xe0, 0xed, 0xf0, 0xf4, 0xf5, 0xef][random % 6]];
      return kinds[(random >> 16) % 4] & 255;
    });
    assert.equal(new encoding.TextDecoder().decode(bytes), new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes), String(bytes));
  }
  const decoder = new encoding.TextDecoder();
  const pieces = [...new TextEncoder().encode("é€😀")].map((byte) => decoder.decode(Uint8Array.of(byte), { stream: true }));
  assert.equal(pieces.join("") + decoder.decode(), "é€😀");
  assert.throws(() => new encoding.TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.of(255)), TypeError);
});

test("requests and responses", async () => {
  const [mine, theirs] = await Promise.all(
    [[ours, OurParams, OurReadable], [globalThis, URLSearchParams, ReadableStream]].map(async ([{ Request, Response }, Params, Readable]) => {
      const stream = new Readable({
        start: (controller) => controller.enqueue(new TextEncoder().encode("a")),
        async pull(controller) {
          controller.enqueue(new TextEncoder().encode("b"));
          controller.close();
        },
      });
      const request = new Request("http://a/", { method: "post", body: new Params({ a: "1 2" }) });
      const json = Response.json({ a: 1 }, { status: 201 });
      const response = new Response(stream, { status: 404, headers: { x: "y" } });
      const copy = new Response("text").clone();
      const streamed = new Response(Readable.from([new TextEncoder().encode("x"), new TextEncoder().encode("y")]));
      const twice = await Promise.all([streamed.clone().text(), streamed.text()]);
      return [
        request.method, request.url, [...request.headers], request.bodyUsed, await request.text(), request.bodyUsed,
        json.status, [...json.headers], await json.json(), response.ok, await response.text(),
        await request.text().catch((error) => error.name), await copy.text(), new Response(null).body, [...copy.headers], twice,
      ];
    }),
  );
  assert.deepEqual(mine, theirs);
  assert.throws(() => new ours.Request("http://a/", { body: "x" }), TypeError);
  assert.throws(() => new ours.Response("x", { status: 204 }), TypeError);
  assert.throws(() => new ours.Response("x", { status: 99 }), RangeError);
});

test("streams", async () => {
  const failing = new OurReadable({ pull: () => Promise.reject(new Error("broken")) });
  await assert.rejects(failing.getReader().read(), /broken/);
  let cancelled;
  const endless = new OurReadable({ pull: (controller) => controller.enqueue(1), cancel: () => (cancelled = true) });
  for await (const _ of endless) break;
  assert.equal(cancelled, true);
  const pairs = new OurTransform({ transform: (chunk, controller) => void (chunk % 2 || controller.enqueue(chunk)) });
  const read = [];
  for await (const chunk of OurReadable.from([1, 2, 3, 4]).pipeThrough(pairs)) read.push(chunk);
  assert.deepEqual(read, [2, 4]);
});
