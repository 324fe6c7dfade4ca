/** Starts and kills the built server, and waits for conditions. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const BINARY =
  process.env.STEADFAST_BIN ?? fileURLToPath(new URL('../../../target/debug/steadfast', import.meta.url));

/** One server process on a port that was free, with a database file that outlives it. */
export class Server {
  readonly #file = join(mkdtempSync(join(tmpdir(), 'steadfast-')), 'steadfast.db');
  #process: ChildProcess | undefined;
  #port = 0;

  static async start(): Promise<Server> {
    const server = new Server();
    server.#port = await freePort();
    await server.start();
    return server;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Returns when it takes connections. */
  async start(): Promise<void> {
    const flags = ['--headless', '--ip', '127.0.0.1', '--port', `${this.#port}`, '--db-filename', this.#file];
    const child = spawn(BINARY, ['server', 'start-dev', ...flags], { stdio: ['ignore', 'ignore', 'inherit'] });
    this.#process = child;
    await eventually('the server listens', async () => {
      if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`);
      return listens(this.#port);
    });
  }

  /** `kill -9`: it can neither write nor say goodbye. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  }
}

async function freePort(): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  listener.close();
  await once(listener, 'close');
  return port;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => (socket.destroy(), resolve(true)));
    socket.on('error', () => resolve(false));
  });
}

/** Looks until there is something to see. */
export async function eventually<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> {
  for (const until = Date.now() + 30_000; Date.now() < until; await pause(20)) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
  }
  throw new Error(`not within 30 s: ${what}`);
}
