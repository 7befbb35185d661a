/**
 * Owns what goes wrong in a simulated world: it lets the events of a scenario happen at their times, ends what they began,
 * and heals everything in the end. It only does; what must come of it is the oracle's. Bound: the events of one scenario.
 */

import { assert } from '#base/assert.ts';
import type { DeviceNode } from '#test/simulation/device-node.ts';
import type { FaultKind, Scenario, ScenarioEvent } from '#test/simulation/scenario.ts';
import type { ServerNode } from '#test/simulation/server-node.ts';
import type { ViewerNode } from '#test/simulation/viewer-node.ts';
import type { World } from '#test/simulation/world.ts';

/** Who has to know of a fault to judge what follows. */
export interface NemesisWitness {
  /** Before anything is changed. */
  begins(event: ScenarioEvent): void;
  /** The database is about to go back in time. */
  goesBack(mayLose: boolean): void;
  /** The database went back: it is another one now. */
  wentBack(): void;
  /** The database died and has what it has. */
  crashed(): void;
  /** This session or stream is about to be erased. */
  erases(id: string): void;
  /** The erasure has run to its end. */
  hasErased(id: string): void;
  /** The server is about to lose all that it counted. */
  ends(server: ServerNode): void;
}

export interface Nemesis {
  /** Ends every fault and lets everything run. */
  heal(): void;
  /** Streams that record now, by device. */
  readonly recording: ReadonlyMap<DeviceNode, ReadonlySet<number>>;
  endAll(): void;
}

interface Context {
  readonly world: World;
  readonly scenario: Scenario;
  readonly witness: NemesisWitness;
  readonly recording: Map<DeviceNode, Set<number>>;
  readonly refused: Set<string>;
  readonly corrupted: Set<DeviceNode>;
  hasBackUp: boolean;
  /** Devices and their copies have each a server of their own. */
  isApart: boolean;
  isHealed: boolean;
}

export function createNemesis(world: World, scenario: Scenario, witness: NemesisWitness): Nemesis {
  const context: Context = {
    world,
    scenario,
    witness,
    recording: new Map(),
    refused: new Set(),
    corrupted: new Set(),
    hasBackUp: false,
    isApart: false,
    isHealed: false,
  };
  for (const server of world.servers) server.start();
  for (const device of world.devices) {
    device.boot();
    recordAll(context, device);
  }
  for (const viewer of world.viewers) viewer.boot();
  for (const event of scenario.events)
    world.scheduler.after(event.atMs, null, () => {
      if (context.isHealed) return;
      witness.begins(event);
      if (event.kind === 'back-up') {
        context.hasBackUp = true;
        world.database.faults.backUp();
      } else if (event.kind === 'keep-apart') {
        context.isApart = true;
        world.devices.forEach((device) => keepApart(context, device));
      } else actions[event.kind](context, event);
    });
  return {
    recording: context.recording,
    heal: () => heal(context),
    endAll() {
      for (const [device, streams] of context.recording) {
        for (const stream of streams) device.end(stream);
        streams.clear();
      }
    },
  };
}

function planOf({ scenario }: Context, device: DeviceNode): Scenario['devices'][number] {
  const plan = scenario.devices.find(({ name }) => device.name.startsWith(name));
  assert(plan !== undefined, 'a device of the scenario, or its clone');
  return plan;
}

function recordAll(context: Context, device: DeviceNode): void {
  const streams = new Set<number>();
  context.recording.set(device, streams);
  planOf(context, device).streams.forEach((_, i) => {
    device.record(i);
    streams.add(i);
  });
}

function serverOf({ world }: Context, event: ScenarioEvent): ServerNode {
  return world.servers[event.target % world.servers.length]!;
}

function deviceOf({ world }: Context, event: ScenarioEvent): DeviceNode {
  return world.devices[event.target % world.devices.length]!;
}

function viewerOf({ world }: Context, event: ScenarioEvent): ViewerNode | null {
  return world.viewers[event.target % Math.max(1, world.viewers.length)] ?? null;
}

