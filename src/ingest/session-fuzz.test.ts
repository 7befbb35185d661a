/** A device that says anything in any order, and a store that answers anything: the session's promises hold all the same. */

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { fail, ok } from '#base/result.ts';
import { createMessageParser } from '#contract/validation.ts';
import { createCreditLedger, createCreditPool, type CreditPool } from '#ingest/credit.ts';
import { newGatewayCounters, type Greeting, type Open } from '#ingest/gateway-output.ts';
import { createGatewaySession, type GatewaySession } from '#ingest/gateway-session.ts';
import { createStreamBuffer, type StreamBuffer } from '#ingest/stream-buffer.ts';
import {
  deviceMessageSchemas,
  serverMessageSchemas,
  type DeviceMessage,
  type ServerMessage,
} from '#protocol/messages.ts';
import { dataBytes, streamHandle, wireFrame } from '#test/support/frames.ts';

const parse = createMessageParser<DeviceMessage>(deviceMessageSchemas, 16 * 1024);
const parseAnswer = createMessageParser<ServerMessage>(serverMessageSchemas, 1024 * 1024);
const handles = Array.from({ length: 4 }, (_, i) => streamHandle(`s${i}`, i === 3 ? { clock: 'none' } : {}));
const greeting: Greeting = {
  identity: { deviceId: 'd', orgId: 'o' },
  generation: 1,
  incarnation: '00000000-0000-4000-8000-000000000000',
};

/** A session with everything around it. */
interface World {
  readonly session: GatewaySession;
  readonly pool: CreditPool;
  readonly opens: Open[];
  readonly buffers: StreamBuffer[];
  nowMs: number;
}

type Step = (world: World) => void;

const ref = fc.nat(5);
const stream = fc.nat(3);
const message = fc.oneof(
  fc.record({ type: fc.constant('hello'), version: fc.integer({ min: 1, max: 2 }), agent: fc.constant('x') }),
  fc.tuple(ref, stream).map(([r, s]) => {
    const { epoch, definition } = handles[s]!;
    return { type: 'open', ref: r, epoch, definition };
  }),
  fc.record({
    type: fc.constant('tombstone'),
    ref,
    from: fc.nat(50),
    to: fc.nat(50),
    reason: fc.constant('sensor-fault'),
  }),
  fc.record({ type: fc.constant('close'), ref, next: fc.nat(40), ended: fc.boolean() }),
  fc.record({ type: fc.constant('probe'), id: fc.nat(9), t0Us: fc.integer() }),
  fc.record({
    type: fc.constant('clock'),
    deviceUs: fc.integer(),
    offsetUs: fc.integer(),
    roundTripUs: fc.nat(),
  }),
  fc.constant({ type: 'heartbeat' }),
  fc.jsonValue(),
);

const say = message.map((value): Step => ({ session, nowMs }) => {
  session.control(parse(JSON.stringify(value)), nowMs * 1_000, nowMs);
});
const frame = fc
  .record({ ref, from: fc.nat(60), count: fc.integer({ min: 1, max: 20 }) })
  .map((f) => wireFrame(f.ref, f.from, f.count));
const kind = fc.constantFrom({}, { liveOnly: true }, { historical: true });
const data = fc
  .tuple(fc.array(frame, { minLength: 1, maxLength: 4 }), kind)
  .map(([frames, flags]): Step => ({ session, nowMs }) => {
    session.data(dataBytes(frames, flags), nowMs * 1_000, nowMs);
  });
