/**
 * Owns what a history is made of, as plain data: the world with its limits, and what happens in it and when. Drawn from a
 * seed by swarm testing (A. Groce et al., "Swarm Testing", ISSTA 2012): every history has only some of the kinds of faults
 * and some of the limits made small, because what is always possible hides what needs another to be absent.
 */

import { integerBelow, seededRandom, type Random } from '#base/random.ts';
import type { GatewayConfig } from '#ingest/gateway.ts';
import type { HubLimits } from '#live/hub-limits.ts';
import type { DeviceTiming } from '#sdk/device-state.ts';
import type { WriterConfig } from '#store/writer-machine.ts';
import type { DevicePlan, StreamPlan } from '#test/simulation/device-node.ts';
import type { ViewerPlan } from '#test/simulation/viewer-node.ts';

/** Everything that can go wrong, by whom it happens to. */
const kindsByTarget = {
  server: ['server-kill', 'server-pause', 'server-drain', 'server-clock-jump', 'server-clock-drift'],
  network: [
    'cut',
    'cut-mid-message',
    'half-open-up',
    'half-open-down',
    'half-open',
    'split',
    'two-instances',
    'unreachable',
    'slow-line',
    'narrow-line',
  ],
  device: [
    'device-kill',
    'power-loss',
    'corrupt-tail',
    'wipe',
    'clone',
    'device-disk-full',
    'clock-jump',
    'clock-drift',
    'sensor-fault',
    'pause-stream',
    'end-stream',
    'end-offline',
    'other-axes',
  ],
  viewer: ['viewer-kill', 'viewer-slow', 'viewer-cut'],
  database: [
    'db-crash',
    'commit-answer-lost',
    'commit-dies-before',
    'commit-dies-during',
    'kill-backends',
    'db-disk-full',
    'missing-partition',
    'refuse-stream',
    'db-slow',
    'db-freeze',
    'restore',
    'failover-synchronous',
    'failover-asynchronous',
    'erase-stream',
    'erase-session',
  ],
} as const;

export type FaultKind = (typeof kindsByTarget)[keyof typeof kindsByTarget][number];
export const faultKinds: readonly FaultKind[] = Object.values(kindsByTarget).flat();

/** Not faults, but what they are defined against. */
export type EventKind = FaultKind | 'back-up' | 'keep-apart';

export interface ScenarioEvent {
  readonly atMs: number;
  readonly kind: EventKind;
  /** Which device, server or viewer, modulo how many there are. */
  readonly target: number;
  /** Which stream of the device, modulo how many it has. */
  readonly stream: number;
  /** How long it lasts. */
  readonly forMs: number;
  /** Between 0 and 1: how much, as the kind has it. */
  readonly amount: number;
}

export interface Scenario {
  /** Decides whatever is left to chance while it runs. */
  readonly seed: number;
  readonly profile: ProfileName;
  /** Faults happen until then; afterwards everything heals. */
  readonly durationMs: number;
  readonly servers: number;
  readonly latencyMs: readonly [number, number];
  readonly devices: readonly DevicePlan[];
  readonly viewers: readonly ViewerPlan[];
  readonly gateway: Partial<GatewayConfig>;
  readonly writer: Partial<WriterConfig>;
  readonly timing: Partial<DeviceTiming>;
  readonly hub: Partial<HubLimits>;
  readonly events: readonly ScenarioEvent[];
}

interface Profile {
  readonly doc: string;
  readonly durationMs: readonly [number, number];
  readonly servers: readonly [number, number];
  readonly devices: readonly [number, number];
  readonly streams: readonly [number, number];
  readonly viewers: readonly [number, number];
  readonly faults: readonly [number, number];
  /** Of which kinds faults are drawn. */
  readonly kinds: readonly FaultKind[];
  /** One that every history of this profile has. */
  readonly always?: readonly FaultKind[];
  /** Of these one happens to a copy of a device, or to its original, while both have numbers to give. */
  readonly twinKinds?: readonly FaultKind[];
  /** Share of histories that have a limit made small, for each limit. */
  readonly smallLimits: number;
  readonly memoryStores: number;
}

const { server, network, viewer, database } = kindsByTarget;
/** What every fault of the data path can be combined with. */
const withoutViewers = faultKinds.filter((kind) => !(viewer as readonly FaultKind[]).includes(kind));

