// Runs the browser tests against a server of their own, at / and under a path.
//
//   node run.mjs [program]     the program is target/debug/steadfast if none is named

import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const program = process.argv[2] ?? fileURLToPath(new URL("../../target/debug/steadfast", import.meta.url));
const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";

for (const [file, advice] of [
  [program, "build it: cargo build -p steadfast-cli"],
  [chromium, "install it (apt-get install chromium), or name it in CHROMIUM"],
  [`${here}node_modules`, `run npm ci in ${here}`],
]) {
  if (!existsSync(file)) {
    console.error(`${file} is missing: ${advice}`);
    process.exit(2);
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

async function healthy(url, server) {
  for (;;) {
    if (server.exitCode !== null) throw new Error(`the server ended with ${server.exitCode}`);
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function runUnder(publicPath) {
  const [grpc, pages] = [await freePort(), await freePort()];
  const flags = ["server", "start-dev", "--ip", "127.0.0.1", "--port", grpc, "--ui-ip", "127.0.0.1", "--ui-port", pages];
  if (publicPath !== "") flags.push("--ui-public-path", publicPath);
  const server = spawn(program, flags.map(String), { stdio: ["ignore", "ignore", "inherit"] });
  try {
    const ui = `http://127.0.0.1:${pages}${publicPath}`;
    await healthy(`${ui}/healthz`, server);
    console.log(`# the pages at ${publicPath || "/"}`);
    const tests = readdirSync(here).filter((name) => name.endsWith(".test.mjs"));
    const run = spawn(process.execPath, ["--test", "--test-concurrency=1", ...tests], {
      cwd: here,
      stdio: "inherit",
      env: { ...process.env, STEADFAST_UI: ui, STEADFAST_SERVER: `127.0.0.1:${grpc}` },
    });
    const [code] = await once(run, "exit");
    return code ?? 1;
  } finally {
    server.kill("SIGTERM");
    if (server.exitCode === null) await once(server, "exit");
  }
}

process.exitCode = (await runUnder("")) || (await runUnder("/x/y"));
