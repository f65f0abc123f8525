import { getRandomBytes } from "wasi:random/random@0.3.0";

export const crypto = {
  getRandomValues(array) {
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(getRandomBytes(array.byteLength));
    return array;
  },

  randomUUID() {
    const bytes = getRandomBytes(16);
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  },
};

// QuickJS has its seed from when the component was built: every instance would give the same numbers. This is sfc32.
let state;

Math.random = () => {
  state ??= new Uint32Array(getRandomBytes(16).slice().buffer);
  return (next() * 2 ** 21 + (next() >>> 11)) / 2 ** 53;
};

function next() {
  const [a, b, c, counter] = state;
  const result = (a + b + counter) >>> 0;
  state.set([b ^ (b >>> 9), c + (c << 3), ((c << 21) | (c >>> 11)) + result, counter + 1]);
  return result;
}
