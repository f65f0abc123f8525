# The hello world of workerd.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "main", worker = (
    serviceWorkerScript = "addEventListener('fetch', event => event.respondWith(new Response('Hello, world!')))",
    compatibilityDate = "2023-02-28",
  ))],
  sockets = [(name = "http", address = "ADDRESS", http = (), service = "main")],
);