/** Copies come behind their originals in the world. */
function keepApart({ world, isApart }: Context, device: DeviceNode): void {
  if (isApart) world.network.route(device.name, world.devices.indexOf(device) % world.servers.length);
}

/** Ends a fault after its time, unless all was healed before. */
function later(context: Context, delayMs: number, end: () => void): void {
  context.world.scheduler.after(delayMs, null, () => {
    if (!context.isHealed) end();
  });
}

type Action = (context: Context, event: ScenarioEvent) => void;

const serverActions = {
  'server-kill'(context, event) {
    const server = serverOf(context, event);
    if (server.process === null) return;
    context.witness.ends(server);
    server.kill();
    later(context, event.forMs, () => server.start());
  },
  'server-pause'(context, event) {
    const server = serverOf(context, event);
    if (server.process === null) return;
    server.stop();
    later(context, event.forMs, () => server.resume());
  },
  'server-drain'(context, event) {
    const server = serverOf(context, event);
    if (server.process === null || server.process.isStopped) return;
    context.witness.ends(server);
    server.drain();
    later(context, event.forMs + 200, () => server.start());
  },
  'server-clock-jump': (context, event) => serverOf(context, event).clock.jump(jumpMs(event)),
  'server-clock-drift': (context, event) => serverOf(context, event).clock.setDrift(driftPpm(event)),
} satisfies Partial<Record<FaultKind, Action>>;

/** Mostly seconds, now and then to another century. */
function jumpMs({ amount }: ScenarioEvent): number {
  if (amount < 0.1) return -50 * 365 * 86_400_000;
  if (amount > 0.9) return 80 * 365 * 86_400_000;
  return Math.round((amount - 0.5) * 20_000);
}

/** A cheap quartz is off by 100 ppm; a broken one by a hundredth. */
function driftPpm({ amount }: ScenarioEvent): number {
  return Math.round((amount - 0.5) * 20_000);
}

const networkActions = {
  cut: (context, event) => context.world.network.cut(deviceOf(context, event).name),
  'cut-mid-message': (context, event) => context.world.network.cutMidMessage(deviceOf(context, event).name),
  'half-open-up': (context, event) =>
    context.world.network.halfOpen(deviceOf(context, event).name, 'up', event.forMs),
  'half-open-down': (context, event) =>
    context.world.network.halfOpen(deviceOf(context, event).name, 'down', event.forMs),
  'half-open': (context, event) =>
    context.world.network.halfOpen(deviceOf(context, event).name, 'both', event.forMs),
  split: (context, event) => context.world.network.split(deviceOf(context, event).name, event.forMs),
  /** The next connection goes to another server while the old one still works on what it has. */
  'two-instances'(context, event) {
    const { network, servers } = context.world;
    const { name } = deviceOf(context, event);
    network.route(name, Math.floor(event.amount * servers.length) % servers.length);
    network.split(name, event.forMs);
    later(context, event.forMs + 500, () => network.route(name, null));
  },
  unreachable(context, event) {
    const { name } = deviceOf(context, event);
    context.world.network.setUnreachable(name, true);
    later(context, event.forMs, () => context.world.network.setUnreachable(name, false));
  },
  'slow-line'(context, event) {
    const { name } = deviceOf(context, event);
    const { network } = context.world;
    network.setLatency(name, 50, 100 + Math.round(event.amount * 1500));
    later(context, event.forMs, () => network.setLatency(name, ...context.scenario.latencyMs));
  },
  'narrow-line'(context, event) {
    const { name } = deviceOf(context, event);
    context.world.network.setBandwidth(name, 500 + Math.round(event.amount * 20_000));
    later(context, event.forMs, () => context.world.network.setBandwidth(name, null));
  },
} satisfies Partial<Record<FaultKind, Action>>;

/** The machine comes back, and the program goes on with what it recorded. */
function bootLater(context: Context, device: DeviceNode, event: ScenarioEvent): void {
  later(context, event.forMs, () => device.boot());
}

