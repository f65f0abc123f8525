// Makes a component of an app: node adapter/build.mjs app.js --sync|--async -o app.wasm
//
// esbuild puts the app, its packages and the adapter into one file; componentize-js (0.2, StarlingMonkey) or
// componentize-qjs (0.3, QuickJS) makes a component of that.

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

import { located } from "./errors.js";

const adapter = dirname(realpathSync(fileURLToPath(import.meta.url)));
const project = process.cwd();

class Problem extends Error {}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { sync: { type: "boolean" }, async: { type: "boolean" }, output: { type: "string", short: "o" } },
});
const work = mkdtempSync(join(tmpdir(), "wasmserve-"));
try {
  if (positionals.length !== 1 || !values.output || Boolean(values.sync) === Boolean(values.async)) {
    throw new Problem("usage: node adapter/build.mjs app.js --sync|--async -o app.wasm");
  }
  if (!existsSync("node_modules")) throw new Problem("there is no folder node_modules here: run `npm install` first");
  const bundle = await bundled(positionals[0], values.sync ? "sync" : "async");
  await (values.sync ? starlingMonkey : quickJs)(bundle, resolve(values.output));
  console.log(`made ${values.output}`);
} catch (error) {
  if (!(error instanceof Problem)) throw error;
  if (error.message) console.error(error.message);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}

async function bundled(app, generation) {
  const { build } = createRequire(join(project, "package.json"))("esbuild");
  const names = { sync: ["incomingHandler", "lifespan"], async: ["handler", "lifespanAsync"] }[generation];
  const entry = [
    // First, so that an app finds the classes of the fetch convention where the engine lacks them.
    `import ${JSON.stringify(join(adapter, generation === "sync" ? "starlingmonkey.js" : "quickjs/globals.js"))};`,
    `import app from ${JSON.stringify(resolve(app))};`,
    `import { ${names.map((name) => `${name}Of`).join(", ")} } from ${JSON.stringify(join(adapter, `${generation}.js`))};`,
    ...names.map((name) => `export const ${name} = ${name}Of(app);`),
  ].join("\n");
  const file = join(work, "wasmserve-bundle.js");
  const { outputFiles } = await build({
    stdin: { contents: entry, resolveDir: project, sourcefile: "wasmserve-entry.js" },
    bundle: true,
    format: "esm",
    target: "es2022",
    conditions: ["worker"],
    external: ["wasi:*"],
    sourcemap: "external",
    sourcesContent: false,
    outfile: file,
    write: false,
    logLevel: "warning",
  }).catch(() => {
    throw new Problem(); // esbuild has said why
  });
  const [map, code] = ["map", "js"].map((ending) => outputFiles.find(({ path }) => path.endsWith(ending)).text);
  const { sources, mappings } = JSON.parse(map);
  // For exceptions, here while the component is made and in the component itself.
  globalThis.wasmserveSourceMap = { sources: sources.map((source) => relative(project, resolve(work, source))), mappings };
  writeFileSync(file, `${code}\nglobalThis.wasmserveSourceMap = ${JSON.stringify(globalThis.wasmserveSourceMap)};\n`);
  return file;
}

async function starlingMonkey(bundle, output) {
  const tool = join(project, "node_modules/@bytecodealliance/componentize-js");
  const [{ componentize }, { splicer }] = await Promise.all(
    ["src/componentize.js", "lib/spidermonkey-embedding-splicer.js"].map((file) => import(pathToFileURL(join(tool, file)))),
  );
  // What write copies into the component's memory is freed only when the request has ended: a large response would
  // need as much memory as it is long. Here each copy is freed once it is written.
  const { spliceBindings } = splicer;
  splicer.spliceBindings = (...args) => {
    const spliced = spliceBindings(...args);
    const write = /ret = \$import_wasi_io_streams_\w+\$outputStream\$method\$write\(handle\d+, (ptr\d+), (len\d+)\);/;
    if (!write.test(spliced.jsBindings)) throw new Problem("this componentize-js is not the one that adapter/build.mjs knows: install 0.23.0");
    return { ...spliced, jsBindings: spliced.jsBindings.replace(write, "$&\nif ($2 !== 0) $$dealloc($1, $2, 1);") };
  };
  const options = { sourcePath: bundle, witPath: resolve("wit"), worldName: "sync-app-with-lifespan" };
  const { component } = await componentize(options).catch((error) => {
    throw new Problem(`componentize-js failed: ${located(error.message)}`);
  });
  writeFileSync(output, component);
}

function quickJs(bundle, output) {
  // QuickJS cannot import wasi:http/client, as the world of the package does: it gets one of its own.
  cpSync("wit", join(work, "wit"), { recursive: true, dereference: true });
  cpSync(join(adapter, "quickjs/world.wit"), join(work, "wit/quickjs.wit"));
  const options = ["--wit", join(work, "wit"), "--world", "quickjs", "--module-root", work];
  const tool = join(project, "node_modules/componentize-qjs/cli.mjs");
  const args = [tool, ...options, "--js", bundle, "--output", output];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (status !== 0) throw new Problem(`componentize-qjs failed: ${located(stderr)}`);
}
