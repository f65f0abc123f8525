const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[^\0\r\n\u0100-\uffff]*$/;

export class Headers {
  #values = new Map(); // by name in lower case: a list

  constructor(init) {
    if (init === undefined || init === null) return;
    const entries = typeof init[Symbol.iterator] === "function" ? init : Object.entries(init);
    for (const [name, value] of entries) this.append(name, value);
  }

  append(name, value) {
    const checked = valid(name, value);
    const values = this.#values.get(checked.name);
    if (values) values.push(checked.value);
    else this.#values.set(checked.name, [checked.value]);
  }

  set(name, value) {
    const checked = valid(name, value);
    this.#values.set(checked.name, [checked.value]);
  }

  get(name) {
    return this.#values.get(String(name).toLowerCase())?.join(", ") ?? null;
  }

  getSetCookie() {
    return [...(this.#values.get("set-cookie") ?? [])];
  }

  has(name) {
    return this.#values.has(String(name).toLowerCase());
  }

  delete(name) {
    this.#values.delete(String(name).toLowerCase());
  }

  forEach(callback, self) {
    for (const [name, value] of this) callback.call(self, value, name, this);
  }

  *entries() {
    for (const name of [...this.#values.keys()].sort()) {
      if (name !== "set-cookie") yield [name, this.get(name)];
      else for (const value of this.getSetCookie()) yield [name, value];
    }
  }

  *keys() {
    for (const [name] of this) yield name;
  }

  *values() {
    for (const [, value] of this) yield value;
  }

  [Symbol.iterator]() {
    return this.entries();
  }
}

function valid(name, value) {
  const trimmed = String(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
  if (!NAME.test(name)) throw new TypeError(`${JSON.stringify(String(name))} is no name of a header`);
  if (!VALUE.test(trimmed)) throw new TypeError(`the header ${name} cannot have the value ${JSON.stringify(trimmed)}`);
  return { name: String(name).toLowerCase(), value: trimmed };
}
