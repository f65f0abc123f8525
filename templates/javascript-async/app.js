let count = 0;

export default {
  fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/") return new Response("Hello, world!\n");
    if (pathname === "/count") return new Response(`${++count}\n`);
    return new Response("not found\n", { status: 404 });
  },

  // Once in each instance, before its first request and after its last.
  startup() {
    console.log("{{name}}: startup");
  },

  shutdown() {
    console.log(`{{name}}: shutdown after ${count} counted requests`);
  },
};
