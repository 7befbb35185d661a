/**
 * Owns a TCP proxy that behaves like a worse network: every piece is delayed by half the round trip, and a lost segment
 * holds up all that is behind it, as TCP does, until it has been sent again. Order is kept. It stands in for a delaying
 * network device, which only root may set up; what it does not copy is congestion control.
 */

import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

import type { RunScope } from '#bench/support/run-scope.ts';

export interface LinkQuality {
  readonly roundTripMs: number;
  /** Share of segments, 0 to 1. */
  readonly loss: number;
}

const SEGMENT_BYTES = 1448;
/** A lost segment is noticed by three duplicate acknowledgements, a round trip later at the earliest (RFC 5681). */
const FAST_RETRANSMIT_ROUND_TRIPS = 1;
/** A flow with nothing behind the lost segment waits for the timer: round trip plus variance, 200 ms at least on Linux. */
const RETRANSMIT_TIMEOUT_MS = 200;
/** Three segments must follow for a fast retransmit; a stream that sends every 50 ms has them in this time. */
const DUPLICATES_WITHIN_MS = 150;

/** Returns the port; the scope closes it. `random` gives numbers in [0, 1). */
export async function startSlowLink(
  scope: RunScope,
  target: { readonly port: number },
  { quality, random }: { readonly quality: LinkQuality; readonly random: () => number },
): Promise<number> {
  const sockets = new Set<Socket>();
  // Half-open: the end of one direction travels behind its data, as slowly.
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ port: target.port, host: '127.0.0.1', allowHalfOpen: true });
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => sockets.delete(socket));
      sockets.add(socket);
    }
    carry(near, far, { quality, random });
    carry(far, near, { quality, random });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scope.defer('the slow link', async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

function carry(
  from: Socket,
  to: Socket,
  { quality, random }: { readonly quality: LinkQuality; readonly random: () => number },
): void {
  // In the order of arrival, each with the moment at which it leaves; null is the end. TCP's own window bounds it.
  const queue: { readonly atMs: number; readonly bytes: Buffer | null }[] = [];
  let freeAtMs = 0;
  let isWaiting = false;

  function pass(): void {
    isWaiting = false;
    for (let next = queue[0]; next !== undefined && next.atMs <= performance.now(); next = queue[0]) {
      queue.shift();
      if (next.bytes === null) to.end();
      else if (to.writable) to.write(next.bytes);
    }
    const next = queue[0];
    if (next === undefined) return;
    isWaiting = true;
    setTimeout(pass, Math.max(1, next.atMs - performance.now()));
  }

  function delay(bytes: Buffer | null): void {
    const nowMs = performance.now();
    let arrivesMs = nowMs + quality.roundTripMs / 2;
    for (let at = 0; bytes !== null && at < bytes.length; at += SEGMENT_BYTES)
      if (random() < quality.loss) arrivesMs = Math.max(arrivesMs, nowMs + repairMs(quality));
    // What comes later than a lost segment waits for it.
    freeAtMs = Math.max(freeAtMs, arrivesMs);
    queue.push({ atMs: freeAtMs, bytes });
    if (!isWaiting) pass();
  }

  from.on('data', delay);
  from.on('end', () => delay(null));
  from.on('close', (hadError) => hadError && to.destroy());
}

/** From sending a lost segment to its arrival. */
function repairMs({ roundTripMs }: LinkQuality): number {
  const fast = DUPLICATES_WITHIN_MS + roundTripMs * FAST_RETRANSMIT_ROUND_TRIPS;
  return Math.min(fast, RETRANSMIT_TIMEOUT_MS + roundTripMs) + roundTripMs / 2;
}
