// Makes a component of an app: node adapter/build.mjs app.js --sync|--async -o app.wasm
//
// esbuild puts the app, its packages and the adapter into one file; componentize-js (0.2, StarlingMonkey) or
// componentize-qjs (0.3, QuickJS) makes a component of that.

import { spawnSync } from "node:child_process";
import { appendFileSync, cpSync, existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

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
  if (values.sync) {
    run("componentize-js", [bundle, "--wit", "wit", "--world-name", "sync-app-with-lifespan", "-o", resolve(values.output)]);
  } else {
    // QuickJS cannot import wasi:http/client, as the world of the package does: it gets one of its own.
    cpSync("wit", join(work, "wit"), { recursive: true, dereference: true });
    cpSync(join(adapter, "quickjs/world.wit"), join(work, "wit/quickjs.wit"));
    const options = ["--wit", join(work, "wit"), "--world", "quickjs", "--module-root", work, "--opt-size"];
    run("componentize-qjs", [...options, "--js", bundle, "--output", resolve(values.output)]);
  }
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
    generation === "async" ? `import ${JSON.stringify(join(adapter, "quickjs/globals.js"))};` : "",
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
  const named = sources.map((source) => relative(project, resolve(work, source)));
  writeFileSync(file, code);
  appendFileSync(file, `\nglobalThis.wasmserveSourceMap = ${JSON.stringify({ sources: named, mappings })};\n`);
  return file;
}

function run(command, args) {
  const env = { ...process.env, PATH: join(project, "node_modules/.bin") + delimiter + process.env.PATH };
  const { status, error } = spawnSync(command, args, { stdio: "inherit", env });
  if (error) throw new Problem(`${command} could not be started (${error.message}): run \`npm install\``);
  if (status !== 0) throw new Problem(`${command} failed`);
}
