// The JavaScript tenant: it keeps the lines that are posted to it, in the memory of its instance.
const lines = [];

export default {
  async fetch(request, env) {
    if (request.method === "POST") lines.push(await request.text());
    return Response.json({ owner: env.OWNER, lines });
  },
};
