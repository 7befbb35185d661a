/** The live hub over real WebSockets: framing beside ws's own frames, slow viewers, floods, closing. */

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';

import { assert } from '#base/assert.ts';
import { systemClock } from '#base/clock.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import type { HubMessage } from '#contract/live-messages.ts';
import { closeCodes } from '#protocol/codes.ts';
import { decodeLive, encodeLiveFrames, type LiveMessage } from '#protocol/live-codec.ts';
import { LIVE_SUBPROTOCOL } from '#protocol/version.ts';
import type { HubLimits } from '#live/hub-limits.ts';
import { createHub } from '#live/hub.ts';
import { answerHandshake } from '#live/websocket-handshake.ts';
import { testPrincipal } from '#test/support/principals.ts';
import { createTestChannels } from '#test/support/test-channels.ts';

const session = '01890000-0000-7000-8000-00000000000a';
const channel = `session/${session}/readings`;
const cleanUps: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

/** Waits, turn by turn, until something is true; the test's own time-out is the limit. */
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setImmediate(resolve));
}

async function startHub(limits: Partial<HubLimits> = {}) {
  const bus = createMemoryBus();
  const hub = createHub({
    channels: createTestChannels({ clock: systemClock, bus }),
    clock: systemClock,
    authenticate: async () => null,
    limits,
    onFailure: (cause) => expect.unreachable(String(cause)),
  });
  const server = createServer();
  const serverSides: Duplex[] = [];
  server.on('upgrade', (request, socket, head) => {
    serverSides.push(socket);
    const handshake = answerHandshake(request, LIVE_SUBPROTOCOL);
    assert(handshake.isAccepted, 'the client asks for a WebSocket');
    socket.write(handshake.answer);
    hub.attach({ socket: socket as Socket, head }, testPrincipal());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUps.push(async () => {
    await hub.drain();
    server.close();
  });
  const connect = async () => {
    const { port } = server.address() as AddressInfo;
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/live`, LIVE_SUBPROTOCOL);
    const control: HubMessage[] = [];
    const live: LiveMessage[] = [];
    let closeCode: number | null = null;
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (!isBinary) return void control.push(JSON.parse(data.toString()) as HubMessage);
      const message = decodeLive(data);
      expect(message.ok).toBe(true);
      if (message.ok) live.push(message.value);
    });
    socket.on('error', () => {});
    socket.on('close', (code) => void (closeCode = code));
    cleanUps.push(() => socket.terminate());
    await until(() => control.length > 0);
    const send = (message: unknown): void => socket.send(JSON.stringify(message));
    const follow = async (): Promise<void> => {
      send({ type: 'subscribe', id: 1, channel });
      await until(() => control.some((message) => message.type === 'subscribed'));
    };
    return { socket, control, live, send, follow, closeCode: () => closeCode };
  };
  const publish = (firstSeq: number, payloadBytes: number): void =>
    bus.publish(
      channel,
      encodeLiveFrames([
        {
          streamId: session,
          epoch: '00000000000000aa',
          count: 1,
          firstSeq,
          firstUs: 0,
          periodNs: 0,
          deltasUs: null,
          payload: new Uint8Array(payloadBytes).fill(firstSeq),
          liveOnly: false,
          sentUs: 0,
          arrivalUs: 0,
          offsetUs: 0,
        },
      ]),
    );
  return { hub, connect, publish, serverSides };
}

const seqsOf = (messages: readonly LiveMessage[]): number[] =>
  messages.flatMap((message) => message.frames.map((frame) => frame.firstSeq));

test('frames of every length class and control frames between them do not disturb each other', async () => {
  const { connect, publish } = await startHub({ tickBytes: 1, requestBurst: 1000 });
  const viewer = await connect();
  await viewer.follow();
  let pongs = 0;
  viewer.socket.on('pong', () => pongs++);
  const sizes = [1, 13, 14, 300, 65_423, 65_424, 100_000];
  const count = 210;
  for (let seq = 0; seq < count; seq++) {
    publish(seq, sizes[seq % sizes.length]!);
    viewer.socket.ping(Buffer.from(String(seq)));
    viewer.send({ type: 'probe', id: seq, t0Us: seq });
    await until(() => viewer.live.length > seq);
  }
  await until(() => pongs === count && viewer.control.length === count + 2);
  expect(seqsOf(viewer.live)).toEqual(Array.from({ length: count }, (_, i) => i));
  for (const [i, { frames }] of viewer.live.entries()) {
    expect(frames[0]!.payload.length).toBe(sizes[i % sizes.length]);
    expect(frames[0]!.payload.every((byte) => byte === i % 256)).toBe(true);
  }
  expect(viewer.closeCode()).toBeNull();
});

test('a viewer that stops reading delays no other, costs a bounded memory, and goes on with the newest', async () => {
  const { hub, connect, publish, serverSides } = await startHub();
  const slow = await connect();
  const fast = await connect();
  await slow.follow();
  await fast.follow();
  slow.socket.pause();
  // More than the kernel's socket buffers hold on both sides.
  const count = 600;
  const payloadBytes = 60_000;
  let mostUnsentBytes = 0;
  for (let seq = 1; seq <= count; seq++) {
    publish(seq, payloadBytes);
    await until(() => fast.live.length >= seq);
    mostUnsentBytes = Math.max(mostUnsentBytes, serverSides[0]!.writableLength);
  }
  expect(seqsOf(fast.live)).toEqual(Array.from({ length: count }, (_, i) => i + 1));
  expect(hub.counters.laggingViewers).toBe(1);
  expect(mostUnsentBytes).toBeGreaterThan(64 * 1024);
  expect(mostUnsentBytes).toBeLessThan((64 + 64) * 1024);

  slow.socket.resume();
  await until(() => seqsOf(slow.live).at(-1) === count);
  const offsets = slow.live.map((message) => message.offset);
  expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
  expect(slow.live.length).toBeLessThan(count);
  // Every tick was either seen or counted as skipped: an offset that jumps says how many.
  expect(hub.counters.ticksSkipped).toBe(count - slow.live.length);
  expect(hub.counters.laggingViewers).toBe(0);
  publish(count + 1, 10);
  await until(() => seqsOf(slow.live).at(-1) === count + 1);
});

test('a viewer that pings and never reads does not grow the queue of the socket', async () => {
  const { connect, serverSides } = await startHub({ requestBurst: 1_000_000 });
  const viewer = await connect();
  viewer.socket.pause();
  const body = Buffer.alloc(125);
  let most = 0;
  for (let round = 0; round < 400; round++) {
    for (let i = 0; i < 500; i++) viewer.socket.ping(body);
    await until(() => viewer.socket.bufferedAmount === 0);
    most = Math.max(most, serverSides[0]!.writableLength);
  }
  expect(most).toBeGreaterThan(64 * 1024);
  expect(most).toBeLessThan(66 * 1024);
  expect(viewer.closeCode()).toBeNull();
});

test('bad messages get typed errors and the connection lives; a flood closes it', async () => {
  const { connect } = await startHub();
  const viewer = await connect();
  viewer.socket.send('{"type":"subscribe","id":3}');
  viewer.socket.send(Buffer.from([1, 2, 3]));
  await until(() => viewer.control.length === 3);
  expect(viewer.control.slice(1)).toMatchObject([
    { type: 'error', code: 'invalid-field', field: '/channel', id: 3 },
    { type: 'error', code: 'malformed-message' },
  ]);
  for (let i = 0; i < 1000; i++) viewer.send({ type: 'heartbeat' });
  await until(() => viewer.closeCode() !== null);
  expect(viewer.closeCode()).toBe(closeCodes.protocol);
  expect(viewer.control.at(-1)).toMatchObject({ type: 'error', code: 'limit-exceeded' });
});

test('a message beyond the limit, or bytes that are no frame, end that connection alone', async () => {
  const { hub, connect } = await startHub();
  const large = await connect();
  const broken = await connect();
  const other = await connect();
  large.socket.send('x'.repeat(17 * 1024));
  const { _socket: raw } = broken.socket as unknown as { readonly _socket: Duplex };
  raw.write(Buffer.from([0xff, 0xff, 0, 0]));
  await until(() => large.closeCode() !== null && broken.closeCode() !== null);
  expect(large.closeCode()).toBe(1009);
  expect(broken.closeCode()).toBe(1002);
  await until(() => hub.counters.viewers === 1);
  expect(other.closeCode()).toBeNull();
  expect(hub.counters.closesByReason).toEqual({ peer: 2 });
});

test('draining says bye, closes with its code, and ends connections that do not answer', async () => {
  const { hub, connect, serverSides } = await startHub({ closeGraceMs: 50 });
  const polite = await connect();
  const stuck = await connect();
  stuck.socket.pause();
  await hub.drain();
  await until(() => polite.closeCode() !== null);
  expect(polite.control.at(-1)).toMatchObject({ type: 'bye' });
  expect(polite.closeCode()).toBe(closeCodes.restarting);
  expect(serverSides.every((side) => side.destroyed)).toBe(true);
  expect(hub.counters).toMatchObject({ viewers: 0, closesByReason: { restarting: 2 } });
});