const deviceActions = {
  'device-kill'(context, event) {
    const device = deviceOf(context, event);
    device.kill();
    bootLater(context, device, event);
  },
  'power-loss'(context, event) {
    const device = deviceOf(context, event);
    device.losePower(Math.round(event.amount ** 2 * 20_000));
    bootLater(context, device, event);
  },
  'corrupt-tail'(context, event) {
    const device = deviceOf(context, event);
    // Bits that are flipped twice are right again: a medium that heals itself is none that any store promises to survive.
    if (context.corrupted.has(device)) return;
    context.corrupted.add(device);
    device.corruptTail(1 + Math.round(event.amount ** 3 * 3000));
    bootLater(context, device, event);
  },
  wipe(context, event) {
    const device = deviceOf(context, event);
    device.wipe();
    bootLater(context, device, event);
  },
  clone(context, event) {
    const device = deviceOf(context, event);
    // Two are enough to fight, and each has to be heard in the end.
    if (context.world.devices.length >= context.scenario.devices.length + 2) return;
    const copy = device.clone();
    keepApart(context, copy);
    context.recording.set(copy, new Set(context.recording.get(device)));
  },
  'device-disk-full'(context, event) {
    const device = deviceOf(context, event);
    device.setDiskRoom(Math.round(event.amount * 4000));
    later(context, event.forMs, () => device.setDiskRoom(null));
  },
  'clock-jump': (context, event) => deviceOf(context, event).clock.jump(jumpMs(event)),
  'clock-drift': (context, event) => deviceOf(context, event).clock.setDrift(driftPpm(event)),
  'sensor-fault': (context, event) =>
    ofStream(context, event, (device, stream) => device.lose(stream, 1 + Math.round(event.amount * 30))),
  'pause-stream': (context, event) =>
    ofStream(context, event, (device, stream) => {
      device.pause(stream);
      later(context, event.forMs, () => {
        if (context.recording.get(device)?.has(stream) === true) device.record(stream);
      });
    }),
  'end-stream': (context, event) =>
    ofStream(context, event, (device, stream) => endFor(context, event, device, stream)),
  /** The session is closed while its newest data are still on the device. */
  'end-offline': (context, event) =>
    ofStream(context, event, (device, stream) => {
      context.world.network.setUnreachable(device.name, true);
      later(context, 300, () => endFor(context, event, device, stream));
      later(context, 300 + event.forMs, () => context.world.network.setUnreachable(device.name, false));
    }),
  'other-axes': (context, event) =>
    ofStream(context, event, (device, stream) => device.reopenWithOtherAxes(stream)),
} satisfies Partial<Record<FaultKind, Action>>;

function ofStream(
  context: Context,
  event: ScenarioEvent,
  act: (device: DeviceNode, stream: number) => void,
): void {
  const device = deviceOf(context, event);
  const stream = event.stream % planOf(context, device).streams.length;
  if (context.recording.get(device)?.has(stream) === true) act(device, stream);
}

/** The program records on under a new id, after a while. */
function endFor(context: Context, event: ScenarioEvent, device: DeviceNode, stream: number): void {
  const streams = context.recording.get(device);
  if (streams?.delete(stream) !== true) return;
  device.end(stream);
  later(context, event.forMs, () => {
    device.record(stream);
    streams.add(stream);
  });
}

const viewerActions = {
  'viewer-kill'(context, event) {
    const viewer = viewerOf(context, event);
    viewer?.kill();
    if (viewer !== null) later(context, event.forMs, () => viewer.boot());
  },
  'viewer-slow'(context, event) {
    const viewer = viewerOf(context, event);
    viewer?.setSlow(true);
    if (viewer !== null) later(context, event.forMs, () => viewer.setSlow(false));
  },
  'viewer-cut'(context, event) {
    const viewer = viewerOf(context, event);
    if (viewer !== null) context.world.network.cut(viewer.name);
  },
} satisfies Partial<Record<FaultKind, Action>>;

