/**
 * Owns a load balancer for tests: each new connection goes to the next server that says it is ready (/readyz), as those
 * before several instances do. Connections that are open stay where they are. Bound: what its clients open.
 */

import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface Balancer {
  readonly port: number;
  close(): Promise<void>;
}

/** How often each server is asked; a real one asks every few seconds. */
const LOOK_MS = 100;

export async function startBalancer(ports: readonly number[]): Promise<Balancer> {
  const ready = new Set<number>();
  const sockets = new Set<Socket>();
  let turn = 0;

  async function look(port: number): Promise<void> {
    const isReady = await fetch(`http://127.0.0.1:${port}/readyz`, {
      signal: AbortSignal.timeout(1_000),
    }).then(
      (response) => response.ok,
      () => false,
    );
    if (isReady) ready.add(port);
    else ready.delete(port);
  }
  await Promise.all(ports.map(look));
  const timer = setInterval(() => void Promise.all(ports.map(look)), LOOK_MS);

  const server = createServer((client) => {
    const chosen = [...ready][turn++ % Math.max(1, ready.size)];
    if (chosen === undefined) {
      client.destroy();
      return;
    }
    const upstream = connect(chosen, '127.0.0.1');
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.pipe(other);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      clearInterval(timer);
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
