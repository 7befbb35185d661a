/**
 * Owns a device machine on a bench for its tests: a store, a test clock and the model server, joined by connections that
 * the test cuts and lets through. Messages to the device arrive a turn after the call that caused them, as over a socket.
 */

import { seededRandom } from '#base/random.ts';
import { createFrameBuilder } from '#sdk/device-frame.ts';
import { createDeviceMachine, type DeviceMachine } from '#sdk/device-machine.ts';
import {
  contentOf,
  contentsOf,
  createTestClock,
  modelConnection,
  newDatabase,
  type ModelConnection,
  type ModelDatabase,
  type ModelOptions,
  type TestClock,
} from '#sdk/device-model.ts';
import type { DeviceEvent, DeviceTiming } from '#sdk/device-state.ts';
import type { DeviceStore, FrameContent } from '#sdk/device-store.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { memoryStore } from '#sdk/memory-store.ts';

export const benchStream: StreamDefinition = {
  stream: '01890000-0000-7000-8000-000000000001',
  session: '01890000-0000-7000-8000-0000000000ff',
  segment: 'left-foot',
  sensor: 'imu',
  axes: [
    { name: 'acc_x', unit: 'm/s2' },
    { name: 'acc_y', unit: 'm/s2' },
  ],
  rateHz: 200,
  encoding: 'float32',
  clock: 'device',
};

export interface Bench {
  readonly clock: TestClock;
  readonly store: DeviceStore;
  readonly machine: DeviceMachine;
  readonly events: DeviceEvent[];
  database: ModelDatabase;
  /** The server's end of the connection; null while there is none. */
  server: ModelConnection | null;
  /** Whether a connection attempt succeeds. */
  isReachable: boolean;
  readonly connects: number[];
  /** Contents of all readings so far. */
  readonly pushed: string[];
  /** Contents that the store has taken. */
  readonly kept: string[];
  push(count: number): void;
  cut(code?: number): void;
  /** The process dies: nothing of it happens any more. */
  kill(): void;
}

export function createBench(
  options: Partial<ModelOptions> & {
    store?: DeviceStore;
    clock?: TestClock;
    timing?: Partial<DeviceTiming>;
    /** Readings of earlier benches in the same test, so that none looks like another. */
    firstValue?: number;
  } = {},
): Bench {
  const clock = options.clock ?? createTestClock();
  const store = options.store ?? memoryStore();
  const builder = createFrameBuilder(benchStream);
  let cancelTimer = (): void => undefined;
  let isDead = false;
  // One turn later, in order.
  const later = (deliver: () => void): void => {
    clock.after(0, () => {
      if (!isDead) deliver();
    });
  };
  const append = (content: FrameContent): void => {
    const nextSeq = store.logs().find((log) => log.phase === 'recording')?.nextSeq;
    b.machine.append(benchStream.stream, content);
    if (nextSeq !== undefined) b.kept.push(...contentsOf({ ...content, firstSeq: nextSeq, ref: 0 }));
  };
  const b: Bench = {
    clock,
    store,
    events: [],
    database: options.database ?? newDatabase(clock),
    server: null,
    isReachable: true,
    connects: [],
    pushed: [],
    kept: [],
    push: (count) => {
      for (let i = 0; i < count; i++) {
        const value = (options.firstValue ?? 0) + b.pushed.length;
        const values = new Float32Array([value, -value]);
        const timeUs = clock.nowUs() + i * 5000;
        b.pushed.push(contentOf(timeUs, new Uint8Array(values.buffer)));
        builder.push(values, timeUs, append);
      }
      b.machine.pending();
    },
    cut: (code = 1006) => {
      b.server = null;
      b.machine.disconnected(code);
    },
    kill: () => {
      isDead = true;
      b.server = null;
      cancelTimer();
    },
    machine: createDeviceMachine({
      store,
      clock,
      random: seededRandom(1),
      agent: 'test',
      key: 'secret',
      ...(options.timing === undefined ? {} : { timing: options.timing }),
      effects: {
        connect: () => {
          b.connects.push(clock.monotonicMs());
          later(() => {
            if (!b.isReachable) return b.machine.disconnected(1006);
            const connection: ModelConnection = modelConnection({
              ...options,
              database: b.database,
              clock,
              send: (message) =>
                later(() => {
                  if (b.server === connection) b.machine.message(JSON.stringify(message));
                }),
            });
            b.server = connection;
            b.machine.connected();
          });
        },
        sendText: (text) => b.server!.text(text),
        sendBinary: (bytes) => b.server!.binary(bytes),
        close: () => {
          b.server = null;
        },
        setTimer: (delayMs) => {
          cancelTimer();
          cancelTimer = clock.after(delayMs, () => b.machine.timer());
        },
        bufferedBytes: () => 0,
        collect: () => {
          const content = builder.take();
          if (content !== null) append(content);
        },
        report: (event) => b.events.push(event),
      },
    }),
  };
  return b;
}
