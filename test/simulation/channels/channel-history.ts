/**
 * Owns one history of the simulated channels: what a seed draws (instances, clients, faults), the run of it in simulated time,
 * a quiet time in which all must come to rest, and the verdict. The same seed gives the same history.
 */

import { seededRandom } from '#base/random.ts';
import { simulatedChannels } from '#test/simulation/channels/channel-definitions.ts';
import { createChannelClient, type ChannelClient } from '#test/simulation/channels/channel-client.ts';
import { createChannelInstance, type ChannelInstance } from '#test/simulation/channels/channel-instance.ts';
import {
  createChannelOracle,
  type ChannelTally,
  type Violation,
} from '#test/simulation/channels/channel-oracle.ts';
import { createSharedPlace, type SharedPlace } from '#test/simulation/channels/shared-place.ts';
import { createNetwork, type NetworkCore } from '#test/simulation/network.ts';
import { createScheduler, type Scheduler } from '#test/simulation/scheduler.ts';
import { seedEntropy } from '#test/simulation/seeded-entropy.ts';

export interface ChannelHistory {
  readonly violation: Violation | null;
  readonly tally: ChannelTally;
  readonly events: number;
  /** Faults that happened, by name. */
  readonly faults: Readonly<Record<string, number>>;
  /** What happened, in words, the last so many. */
  readonly trace: readonly string[];
}

/** In which things go wrong, and in which nothing does: longer than any lease, look and back-off. */
const STORM_MS = 20_000;
const QUIET_MS = 45_000;
/** Between two faults, on average. */
const FAULT_MS = 1_200;
const TRACE_LINES = 200;

interface World {
  readonly scheduler: Scheduler;
  readonly network: NetworkCore<ChannelInstance>;
  readonly place: SharedPlace;
  readonly instances: readonly ChannelInstance[];
  readonly clients: readonly ChannelClient[];
  readonly faults: Record<string, number>;
  note(text: string): void;
}

export async function runChannelHistory(seed: number): Promise<ChannelHistory> {
  const restoreEntropy = seedEntropy(seed);
  const scheduler = createScheduler(seed);
  const trace: string[] = [];
  const note = (text: string): void => {
    trace.push(`${scheduler.nowMs.toFixed(1)} ${text}`);
    if (trace.length > TRACE_LINES) trace.shift();
  };
  const oracle = createChannelOracle();
  let failure: Violation | null = null;
  const world = build(seed, {
    scheduler,
    oracle,
    note,
    failed: (cause) => void (failure ??= unexpected(cause)),
  });
  try {
    for (const instance of world.instances) instance.start();
    for (const client of world.clients) client.boot();
    const isOver = (): boolean => oracle.violation !== null || failure !== null;
    faultsBegin(world, seed);
    await scheduler.run(STORM_MS, isOver);
    calm(world);
    await scheduler.run(STORM_MS + QUIET_MS, isOver);
    if (!isOver()) {
      oracle.audit();
      auditPresence(world, (violation) => void (failure ??= violation));
    }
  } finally {
    restoreEntropy();
  }
  return {
    violation: oracle.violation ?? failure,
    tally: oracle.tally,
    events: scheduler.events,
    faults: world.faults,
    trace,
  };
}

function unexpected(cause: unknown): Violation | null {
  // What cannot be reached for a while is no bug of whoever asked.
  const { temporary } = cause as { temporary?: boolean };
  if (temporary === true) return null;
  return {
    check: 'unexpected',
    message: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause),
  };
}

interface BuildParts {
  readonly scheduler: Scheduler;
  readonly oracle: ReturnType<typeof createChannelOracle>;
  readonly note: (text: string) => void;
  readonly failed: (cause: unknown) => void;
}

function build(seed: number, { scheduler, oracle, note, failed }: BuildParts): World {
  const random = seededRandom(seed ^ 0x5eed);
  const below = (limit: number): number => Math.floor(random.next() * limit);
  const place = createSharedPlace({ scheduler, published: oracle.cameToBe, emptied: oracle.emptied });
  const instances: ChannelInstance[] = [];
  const network = createNetwork<ChannelInstance>(scheduler, [1, 20], instances);
  const limits = {
    // Small, so that the edges are met: slow viewers, tails that end, pages that are read.
    tailMessages: 16,
    restingMessages: 4,
    recoveryMessages: 5,
    highWaterBytes: 2_048,
    batchBytes: 4_096,
    heartbeatMs: 2_000,
    lookMs: 3_000,
    drainSpreadMs: 1_500,
  };
  for (let i = 0; i < 1 + below(3); i++)
    instances.push(
      createChannelInstance({
        name: `instance-${i}`,
        scheduler,
        place,
        limits,
        failed,
        ended: (process, isTold) => network.processDied(process, isTold),
      }),
    );
  const clients = Array.from({ length: 2 + below(4) }, (_, i) =>
    createChannelClient({
      scheduler,
      network,
      oracle,
      plan: {
        name: `client-${i}`,
        channels: simulatedChannels
          .filter(() => random.next() < 0.6)
          .concat(i === 0 ? ['short/a'] : [])
          .filter((one, at, all) => all.indexOf(one) === at),
        publishesMs: i % 2 === 0 ? 40 + below(400) : null,
        keyedShare: random.next(),
        keepsPositions: random.next() < 0.7,
      },
    }),
  ).filter(({ plan }) => plan.channels.length > 0);
  return { scheduler, network, place, instances, clients, faults: {}, note };
}