export const profiles = {
  short: {
    doc: 'seconds, one device, two or three faults',
    durationMs: [1_000, 4_500],
    servers: [1, 2],
    devices: [1, 1],
    streams: [1, 2],
    viewers: [0, 0],
    faults: [2, 3],
    kinds: withoutViewers,
    smallLimits: 0.25,
    memoryStores: 0.4,
  },
  long: {
    doc: 'minutes, several devices, two servers, viewers, many faults',
    durationMs: [60_000, 240_000],
    servers: [2, 3],
    devices: [2, 4],
    streams: [1, 3],
    viewers: [1, 3],
    faults: [10, 40],
    kinds: faultKinds,
    smallLimits: 0.3,
    memoryStores: 0.3,
  },
  'two-servers': {
    doc: 'two servers that fight for the streams of a device, and zombies',
    durationMs: [5_000, 20_000],
    servers: [2, 3],
    devices: [1, 2],
    streams: [1, 2],
    viewers: [0, 0],
    faults: [3, 7],
    kinds: [
      ...server,
      'split',
      'two-instances',
      'cut',
      'half-open',
      'half-open-down',
      'clone',
      ...database.slice(0, 9),
    ],
    smallLimits: 0.2,
    memoryStores: 0.3,
  },
  restore: {
    doc: 'back-ups, restores and failovers of both kinds',
    durationMs: [5_000, 20_000],
    servers: [1, 2],
    devices: [1, 2],
    streams: [1, 2],
    viewers: [0, 1],
    faults: [2, 5],
    kinds: [
      ...withoutViewers,
      'restore',
      'failover-asynchronous',
      'failover-synchronous',
      'end-stream',
      'end-offline',
    ],
    always: ['restore', 'failover-asynchronous'],
    smallLimits: 0.2,
    memoryStores: 0.3,
  },
  erasure: {
    doc: 'sessions and streams erased while they are recorded',
    durationMs: [4_000, 15_000],
    servers: [1, 2],
    devices: [1, 2],
    streams: [1, 3],
    viewers: [0, 1],
    faults: [2, 4],
    kinds: withoutViewers,
    always: ['erase-stream', 'erase-session'],
    smallLimits: 0.2,
    memoryStores: 0.4,
  },
  live: {
    doc: 'viewers of several organisations, slow and cut',
    durationMs: [4_000, 20_000],
    servers: [1, 2],
    devices: [1, 3],
    streams: [1, 3],
    viewers: [2, 5],
    faults: [3, 7],
    kinds: [
      ...viewer,
      ...viewer,
      ...network,
      'server-kill',
      'server-drain',
      'server-pause',
      'db-freeze',
      'db-crash',
      'device-kill',
    ],
    always: ['viewer-slow', 'viewer-kill', 'viewer-cut'],
    smallLimits: 0.4,
    memoryStores: 0.7,
  },
  'store-overflow': {
    doc: 'device stores and disks too small for the time without a server',
    durationMs: [8_000, 30_000],
    servers: [1, 2],
    devices: [1, 1],
    streams: [1, 2],
    viewers: [0, 0],
    faults: [2, 5],
    kinds: [...withoutViewers, 'device-disk-full', 'unreachable', 'unreachable', 'db-freeze'],
    always: ['unreachable', 'device-disk-full'],
    smallLimits: 0.3,
    memoryStores: 0.6,
  },
  credit: {
    doc: 'a pool of credit too small for the devices, and a database that stalls',
    durationMs: [5_000, 20_000],
    servers: [1, 1],
    devices: [2, 4],
    streams: [1, 3],
    viewers: [0, 1],
    faults: [2, 5],
    kinds: [...network, ...database, 'server-kill', 'server-pause', 'device-kill', 'sensor-fault'],
    always: ['db-freeze', 'db-slow'],
    smallLimits: 0.7,
    memoryStores: 0.5,
  },
  return: {
    doc: 'a database that goes back in time under one device',
    durationMs: [2_500, 6_000],
    servers: [1, 2],
    devices: [1, 1],
    streams: [1, 2],
    viewers: [0, 0],
    faults: [2, 4],
    kinds: ['restore', 'failover-asynchronous', 'end-stream', 'cut', 'device-kill', 'db-crash', 'db-freeze'],
    always: ['restore'],
    smallLimits: 0.1,
    memoryStores: 0.5,
  },
  watch: {
    doc: 'a few sessions and who watches them, for seconds',
    durationMs: [2_000, 4_000],
    servers: [1, 1],
    devices: [2, 2],
    streams: [1, 1],
    viewers: [2, 3],
    faults: [1, 3],
    kinds: ['viewer-slow', 'viewer-cut', 'viewer-kill', 'cut', 'server-kill', 'db-freeze', 'slow-line'],
    smallLimits: 0.4,
    memoryStores: 1,
  },
  overlap: {
    doc: 'one stream that two servers store at the same time',
    durationMs: [2_000, 5_000],
    servers: [2, 2],
    devices: [1, 1],
    streams: [1, 1],
    viewers: [0, 0],
    faults: [3, 6],
    kinds: ['split', 'two-instances', 'cut', 'db-slow', 'db-freeze', 'server-pause', 'commit-answer-lost'],
    always: ['two-instances', 'split', 'db-slow'],
    smallLimits: 0.7,
    memoryStores: 0.5,
  },
  twins: {
    doc: 'a device and its copy, each at a server of its own, and servers that wake late',
    durationMs: [1_500, 4_000],
    servers: [2, 2],
    devices: [1, 1],
    streams: [1, 1],
    viewers: [0, 0],
    faults: [1, 3],
    kinds: ['clone', 'split', 'cut', 'server-pause', 'half-open-up', 'db-slow', 'commit-answer-lost'],
    always: ['clone'],
    twinKinds: ['server-pause', 'server-pause', 'split', 'half-open-up', 'slow-line', 'db-slow', 'db-freeze'],
    smallLimits: 0.6,
    memoryStores: 0,
  },
  medium: {
    doc: 'what a device has on its disk: power, damage, copies, full disks',
    durationMs: [3_000, 8_000],
    servers: [1, 1],
    devices: [1, 1],
    streams: [1, 2],
    viewers: [0, 0],
    faults: [2, 5],
    kinds: [
      'power-loss',
      'corrupt-tail',
      'wipe',
      'device-kill',
      'device-disk-full',
      'clone',
      'cut',
      'restore',
    ],
    always: ['unreachable'],
    smallLimits: 0.2,
    memoryStores: 0,
  },
} as const satisfies Record<string, Profile>;

