// What the fetch convention needs and QuickJS lacks. Small, not complete: see README.md.

import { console } from "./console.js";
import { crypto } from "./crypto.js";
import { TextDecoder, TextEncoder } from "./encoding.js";
import { Request, Response } from "./fetch.js";
import { Headers } from "./headers.js";
import { ReadableStream } from "./streams.js";
import { clearInterval, clearTimeout, setInterval, setTimeout } from "./timers.js";
import { TransformStream, WritableStream } from "./transform.js";
import { URL, URLSearchParams } from "./url.js";

Object.assign(globalThis, {
  console, crypto, TextDecoder, TextEncoder, Request, Response, Headers, ReadableStream,
  TransformStream, WritableStream, clearInterval, clearTimeout, setInterval, setTimeout, URL, URLSearchParams,
});
