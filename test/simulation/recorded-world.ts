/** Owns a small world with a recorder, for the tests of the worlds themselves: what happened in it, and a hash of that. */

import { createHash } from 'node:crypto';

import type { DataMessage } from '#protocol/data-codec.ts';
import type { DeviceMessage, ServerMessage } from '#protocol/messages.ts';
import type { DeviceEvent } from '#sdk/device-state.ts';
import type { DevicePlan } from '#test/simulation/device-node.ts';
import type { BootReason, WorldObserver } from '#test/simulation/observer.ts';
import { idOf } from '#test/simulation/readings.ts';
import { seedEntropy } from '#test/simulation/seeded-entropy.ts';
import { createWorld, type World, type WorldOptions } from '#test/simulation/world.ts';

export interface RecordedWorld {
  readonly world: World;
  readonly pushed: Set<number>;
  readonly shown: Map<string, Set<number>>;
  readonly boots: { readonly name: string; readonly why: BootReason; readonly held: number }[];
  readonly deviceEvents: { readonly name: string; readonly event: DeviceEvent }[];
  readonly fromServers: { readonly server: number; readonly name: string; readonly message: ServerMessage }[];
  readonly fromDevices: { readonly name: string; readonly message: DeviceMessage | DataMessage }[];
  readonly notes: string[];
  /** Runs for so many simulated milliseconds more. */
  run(forMs: number): Promise<void>;
  /** Ids of all stored readings, in no order; one that is stored twice comes twice. */
  stored(): number[];
  /** Of everything that was observed so far. */
  hash(): string;
  /** Gives the platform its entropy back. */
  end(): void;
}

export const smallDevice: DevicePlan = {
  name: 'device',
  store: 'file',
  maxBytes: 256 * 1024,
  org: 'clinic',
  streams: [{ axes: 3, rateHz: 100, readingsPerPush: 5 }],
};

/** One server and one device unless `options` says otherwise, everything recording. */
export function recordWorld(options: Partial<WorldOptions> = {}): RecordedWorld {
  const seed = options.seed ?? 1;
  const restore = seedEntropy(seed);
  const digest = createHash('sha256');
  const recorded: RecordedWorld = {
    world: undefined as never,
    pushed: new Set(),
    shown: new Map(),
    boots: [],
    deviceEvents: [],
    fromServers: [],
    fromDevices: [],
    notes: [],
    run: (forMs) => recorded.world.scheduler.run(recorded.world.scheduler.nowMs + forMs),
    stored: () => storedIds(recorded.world),
    hash: () => digest.copy().digest('hex'),
    end: restore,
  };
  const fold = (what: string, detail: unknown): void => {
    digest.update(`${recorded.world?.scheduler.nowMs} ${what} ${JSON.stringify(detail, plain)}\n`);
  };
  const world = createWorld(
    { seed, servers: 1, devices: [smallDevice], viewers: [], latencyMs: [1, 5], ...options },
    observe(recorded, fold),
  );
  Object.assign(recorded, { world });
  for (const device of world.devices)
    for (const i of options.devices?.[0]?.streams.keys() ?? [0]) device.record(i);
  return recorded;
}

function observe(recorded: RecordedWorld, fold: (what: string, detail: unknown) => void): WorldObserver {
  return {
    pushed(_device, { id }) {
      recorded.pushed.add(id);
    },
    skipped: (device, streamId, count) => fold('skipped', [device.name, streamId, count]),
    booted(device, held, why) {
      recorded.boots.push({ name: device.name, why, held: held.size });
      fold('booted', [device.name, why, held.size]);
    },
    serverSaid(server, device, message, streamKey) {
      recorded.fromServers.push({ server: server.index, name: device.name, message });
      fold('server', [server.index, device.name, message, 'ref' in message && streamKey(message.ref ?? 0)]);
    },
    deviceSaid(device, server, message) {
      recorded.fromDevices.push({ name: device.name, message });
      fold('device', [device.name, server.index, message]);
    },
    deviceEvent(device, event) {
      recorded.deviceEvents.push({ name: device.name, event });
      fold('event', [device.name, event.type]);
    },
    viewerSaw(viewer, frames) {
      fold('saw', [viewer.name, frames]);
      if (!('frames' in frames)) return;
      const ids = recorded.shown.get(viewer.name) ?? new Set();
      recorded.shown.set(viewer.name, ids);
      for (const { payload, count } of frames.frames) {
        const axes = payload.length / count / 4;
        for (let i = 0; i < count; i++) ids.add(idOf(payload, i * axes * 4, axes) ?? Number.NaN);
      }
    },
    note(what, detail) {
      recorded.notes.push(what);
      fold('note', [what, detail]);
    },
  };
}

function plain(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value;
}

function storedIds({ database }: World): number[] {
  const ids: number[] = [];
  for (const { chunks } of database.tables.epochs.values())
    for (const { n, payload } of chunks) {
      const axes = payload.length / n / 4;
      for (let i = 0; i < n; i++) ids.push(idOf(payload, i * axes * 4, axes) ?? Number.NaN);
    }
  return ids;
}
