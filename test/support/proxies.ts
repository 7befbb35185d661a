/**
 * Owns the proxies of tests: nginx and HAProxy of Debian as docs/proxies.md configures them, on a port and in a directory
 * of their own. What differs from the page is the addresses, TLS, which is left out, and the times, which are lowered.
 */

import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

import { freePort } from '#test/support/kymo-process.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';

export interface Proxy {
  /** Such as `http://127.0.0.1:8080`. */
  readonly origin: string;
  /** What it wrote to standard output and error. */
  readonly output: () => string;
  /** Ends all connections, and comes back on the same port. */
  cut(): Promise<void>;
  stop(): Promise<void>;
}

export interface ProxyOptions {
  /** Of the server behind it, on 127.0.0.1. */
  readonly upstreamPort: number;
  /** After how long it cuts a connection on which nothing is sent. */
  readonly idleMs: number;
}

const READY_MS = 10_000;

/** The code block of this language. Throws when the page has not exactly one. */
function documented(language: string): string {
  const page = readFileSync(new URL('../../docs/proxies.md', import.meta.url), 'utf8');
  const blocks = page.split(`\`\`\`${language}\n`);
  if (blocks.length !== 2) throw new Error(`docs/proxies.md has ${blocks.length - 1} blocks of ${language}`);
  return blocks[1]!.slice(0, blocks[1]!.indexOf('```'));
}

/** Replaces what must be there. */
function replaced(text: string, changes: readonly (readonly [string | RegExp, string])[]): string {
  let out = text;
  for (const [find, replacement] of changes) {
    const next = out.replace(find, () => replacement);
    if (next === out) throw new Error(`docs/proxies.md lacks ${String(find)}`);
    out = next;
  }
  return out;
}

export async function startNginx({ upstreamPort, idleMs }: ProxyOptions): Promise<Proxy> {
  const port = await freePort();
  const { path: directory, remove } = createTemporaryDirectory();
  const page = replaced(documented('nginx'), [
    ['listen 443 ssl;', `listen 127.0.0.1:${port};`],
    [/ *ssl_certificate .*\n/, ''],
    [/ *ssl_certificate_key .*\n/, ''],
    ['10.0.0.6:7900', `127.0.0.1:${upstreamPort}`],
    // Both are 60 s unless something else is said.
    ['location / {', `location / { proxy_read_timeout ${idleMs}ms; proxy_send_timeout ${idleMs}ms;`],
  ]);
  const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const config = [
    ...(process.getuid?.() === 0 ? ['user root;'] : []),
    `daemon off; worker_processes 1; pid ${directory}/pid; error_log stderr warn;`,
    'events { worker_connections 512; }',
    'http { access_log off;',
    ...folders.map((name) => `${name}_temp_path ${directory}/${name};`),
    page,
    '}',
  ];
  writeFileSync(join(directory, 'nginx.conf'), config.join('\n'));
  const args = ['-c', `${directory}/nginx.conf`, '-p', directory, '-e', 'stderr'];
  return started({ name: 'nginx', args, port, remove });
}

export async function startHaproxy({ upstreamPort, idleMs }: ProxyOptions): Promise<Proxy> {
  const port = await freePort();
  const { path: directory, remove } = createTemporaryDirectory();
  const config = replaced(documented('haproxy'), [
    [/bind :443 ssl .*\n/, `bind 127.0.0.1:${port}\n`],
    ['X-Forwarded-Proto https', 'X-Forwarded-Proto http'],
    ['10.0.0.6:7900', `127.0.0.1:${upstreamPort}`],
    [/timeout client .*\n/, `timeout client ${idleMs}ms\n`],
    [/timeout server .*\n/, `timeout server ${idleMs}ms\n`],
  ]);
  writeFileSync(join(directory, 'haproxy.cfg'), config);
  return started({ name: 'haproxy', args: ['-db', '-f', `${directory}/haproxy.cfg`], port, remove });
}

interface Program {
  readonly name: string;
  readonly args: readonly string[];
  readonly port: number;
  readonly remove: () => void;
}

async function started(program: Program): Promise<Proxy> {
  let current = await launch(program);
  const outputs: string[] = [];
  const end = async (): Promise<void> => {
    await current.end();
    outputs.push(current.output());
  };
  return {
    origin: `http://127.0.0.1:${program.port}`,
    output: () => [...outputs, current.output()].join(''),
    async cut() {
      await end();
      current = await launch(program);
    },
    async stop() {
      await end();
      program.remove();
    },
  };
}

/** Starts it, and resolves when its port is open. */
async function launch({ name, args, port, remove }: Program) {
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
  const child = spawn(name, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
  let output = '';
  let isOver = false;
  const hear = (chunk: Buffer): void => void (output += chunk.toString());
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  child.on('error', (error) => void (output += error.message));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  void ended.then(() => (isOver = true));
  const giveUpAtMs = performance.now() + READY_MS;
  while (!(await isOpen(port))) {
    if (isOver || performance.now() > giveUpAtMs) {
      child.kill('SIGKILL');
      remove();
      throw new Error(`${name} does not answer (install the package ${name}):\n${output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    output: () => output,
    async end() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      resolve(true);
      socket.destroy();
    });
    socket.once('error', () => resolve(false));
  });
}