export type ProfileName = keyof typeof profiles;

const organisations = ['00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-00000000000b'];

/** The history of a seed: the same seed and profile always make the same. */
export function scenarioOf(seed: number, profile: ProfileName): Scenario {
  const random = seededRandom(seed);
  const plan: Profile = profiles[profile];
  const durationMs = Math.round(between(random, plan.durationMs));
  const devices = Array.from({ length: integer(random, plan.devices) }, (_, i) => deviceOf(random, plan, i));
  const viewers = Array.from({ length: integer(random, plan.viewers) }, (_, i): ViewerPlan => {
    const target = integerBelow(random, devices.length);
    // Now and then a stranger, who may see nothing.
    const org = random.next() < 0.2 ? organisations[0]! : devices[target]!.org;
    return { name: `viewer ${i}`, device: target, org };
  });
  return {
    seed,
    profile,
    durationMs,
    servers: integer(random, plan.servers),
    latencyMs: pick(random, [
      [0.2, 2],
      [1, 10],
      [5, 40],
      [20, 120],
    ]),
    devices,
    viewers,
    ...limitsOf(random, plan, devices.length),
    events: eventsOf(random, plan, durationMs),
  };
}

function deviceOf(random: Random, plan: Profile, index: number): DevicePlan {
  const store = random.next() < plan.memoryStores ? 'memory' : 'file';
  const isSmall = random.next() < plan.smallLimits;
  const streams = Array.from({ length: integer(random, plan.streams) }, (): StreamPlan => {
    const rateHz = pick(random, [10, 25, 50, 100]);
    return { axes: pick(random, [2, 3, 6, 9]), rateHz, readingsPerPush: pick(random, [1, 2, 5, 10]) };
  });
  // The smallest a store takes, or more than any history fills.
  const maxBytes =
    store === 'memory'
      ? isSmall
        ? 4096 + integerBelow(random, 12_288)
        : 1 << 22
      : isSmall
        ? 262_144
        : 1 << 22;
  return {
    name: `device ${index}`,
    store,
    maxBytes,
    streams,
    ...(random.next() < 0.15 ? { clock: 'none' } : {}),
    org: organisations[integerBelow(random, organisations.length)]!,
  };
}

type Limits = Pick<Scenario, 'gateway' | 'writer' | 'timing' | 'hub'>;

