import { Hono } from "hono";
import { streamText } from "hono/streaming";
import type { App, Environment } from "./adapter/app";

let started: string | undefined;
let count = 0;

const app = new Hono<{ Bindings: Environment }>();

app.get("/", (c) => c.text("Hello from Hono\n"));
app.get("/hello/:name", (c) => c.json({ hello: c.req.param("name"), loud: c.req.query("loud") === "1" }));
app.get("/about", (c) => c.json({ worker: c.env.WASMSERVE_WORKER, instance: c.env.WASMSERVE_INSTANCE, started }));

// In a variable: each instance counts for itself.
app.get("/count", (c) => c.text(`${++count}\n`));

app.post("/sum", async (c) => {
  const numbers: unknown = await c.req.json().catch(() => undefined);
  if (!Array.isArray(numbers) || !numbers.every((n) => typeof n === "number")) {
    return c.json({ error: "send a JSON list of numbers" }, 400);
  }
  return c.json({ sum: numbers.reduce((sum, n) => sum + n, 0) });
});

app.get("/stream", (c) =>
  streamText(c, async (stream) => {
    for (let line = 1; line <= 5; line++) {
      await stream.writeln(`line ${line}`);
      await stream.sleep(200);
    }
  }),
);

app.get("/fail", () => {
  throw new Error("this goes to the log");
});

// Hono answers exceptions itself: thrown on, they are printed with their stack.
app.onError((error) => {
  throw error;
});

export default {
  fetch: app.fetch,

  startup() {
    started = new Date().toISOString();
    console.log("hono: startup");
  },

  shutdown() {
    console.log(`hono: shutdown after ${count} counted requests`);
  },
} satisfies App;
