/**
 * Owns an address that stays while the database behind it changes: a TCP proxy in this process to the unix socket of a
 * PostgreSQL, as a virtual address or a pooler stands before a cluster that fails over.
 */

import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface DatabaseAddress {
  /** The same database, role and password, by way of this address. */
  urlOf(url: string): string;
  /** New connections go to the PostgreSQL with this socket directory; those that are open break. */
  moveTo(sockets: string): void;
  close(): Promise<void>;
}

export async function openDatabaseAddress(sockets: string): Promise<DatabaseAddress> {
  let target = sockets;
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(`${target}/.s.PGSQL.5432`);
    const end = (): void => {
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on('error', end);
      socket.on('close', () => {
        open.delete(socket);
        end();
      });
    }
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const breakAll = (): void => {
    for (const socket of open) socket.destroy();
  };
  return {
    urlOf(url) {
      const { username, password, pathname } = new URL(url);
      return `postgresql://${username}:${password}@127.0.0.1:${port}${pathname}`;
    },
    moveTo(place) {
      target = place;
      breakAll();
    },
    async close() {
      breakAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