const databaseActions = {
  'db-crash'({ world, witness }, event) {
    world.database.faults.crash(event.forMs);
    witness.crashed();
  },
  'commit-answer-lost': ({ world }) => world.database.faults.nextCommit('answer-lost'),
  'commit-dies-before': ({ world }) => world.database.faults.nextCommit('dies-before'),
  'commit-dies-during': ({ world }) => world.database.faults.nextCommit('dies-during'),
  'kill-backends': ({ world }) => world.database.faults.killBackends(),
  'db-disk-full'(context, event) {
    context.world.database.faults.setDiskFull(true);
    later(context, event.forMs, () => context.world.database.faults.setDiskFull(false));
  },
  'missing-partition': ({ world }) => world.database.faults.missPartition(),
  'refuse-stream'(context, event) {
    const ids = [...context.world.database.tables.streams.keys()];
    const id = ids[event.stream % Math.max(1, ids.length)];
    if (id === undefined) return;
    context.refused.add(id);
    context.world.database.faults.refuseStream(id);
    later(context, event.forMs, () => context.world.database.faults.refuseStream(null));
  },
  'db-slow'(context, event) {
    const { faults } = context.world.database;
    faults.setLatency(5, 20 + event.amount ** 2 * 3000);
    later(context, event.forMs, () => faults.setLatency(...QUICK_MS));
  },
  'db-freeze': ({ world }, event) => world.database.faults.freeze(event.forMs),
  restore({ world, witness, hasBackUp }) {
    if (!hasBackUp) return;
    witness.goesBack(true);
    world.database.faults.restore();
    witness.wentBack();
  },
  'failover-synchronous'({ world, witness }) {
    witness.goesBack(false);
    world.database.faults.failover(0);
    witness.wentBack();
  },
  'failover-asynchronous'({ world, witness }, event) {
    witness.goesBack(true);
    world.database.faults.failover(Math.round(event.amount * 3000));
    witness.wentBack();
  },
  'erase-stream'({ world, witness }, event) {
    const ids = [...world.database.tables.streams.keys()];
    const id = ids[event.stream % Math.max(1, ids.length)];
    if (id === undefined) return;
    witness.erases(id);
    void world.database.faults.erase(id).then(() => witness.hasErased(id));
  },
  'erase-session'({ world, witness }, event) {
    const streams = [...world.database.tables.streams.values()];
    const id = streams[event.stream % Math.max(1, streams.length)]?.definition.session;
    if (id === undefined) return;
    witness.erases(id);
    void world.database.faults.erase(id).then(() => witness.hasErased(id));
  },
} satisfies Partial<Record<FaultKind, Action>>;

const actions: Record<FaultKind, Action> = {
  ...serverActions,
  ...networkActions,
  ...deviceActions,
  ...viewerActions,
  ...databaseActions,
};

/** Of one message between a server and a healthy database. */
export const QUICK_MS = [0.2, 2] as const;

/** One that is still draining is started when it is done. */
function startServers(world: World): void {
  for (const server of world.servers) server.start();
  world.scheduler.after(1000, null, () => startServers(world));
}

function heal(context: Context): void {
  const { world, scenario } = context;
  context.isHealed = true;
  const { faults } = world.database;
  faults.setDiskFull(false);
  faults.refuseStream(null);
  faults.setLatency(...QUICK_MS);
  for (const server of world.servers) server.resume();
  startServers(world);
  const names = [...world.devices, ...world.viewers].map(({ name }) => name);
  for (const name of names) {
    world.network.setUnreachable(name, false);
    world.network.setBandwidth(name, null);
    world.network.setLatency(name, ...scenario.latencyMs);
    world.network.route(name, null);
    // Without a bus between the servers a viewer sees what comes to its own.
    if (scenario.servers > 1 && scenario.viewers.length > 0) {
      world.network.route(name, 0);
      world.network.cut(name);
    }
  }
  for (const device of world.devices) {
    device.setDiskRoom(null);
    device.boot();
    // Who was refused for good says so to its user; here the user tries again once what was wrong is mended.
    if (context.refused.size > 0) world.network.cut(device.name);
    const streams = context.recording.get(device) ?? new Set<number>();
    context.recording.set(device, streams);
    planOf(context, device).streams.forEach((_, i) => {
      device.record(i);
      streams.add(i);
    });
  }
  for (const viewer of world.viewers) {
    viewer.setSlow(false);
    viewer.boot();
  }
}
