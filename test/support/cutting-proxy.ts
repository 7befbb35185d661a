/**
 * Owns a TCP proxy that cuts connections: between devices and a server, in this process. A cut destroys both sides, in
 * the middle of whatever was on its way.
 */

import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface CuttingProxy {
  readonly port: number;
  /** Sends new connections to another server from now on; null: they are cut at once. */
  target(place: number | string | null): void;
  /** Destroys connections for which `choose` says so; returns how many. */
  cut(choose: () => boolean): number;
  close(): Promise<void>;
}

/** To a port of this machine, or to a Unix socket. */
export async function startCuttingProxy(place: number | string): Promise<CuttingProxy> {
  let target: number | string | null = place;
  const pairs = new Set<{ near: Socket; far: Socket }>();
  const server = createServer((near) => {
    if (target === null) {
      near.destroy();
      return;
    }
    const far = typeof target === 'string' ? connect(target) : connect(target, '127.0.0.1');
    const pair = { near, far };
    pairs.add(pair);
    const end = (): void => {
      pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      socket.on('error', end);
      socket.on('close', end);
    }
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    target: (next) => {
      target = next;
    },
    cut(choose) {
      let count = 0;
      for (const { near, far } of pairs)
        if (choose()) {
          near.destroy();
          far.destroy();
          count++;
        }
      return count;
    },
    async close() {
      for (const { near, far } of pairs) {
        near.destroy();
        far.destroy();
      }
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