const bytes = fc.uint8Array({ maxLength: 80 }).map((raw): Step => ({ session, nowMs }) => {
  session.data(raw, 0, nowMs);
});
const answerOpen = fc.boolean().map((isOk): Step => ({ session, opens, buffers }) => {
  const request = opens.shift();
  if (request === undefined) return;
  const buffer =
    buffers[handles.findIndex(({ definition }) => definition.stream === request.definition.stream)]!;
  const answer = isOk
    ? ok({ buffer, progress: { committed: [], lost: [] }, newest: null })
    : fail({ code: 'store-unavailable' as const, message: 'later' });
  session.opened(request, answer);
});
const store = fc
  .record({
    what: fc.constantFrom('settle', 'settle', 'refuse', 'rewind', 'unknown', 'ended', 'endFailed'),
    stream,
    to: fc.nat(60),
  })
  .map(({ what, stream: s, to }): Step => ({ session, buffers }) => {
    const buffer = buffers[s]!;
    if (what === 'settle') settle(buffer, to);
    else if (what === 'refuse') buffer.refused('no');
    else if (what === 'rewind') buffer.rewind(to);
    else if (what === 'unknown') buffer.unknown();
    else if (what === 'ended') session.streamEnded(buffer);
    else session.endFailed(buffer);
  });
const ack = fc.constant<Step>(({ session }) => session.sendAck());
const tick = fc.integer({ min: 1, max: 2_000 }).map((ms): Step => (world) => {
  world.nowMs += ms;
  world.session.tick(world.nowMs);
});
const authenticated = fc.boolean().map((isKnown): Step => ({ session }) => {
  session.authenticated(isKnown ? greeting : null, 0);
});
const step = fc.oneof(
  { weight: 4, arbitrary: say },
  { weight: 6, arbitrary: data },
  { weight: 1, arbitrary: bytes },
  { weight: 3, arbitrary: answerOpen },
  { weight: 3, arbitrary: store },
  { weight: 2, arbitrary: ack },
  { weight: 1, arbitrary: tick },
  { weight: 1, arbitrary: authenticated },
);

function settle(buffer: StreamBuffer, to: number): void {
  buffer.take(Number.MAX_SAFE_INTEGER);
  buffer.takeLosses();
  buffer.settled({ committed: to === 0 ? [] : [{ from: 0, to }], lost: [] });
}

function createWorld(): World {
  const pool = createCreditPool(200_000);
  const opens: Open[] = [];
  const buffers: StreamBuffer[] = [];
  let isClosed = false;
  const nothing = (): void => undefined;
  const session = createGatewaySession({
    output: {
      send(answer) {
        expect(isClosed, 'nothing is said after the close').toBe(false);
        expect(parseAnswer(JSON.stringify(answer))).toMatchObject({ ok: true });
      },
      close() {
        expect(isClosed, 'closed once').toBe(false);
        isClosed = true;
      },
      openStream: (request) => void opens.push(request),
      authenticate: nothing,
      lostStream: nothing,
      endStream: nothing,
      recordClock: nothing,
      commandResult: nothing,
      due: nothing,
      live: nothing,
      ackSoon: nothing,
    },
    openLedger: () => createCreditLedger(pool, { initialBytes: 4_000, maxBytes: 16_000 }),
    counters: newGatewayCounters(),
    startedMs: 0,
    heartbeatMs: 5_000,
  });
  const counters = { overwrittenFrames: 0, droppedLosses: 0 };
  const addBuffer = (s: number): void => {
    // A dead one is replaced at the next opening.
    const observer = { committed: nothing, dead: () => addBuffer(s) };
    buffers[s] = createStreamBuffer(handles[s]!, counters, observer);
  };
  for (const s of handles.keys()) addBuffer(s);
  return { session, pool, opens, buffers, nowMs: 0 };
}

test('whatever is said and answered: no throw, valid answers only, silence after the close, no credit lost', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), fc.boolean(), (steps, isGreeted) => {
      const world = createWorld();
      const { session, pool, buffers } = world;
      if (isGreeted) {
        session.control(ok({ type: 'hello', version: 1, agent: 'x' }), 0, 0);
        session.authenticated(greeting, 0);
      }
      for (const next of steps) {
        next(world);
        expect(pool.reservedBytes).toBeLessThanOrEqual(pool.totalBytes);
      }
      session.disconnected();
      for (const buffer of buffers) {
        expect(buffer.listener).toBe(null);
        settle(buffer, 0);
        expect(buffer.isEmpty).toBe(true);
      }
      expect(pool.reservedBytes).toBe(0);
    }),
    { numRuns: 1_000 },
  );
});
