/**
 * Owns a TCP link between one device and the servers that can be worse than any network: cut, refusing, delayed, slow,
 * standing still, or half-open, where bytes of one or both directions vanish and nobody is told. Order is kept. Bound:
 * MAX_HELD_BYTES a direction and connection; beyond it the sender waits, as TCP makes it.
 */

import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

const MAX_HELD_BYTES = 256 * 1024;

export type SilentDirection = 'up' | 'down' | 'both';

export interface BadLink {
  readonly host: string;
  readonly port: number;
  /** Leads connections from now on to another port. */
  setTarget(port: number): void;
  /** Destroys all connections, in the middle of whatever was on its way. */
  cut(): void;
  /** New connections are closed at once. */
  setRefusing(isRefusing: boolean): void;
  /** Holds every piece for so long, more or less by the half of it. */
  setDelay(delayMs: number): void;
  /** Null: as fast as it goes. */
  setRate(bytesPerSecond: number | null): void;
  /** Nothing moves and nothing is lost while it stands. */
  setStanding(isStanding: boolean): void;
  /** From now on bytes in the direction vanish on every connection that is open or opened; those stay so after `heal`. */
  silence(direction: SilentDirection): void;
  /** As good as new, but for connections that fell silent. */
  heal(): void;
  close(): Promise<void>;
}

interface Direction {
  isSilent: boolean;
  wake(): void;
  /** What was to leave later leaves now. */
  hurry(): void;
}

interface Pair {
  readonly up: Direction;
  readonly down: Direction;
  destroy(): void;
}

interface LinkState {
  target: number;
  delayMs: number;
  rate: number | null;
  isRefusing: boolean;
  isStanding: boolean;
  silent: SilentDirection | null;
  readonly random: () => number;
  readonly pairs: Set<Pair>;
}

/** `host`: where devices find it; the servers are on this machine's loopback. */
export async function openBadLink(options: {
  target: number;
  host: string;
  random: () => number;
}): Promise<BadLink> {
  const state: LinkState = {
    target: options.target,
    delayMs: 0,
    rate: null,
    isRefusing: false,
    isStanding: false,
    silent: null,
    random: options.random,
    pairs: new Set(),
  };
  const server = createServer({ allowHalfOpen: true }, (near) => {
    if (state.isRefusing) near.destroy();
    else join(state, near);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, options.host, resolve);
  });
  const wake = (): void => {
    for (const { up, down } of state.pairs) {
      up.wake();
      down.wake();
    }
  };
  // A link that is good again must not go on as slowly with what it still holds.
  const hurry = (): void => {
    for (const { up, down } of state.pairs) {
      up.hurry();
      down.hurry();
    }
  };
  const cut = (): void => {
    for (const pair of state.pairs) pair.destroy();
  };
  return {
    host: options.host,
    port: (server.address() as AddressInfo).port,
    setTarget: (port) => void (state.target = port),
    cut,
    setRefusing: (isRefusing) => void (state.isRefusing = isRefusing),
    setDelay(delayMs) {
      state.delayMs = delayMs;
      hurry();
    },
    setRate(rate) {
      state.rate = rate;
      hurry();
    },
    setStanding(isStanding) {
      state.isStanding = isStanding;
      wake();
    },
    silence(direction) {
      state.silent = direction;
      for (const pair of state.pairs) silence(pair, direction);
    },
    heal() {
      Object.assign(state, { silent: null, isRefusing: false, isStanding: false, delayMs: 0, rate: null });
      hurry();
    },
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function silence({ up, down }: Pair, direction: SilentDirection): void {
  if (direction !== 'down') up.isSilent = true;
  if (direction !== 'up') down.isSilent = true;
}

function join(state: LinkState, near: Socket): void {
  const far = connect({ port: state.target, host: '127.0.0.1', allowHalfOpen: true });
  const destroy = (): void => {
    state.pairs.delete(pair);
    near.destroy();
    far.destroy();
  };
  const pair: Pair = { up: carry(state, near, far), down: carry(state, far, near), destroy };
  state.pairs.add(pair);
  if (state.silent !== null) silence(pair, state.silent);
  for (const [socket, direction] of [
    [near, pair.down],
    [far, pair.up],
  ] as const) {
    socket.setNoDelay(true);
    // On a silent link the other side never learns of the end; it goes when both are gone.
    const gone = (): void => {
      if (!direction.isSilent && !(socket === near ? pair.up : pair.down).isSilent) destroy();
      else if (near.destroyed && far.destroyed) state.pairs.delete(pair);
    };
    socket.on('error', () => socket.destroy());
    socket.on('close', gone);
  }
}

function carry(state: LinkState, from: Socket, to: Socket): Direction {
  // In order of arrival, each with the time at which it leaves; null is the end.
  const queue: { atMs: number; readonly bytes: Buffer | null }[] = [];
  let heldBytes = 0;
  let freeAtMs = 0;
  let timer: NodeJS.Timeout | null = null;
  const direction: Direction = { isSilent: false, wake: pass, hurry };

  function pass(): void {
    timer = null;
    for (let next = queue[0]; next !== undefined; next = queue[0]) {
      if (state.isStanding) return;
      const waitMs = next.atMs - performance.now();
      if (waitMs > 0) {
        timer ??= setTimeout(pass, waitMs);
        return;
      }
      queue.shift();
      heldBytes -= next.bytes?.length ?? 0;
      if (direction.isSilent) continue;
      if (next.bytes === null) to.end();
      else if (to.writable) to.write(next.bytes);
    }
    if (heldBytes + to.writableLength < MAX_HELD_BYTES) from.resume();
  }

  function hurry(): void {
    freeAtMs = performance.now();
    for (const piece of queue) piece.atMs = Math.min(piece.atMs, freeAtMs);
    if (timer !== null) clearTimeout(timer);
    pass();
  }

  function take(bytes: Buffer | null): void {
    if (direction.isSilent) return;
    const { delayMs, rate } = state;
    const nowMs = performance.now();
    const arrivesMs = nowMs + delayMs * (0.5 + state.random());
    // What comes later never overtakes, and at a rate each byte takes its time.
    freeAtMs = Math.max(freeAtMs, delayMs === 0 ? nowMs : arrivesMs);
    if (rate !== null) freeAtMs += ((bytes?.length ?? 0) / rate) * 1000;
    queue.push({ atMs: freeAtMs, bytes });
    heldBytes += bytes?.length ?? 0;
    if (heldBytes + to.writableLength >= MAX_HELD_BYTES) from.pause();
    if (timer === null) pass();
  }

  from.on('data', take);
  from.on('end', () => take(null));
  to.on('drain', pass);
  return direction;
}