/** From now on something goes wrong again and again. */
function faultsBegin(world: World, seed: number): void {
  const { scheduler } = world;
  const random = seededRandom(seed ^ 0xfa017);
  // Swarm testing (Groce et al. 2012): each history leaves some kinds of fault out, so that others meet each other.
  const kinds = faultKinds.filter(() => random.next() < 0.6);
  const step = (): void => {
    if (scheduler.nowMs >= STORM_MS || kinds.length === 0) return;
    const kind = kinds[Math.floor(random.next() * kinds.length)]!;
    const what = kind.happen(world, (limit) => Math.floor(random.next() * limit));
    world.faults[kind.name] = (world.faults[kind.name] ?? 0) + 1;
    world.note(`${kind.name} ${what}`);
    scheduler.after(random.next() * 2 * FAULT_MS, null, step);
  };
  scheduler.after(500, null, step);
}

type Below = (limit: number) => number;

interface FaultKind {
  readonly name: string;
  /** Says whom it met. */
  happen(world: World, below: Below): string;
}

const pick = <T>(all: readonly T[], below: Below): T => all[below(all.length)]!;

function ofInstance(
  name: string,
  action: (instance: ChannelInstance, world: World, below: Below) => void,
): FaultKind {
  return {
    name,
    happen(world, below) {
      const instance = pick(world.instances, below);
      action(instance, world, below);
      return instance.name;
    },
  };
}

function ofClient(name: string, action: (client: string, world: World, below: Below) => void): FaultKind {
  return {
    name,
    happen(world, below) {
      const { plan } = pick(world.clients, below);
      action(plan.name, world, below);
      return plan.name;
    },
  };
}

const faultKinds: readonly FaultKind[] = [
  ofInstance('kill', (instance, { scheduler }, below) => {
    instance.kill();
    scheduler.after(below(3_000), null, () => instance.start());
  }),
  ofInstance('stop', (instance, { scheduler }, below) => {
    instance.stop();
    scheduler.after(below(8_000), null, () => instance.resume());
  }),
  ofInstance('drain', (instance, { scheduler }, below) => {
    instance.drain();
    scheduler.after(4_500 + below(2_000), null, () => {
      instance.kill();
      instance.start();
    });
  }),
  ofInstance('partition', ({ name }, { scheduler, place }, below) => {
    place.setReachable(name, false);
    scheduler.after(below(6_000), null, () => place.setReachable(name, true));
  }),
  {
    name: 'lose',
    happen({ scheduler, place }, below) {
      place.setLoss((1 + below(9)) / 10);
      scheduler.after(below(3_000), null, () => place.setLoss(0));
      return 'announcements';
    },
  },
  {
    name: 'empty',
    happen({ place }) {
      place.restartEmpty();
      return 'the shared place';
    },
  },
  ofClient('cut', (name, { network }) => network.faults.cut(name)),
  ofClient('half-open', (name, { network }, below) =>
    network.faults.halfOpen(name, pick(['up', 'down', 'both'] as const, below), below(9_000)),
  ),
  ofClient('cut-mid-message', (name, { network }) => network.faults.cutMidMessage(name)),
  ofClient('slow', (name, { network, scheduler }, below) => {
    network.setReading(name, false);
    scheduler.after(below(8_000), null, () => network.setReading(name, true));
  }),
  ofClient('latency', (name, { network }, below) => network.faults.setLatency(name, 1, 1 + below(900))),
  {
    name: 'restart-client',
    happen({ scheduler, clients }, below) {
      const client = pick(clients, below);
      client.kill();
      scheduler.after(below(4_000), null, () => client.boot());
      return client.plan.name;
    },
  },
];

/** Nothing goes wrong any more, and nobody publishes; what was down comes back. */
function calm({ scheduler, network, place, instances, clients }: World): void {
  place.setLoss(0);
  for (const instance of instances) {
    place.setReachable(instance.name, true);
    instance.resume();
    // One that is draining ends first.
    scheduler.after(5_000, null, () => instance.start());
    instance.start();
  }
  for (const { plan, rest, boot } of clients) {
    rest();
    boot();
    network.setReading(plan.name, true);
    network.faults.setLatency(plan.name, 1, 20);
  }
}

/** Who follows a channel with presence is there once, and nobody else. */
function auditPresence({ place, clients }: World, blame: (violation: Violation) => void): void {
  const there = place.membersNow('o1/short/a').toSorted();
  const expected = clients
    .filter(({ plan }) => plan.channels.includes('short/a'))
    .map(({ plan }) => plan.name)
    .toSorted();
  if (there.join() !== expected.join())
    blame({
      check: 'presence',
      message: `in short/a are ${there.join(', ') || 'none'}, not ${expected.join(', ')}`,
    });
}
