// URLs of the kind scheme://host/path?query#fragment, which are all that requests have.

import { TextDecoder, encode } from "./encoding.js";

const WHOLE = /^([a-z][a-z0-9+.-]*):\/\/(?:([^/?#@]*)@)?(\[[0-9a-f:.]+\]|[^/?#:@[\]\s]+)(?::(\d*))?([^?#]*)(\?[^#]*)?(#.*)?$/i;
// What has to be escaped where.
const IN_PATH = /[^!-~]+|["<>`{}]/g;
const IN_QUERY = /[^!-~]+|["<>']/g;
const IN_FRAGMENT = /[^!-~]+|["<>`]/g;
const PORTS = { "http:": "80", "https:": "443" };

export class URLSearchParams {
  #pairs = [];
  changed = () => {};

  constructor(init = "") {
    if (typeof init === "object" && init !== null) {
      const entries = typeof init[Symbol.iterator] === "function" ? init : Object.entries(init);
      for (const [name, value] of entries) this.#pairs.push([String(name), String(value)]);
      return;
    }
    for (const part of String(init).replace(/^\?/, "").split("&")) {
      if (part === "") continue;
      const [name, ...value] = part.split("=");
      this.#pairs.push([decoded(name), decoded(value.join("="))]);
    }
  }

  get size() {
    return this.#pairs.length;
  }

  get(name) {
    return this.#pairs.find(([key]) => key === name)?.[1] ?? null;
  }

  getAll(name) {
    return this.#pairs.filter(([key]) => key === name).map(([, value]) => value);
  }

  has(name) {
    return this.#pairs.some(([key]) => key === name);
  }

  append(name, value) {
    this.#pairs.push([String(name), String(value)]);
    this.changed();
  }

  set(name, value) {
    const first = this.#pairs.findIndex(([key]) => key === name);
    if (first === -1) return this.append(name, value);
    this.#pairs[first][1] = String(value);
    this.#pairs = this.#pairs.filter(([key], at) => key !== name || at === first);
    this.changed();
  }

  delete(name) {
    this.#pairs = this.#pairs.filter(([key]) => key !== name);
    this.changed();
  }

  sort() {
    this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    this.changed();
  }

  forEach(callback, self) {
    for (const [name, value] of this.#pairs) callback.call(self, value, name, this);
  }

  *entries() {
    for (const [name, value] of this.#pairs) yield [name, value];
  }

  *keys() {
    for (const [name] of this.#pairs) yield name;
  }

  *values() {
    for (const [, value] of this.#pairs) yield value;
  }

  [Symbol.iterator]() {
    return this.entries();
  }

  toString() {
    return this.#pairs.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join("&");
  }
}

export class URL {
  hash = "";
  username = "";
  password = "";

  constructor(url, base) {
    const given = String(url).trim();
    const parts = WHOLE.exec(given) ?? WHOLE.exec(base === undefined ? "" : resolved(given, new URL(base)));
    if (!parts) throw new TypeError(`Invalid URL: ${given}`);
    const [, scheme, user = "", host, port = "", path, search = "", hash = ""] = parts;
    this.protocol = `${scheme.toLowerCase()}:`;
    [this.username, this.password = ""] = user.split(":");
    this.hostname = host.toLowerCase();
    this.port = port === PORTS[this.protocol] ? "" : port;
    this.pathname = withoutDots(escaped(path, IN_PATH));
    this.search = escaped(search, IN_QUERY);
    this.hash = hash === "#" ? "" : escaped(hash, IN_FRAGMENT);
  }

  static canParse(url, base) {
    try {
      return Boolean(new URL(url, base));
    } catch {
      return false;
    }
  }

  #search = "";
  #params;

  get search() {
    return this.#search;
  }

  set search(search) {
    this.#search = search === "" || search === "?" ? "" : `?${String(search).replace(/^\?/, "")}`;
    this.#params = undefined;
  }

  get searchParams() {
    if (!this.#params) {
      this.#params = new URLSearchParams(this.#search);
      this.#params.changed = () => (this.#search = this.#params.size > 0 ? `?${this.#params}` : "");
    }
    return this.#params;
  }

  get host() {
    return this.port === "" ? this.hostname : `${this.hostname}:${this.port}`;
  }

  get origin() {
    return `${this.protocol}//${this.host}`;
  }

  get href() {
    const password = this.password === "" ? "" : `:${this.password}`;
    const user = this.username === "" && password === "" ? "" : `${this.username}${password}@`;
    return `${this.protocol}//${user}${this.host}${this.pathname}${this.search}${this.hash}`;
  }

  toString() {
    return this.href;
  }

  toJSON() {
    return this.href;
  }
}

function resolved(reference, base) {
  if (reference.startsWith("//")) return base.protocol + reference;
  if (reference.startsWith("/")) return base.origin + reference;
  if (reference === "") return base.origin + base.pathname + base.search;
  if (reference.startsWith("?")) return base.origin + base.pathname + reference;
  if (reference.startsWith("#")) return base.origin + base.pathname + base.search + reference;
  return base.origin + base.pathname.replace(/[^/]*$/, "") + reference;
}

function withoutDots(path) {
  const kept = [];
  const parts = path.split("/").slice(1);
  parts.forEach((part, at) => {
    const last = at === parts.length - 1;
    const plain = part.replace(/%2e/gi, ".");
    if (plain === "..") kept.pop();
    else if (plain !== ".") kept.push(part);
    if (last && (plain === "." || plain === "..")) kept.push("");
  });
  return `/${kept.join("/")}`;
}

const escaped = (part, characters) => part.replace(characters, (found) => `%${hex(found)}`);
const hex = (text) => Array.from(encode(text), (byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join("%");
const encoded = (text) =>
  encodeURIComponent(text.toWellFormed()).replace(/%20/g, "+").replace(/[!'()~]/g, (c) => `%${hex(c)}`);

function decoded(text) {
  const spaced = text.replaceAll("+", " ");
  try {
    return decodeURIComponent(spaced);
  } catch {
    // Bad escapes stay as they are.
    return spaced.replace(/(%[0-9a-f]{2})+/gi, (bytes) => {
      const values = bytes.slice(1).split("%").map((hex) => parseInt(hex, 16));
      return new TextDecoder().decode(Uint8Array.from(values));
    });
  }
}
