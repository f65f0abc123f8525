// UTF-8 by hand: encodeURIComponent and decodeURIComponent would do, at many times the cost.

export function encode(string) {
  const bytes = new Uint8Array(string.length * 3);
  let at = 0;
  for (let i = 0; i < string.length; i++) {
    let code = string.charCodeAt(i);
    if (code < 0x80) {
      bytes[at++] = code;
      continue;
    }
    if (code >= 0xd800 && code <= 0xdfff) {
      code = string.codePointAt(i);
      if (code > 0xffff) i++;
      else code = 0xfffd; // half of a pair
    }
    if (code < 0x800) {
      bytes[at++] = 0xc0 | (code >> 6);
    } else {
      if (code < 0x10000) {
        bytes[at++] = 0xe0 | (code >> 12);
      } else {
        bytes[at++] = 0xf0 | (code >> 18);
        bytes[at++] = 0x80 | ((code >> 12) & 63);
      }
      bytes[at++] = 0x80 | ((code >> 6) & 63);
    }
    bytes[at++] = 0x80 | (code & 63);
  }
  return bytes.slice(0, at);
}

export class TextEncoder {
  encoding = "utf-8";

  encode(string = "") {
    return encode(String(string));
  }
}

// For each kind of first byte: how many bytes follow, the bits that it has, and the second byte's least and greatest.
function kind(byte) {
  if (byte >= 0xc2 && byte <= 0xdf) return [1, byte & 31, 0x80, 0xbf];
  if (byte >= 0xe0 && byte <= 0xef) return [2, byte & 15, byte === 0xe0 ? 0xa0 : 0x80, byte === 0xed ? 0x9f : 0xbf];
  if (byte >= 0xf0 && byte <= 0xf4) return [3, byte & 7, byte === 0xf0 ? 0x90 : 0x80, byte === 0xf4 ? 0x8f : 0xbf];
  return [0];
}

export class TextDecoder {
  encoding = "utf-8";
  #rest = new Uint8Array(0);

  constructor(label = "utf-8", { fatal = false } = {}) {
    if (!/^utf-?8$/i.test(label)) throw new RangeError(`TextDecoder knows only utf-8, not ${label}`);
    this.fatal = fatal;
  }

  decode(input = new Uint8Array(0), { stream = false } = {}) {
    const given = ArrayBuffer.isView(input) ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength) : new Uint8Array(input);
    const bytes = this.#rest.length === 0 ? given : joined([this.#rest, given]);
    this.#rest = new Uint8Array(0);
    const codes = [];
    let string = "";
    for (let at = 0; at < bytes.length; ) {
      if (codes.length > 4096) string += String.fromCodePoint(...codes.splice(0));
      const first = bytes[at++];
      if (first < 0x80) {
        codes.push(first);
        continue;
      }
      const begin = at - 1;
      let [more, code, least, greatest] = kind(first);
      let left = more;
      while (left > 0 && at < bytes.length && bytes[at] >= least && bytes[at] <= greatest) {
        code = (code << 6) | (bytes[at++] & 63);
        [least, greatest] = [0x80, 0xbf];
        left--;
      }
      if (left > 0 && at === bytes.length && stream) {
        this.#rest = bytes.slice(begin);
        break;
      }
      const bad = more === 0 || left > 0;
      if (bad && this.fatal) throw new TypeError("the bytes are not UTF-8");
      codes.push(bad ? 0xfffd : code);
    }
    return string + String.fromCodePoint(...codes);
  }
}

export function joined(chunks) {
  const whole = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