function limitsOf(random: Random, plan: Profile, devices: number): Limits {
  const isSmall = (): boolean => random.next() < plan.smallLimits;
  const windowInitialBytes = 512 + integerBelow(random, 4096);
  return {
    gateway: {
      // A pool that has no first window for every device is a wrong configuration: whoever comes last waits for ever.
      ...(isSmall()
        ? {
            // Room for a reading of any stream.
            windowQuietBytes: Math.max(256, windowInitialBytes >> 2),
            quietAfterMs: 500 + (windowInitialBytes % 1500),
            windowInitialBytes,
            windowMaxBytes: windowInitialBytes + integerBelow(random, 16_384),
            creditPoolBytes: windowInitialBytes * 3 * devices + integerBelow(random, 16_384),
          }
        : {}),
      ...(isSmall() ? { maxBuffers: 24 + integerBelow(random, 16) } : {}),
      ...(isSmall() ? { heartbeatMs: pick(random, [500, 1000, 2000]) } : {}),
    },
    writer: {
      ...(isSmall() ? { flushIntervalMs: pick(random, [10, 50, 1000]) } : {}),
      ...(isSmall() ? { flushReadings: 1 + integerBelow(random, 20) } : {}),
      ...(isSmall() ? { batchReadings: 1 + integerBelow(random, 50) } : {}),
      // Or two copies of a device record more than is stored.
      ...(plan.twinKinds === undefined ? {} : { flushIntervalMs: pick(random, [10, 50, 100]) }),
    },
    timing: {
      ...(isSmall() ? { flushMs: pick(random, [10, 200]) } : {}),
      ...(isSmall() ? { stallMs: 4000, starvedStallMs: 8000 } : {}),
    },
    hub: {
      ...(isSmall() ? { ringTicks: 1 + integerBelow(random, 4) } : {}),
      ...(isSmall() ? { ringBytes: 512 + integerBelow(random, 4096) } : {}),
      ...(isSmall() ? { tickBytes: 256 + integerBelow(random, 1024) } : {}),
      ...(isSmall() ? { batchBytes: 512 + integerBelow(random, 4096) } : {}),
      ...(isSmall() ? { highWaterBytes: 256 + integerBelow(random, 4096) } : {}),
      ...(isSmall() ? { progressEntries: 1 + integerBelow(random, 4) } : {}),
    },
  };
}

/** Nothing happens in the first moments: a fault of what is not there yet shows nothing. */
const QUIET_MS = 200;

function eventsOf(random: Random, plan: Profile, durationMs: number): ScenarioEvent[] {
  const swarm = shuffled(random, [...new Set(plan.kinds)]);
  // Few kinds, so that each meets itself and its neighbours often.
  const kinds = swarm.slice(0, 2 + integerBelow(random, Math.min(8, swarm.length - 1)));
  const count = integer(random, plan.faults);
  const drawn: FaultKind[] = [];
  for (const kind of plan.always ?? []) if (random.next() < 0.75) drawn.push(kind);
  while (drawn.length < count) drawn.push(pick(random, kinds));
  const events: ScenarioEvent[] = [];
  for (const kind of drawn) {
    const atMs = Math.round(QUIET_MS + random.next() * (durationMs - QUIET_MS));
    events.push(eventOf(random, kind, atMs, durationMs));
    // Faults come in clusters: the second hits while the first is being dealt with.
    if (random.next() < 0.3 && drawn.length > 1) {
      const near = Math.round(Math.min(durationMs, atMs + random.next() * 500));
      events.push(eventOf(random, pick(random, drawn), near, durationMs));
    }
  }
  // What is restored was backed up, some time before.
  for (const { atMs } of events.filter(({ kind }) => kind === 'restore'))
    events.push(eventOf(random, 'back-up', Math.floor(random.next() * atMs), durationMs));
  if (plan.twinKinds !== undefined) keepTwinsApart(random, plan.twinKinds, events, durationMs);
  return events.sort((a, b) => a.atMs - b.atMs);
}

/** A copy and its original meet in the database alone, and one of the two is late there. */
function keepTwinsApart(
  random: Random,
  kinds: readonly FaultKind[],
  events: ScenarioEvent[],
  durationMs: number,
): void {
  for (const { atMs } of events.filter(({ kind }) => kind === 'clone')) {
    events.push(eventOf(random, 'keep-apart', Math.floor(random.next() * atMs), durationMs));
    const near = Math.round(Math.max(0, atMs + (random.next() - 0.5) * 300));
    events.push(eventOf(random, pick(random, kinds), near, durationMs));
  }
}

function eventOf(random: Random, kind: EventKind, atMs: number, durationMs: number): ScenarioEvent {
  // Most faults are short beside the time-outs of the product, some outlast them all.
  const spanMs = random.next() < 0.6 ? 1500 : Math.max(3000, durationMs);
  return {
    atMs,
    kind,
    target: integerBelow(random, 8),
    stream: integerBelow(random, 4),
    forMs: Math.round(20 + random.next() ** 2 * spanMs),
    amount: Math.round(random.next() * 1000) / 1000,
  };
}

function between(random: Random, [from, to]: readonly [number, number]): number {
  return from + random.next() * (to - from);
}

function integer(random: Random, [from, to]: readonly [number, number]): number {
  return from + integerBelow(random, to - from + 1);
}

function pick<T>(random: Random, list: readonly T[]): T {
  return list[integerBelow(random, list.length)]!;
}

/** Fisher and Yates. */
function shuffled<T>(random: Random, list: T[]): T[] {
  for (let i = list.length - 1; i > 0; i--) {
    const j = integerBelow(random, i + 1);
    [list[i], list[j]] = [list[j]!, list[i]!];
  }
  return list;
}
