// What the pages' server answers on the wire, where a browser would not let a test ask.

import assert from "node:assert/strict";
import { request } from "node:http";
import { after, test } from "node:test";
import { close, LIST, name, start, UI } from "./world.mjs";

after(close);

const base = new URL(UI);

/** As it is given: no normal form of the path, any Host. */
function ask(path, { method = "GET", headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const sent = request({ host: base.hostname, port: base.port, path, method, headers }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(parts) }));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

const path = (rest) => `${base.pathname === "/" ? "" : base.pathname}${rest}`;

test("health, and the way from / to the list", async () => {
  const health = await ask(path("/healthz"));
  assert.deepEqual([health.status, JSON.parse(health.body)], [200, { status: "OK" }]);
  const home = await ask(path("/"));
  assert.ok(home.status >= 300 && home.status < 400);
});

test("a foreign host name is refused", async () => {
  const answer = await ask(new URL(LIST).pathname, { headers: { host: "evil.example:8080" } });
  assert.equal(answer.status, 403);
});

test("a change from another origin, or as a plain form, is refused", async () => {
  const target = `${path("/ui/api/namespaces/default/workflows")}/x/y/terminate`;
  const body = '{"reason":"x"}';
  assert.equal((await ask(target, { method: "POST", body, headers: { "content-type": "text/plain" } })).status, 415);
  const foreign = { "content-type": "application/json", origin: "http://evil.example" };
  assert.equal((await ask(target, { method: "POST", body, headers: foreign })).status, 403);
});

test("the page carries its policy; its parts are kept for good; nothing else is to be had", async () => {
  await start(name("wire"), { queue: name("wire") });
  const first = await ask(new URL(LIST).pathname, { headers: { "accept-encoding": "identity" } });
  const policy = first.headers["content-security-policy"];
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.equal(first.headers["x-content-type-options"], "nosniff");
  const nonce = /'nonce-([^']+)'/.exec(policy)[1];
  assert.ok(first.body.includes(`nonce="${nonce}"`));
  const script = /src="([^"]+\.js)"/.exec(first.body)[1];
  for (const encoding of ["br", "gzip"]) {
    const asset = await ask(script, { headers: { "accept-encoding": encoding } });
    assert.equal(asset.status, 200);
    assert.equal(asset.headers["content-encoding"], encoding);
    assert.match(asset.headers["cache-control"], /immutable/);
  }
  for (const evil of ["/assets/../Cargo.toml", "/assets/..%2fCargo.toml", "/assets/%2e%2e/%2e%2e/etc/passwd", "/assets/manifest.json", "/assets/"]) {
    assert.equal((await ask(path(evil))).status, 404, evil);
  }
});

test("an unchanged page is not sent again", async () => {
  const url = `${new URL(LIST).pathname}?query=${encodeURIComponent('WorkflowId="no such workflow at all"')}`;
  const first = await ask(url);
  const again = await ask(url, { headers: { "if-none-match": first.headers.etag } });
  assert.equal(again.status, 304);
  assert.equal(again.headers["content-security-policy"], undefined);
});
