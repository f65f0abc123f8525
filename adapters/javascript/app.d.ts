// What an app exports: `export default { … } satisfies App`.

export type Environment = Record<string, string>;

export interface App {
  /** Answers a request. An exception is printed, and answered with a 500. */
  fetch(request: Request, env: Environment): Response | Promise<Response>;
  /** Called once in each instance, before its first request. An exception stops the server from starting. */
  startup?(env: Environment): void | Promise<void>;
  /** Called once in each instance, after its last request. */
  shutdown?(env: Environment): void | Promise<void>;
}

declare global {
  interface Response {
    /** Not part of the fetch convention: if an app sets it, gives the trailers once the body has been sent. */
    trailers?: () => HeadersInit | Promise<HeadersInit>;
  }
}
