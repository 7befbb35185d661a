/**
 * Owns a way to PostgreSQL on which an answer can be lost: it passes everything on until a statement is asked for, lets
 * the server carry that out, and breaks the connection instead of passing the answer on.
 */

import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

import pg from 'pg';

export interface AnswerProxy {
  /** The same database, by way of the proxy. */
  readonly url: string;
  /** The next answer to this statement (a simple query) is lost. */
  loseAnswerTo(statement: string): void;
  /** The connection breaks instead of this statement, when it comes next. */
  breakBefore(statement: string): void;
  /** How many answers were lost. */
  readonly lost: number;
  close(): Promise<void>;
}

export async function startAnswerProxy(url: string): Promise<AnswerProxy> {
  const { host, port } = new pg.Client({ connectionString: url }) as unknown as {
    host: string;
    port: number;
  };
  const target = host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port };
  let awaited: Buffer | null = null;
  let feared: Buffer | null = null;
  let lost = 0;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(target as { path: string });
    let isLosing = false;
    const end = (): void => {
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', end);
      socket.on('close', () => {
        sockets.delete(socket);
        end();
      });
    }
    near.on('data', (bytes: Buffer) => {
      if (feared !== null && bytes.includes(feared)) {
        feared = null;
        end();
        return;
      }
      if (awaited !== null && bytes.includes(awaited)) {
        awaited = null;
        isLosing = true;
      }
      far.write(bytes);
    });
    far.on('data', (bytes: Buffer) => {
      if (!isLosing) {
        near.write(bytes);
        return;
      }
      lost++;
      end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const through = new URL(url);
  const { username, password, pathname } = through;
  return {
    url: `postgres://${username}:${password}@127.0.0.1:${(server.address() as AddressInfo).port}${pathname}`,
    loseAnswerTo(statement) {
      awaited = asQuery(statement);
    },
    breakBefore(statement) {
      feared = asQuery(statement);
    },
    get lost() {
      return lost;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The end of a message of the simple protocol (PostgreSQL documentation, "Message Formats", Query). */
function asQuery(statement: string): Buffer {
  return Buffer.concat([Buffer.from(statement), Buffer.from([0])]);
}
