/** Owns the faults of processes: servers, device processes, PostgreSQL and its backends, killed, stopped and restarted. */

import { integerBelow, type Random } from '#base/random.ts';
import {
  between,
  nameOf,
  pick,
  type FaultKind,
  type Strike,
  type TorturedWorld,
} from '#test/torture/fault.ts';
import type { FleetDevice } from '#test/torture/fleet.ts';
import type { TorturedServer } from '#test/torture/tortured-server.ts';

const here = (): null => null;

function homeOf(world: TorturedWorld, server: TorturedServer): FleetDevice[] {
  return world.devices.filter(({ home }) => home === server.index);
}

/** Leads the devices of a server to the next one, or back home, cutting what connects them. */
function route(world: TorturedWorld, devices: readonly FleetDevice[], isAway: boolean): void {
  for (const { link, home } of devices) {
    link.setTarget(world.servers[(home + (isAway ? 1 : 0)) % world.servers.length]!.port);
    link.cut();
  }
}

async function strikeServer(
  world: TorturedWorld,
  random: Random,
  fault: { begin: (server: TorturedServer) => Promise<void>; end: (server: TorturedServer) => Promise<void> },
): Promise<Strike> {
  const server = pick(random, world.servers);
  const startedMs = performance.now();
  await fault.begin(server);
  const tookS = (performance.now() - startedMs) / 1000;
  return {
    // One that is asked to go takes its time.
    target: `server ${server.index}${tookS < 0.5 ? '' : `, gone in ${tookS.toFixed(1)} s`}`,
    affected: homeOf(world, server),
    heal: () => fault.end(server),
  };
}

/** The same with the devices led to another server at once: they have recovered when that one acknowledges. */
async function strikeAndReroute(
  world: TorturedWorld,
  random: Random,
  fault: { begin: (server: TorturedServer) => Promise<void>; end: (server: TorturedServer) => Promise<void> },
): Promise<Strike> {
  const server = pick(random, world.servers);
  const affected = homeOf(world, server);
  await fault.begin(server);
  route(world, affected, true);
  return {
    target: `server ${server.index}`,
    affected,
    heal: () => Promise.resolve(),
    async finish() {
      await fault.end(server);
      route(world, affected, false);
    },
  };
}

const killed = {
  begin: (server: TorturedServer) => server.end('SIGKILL'),
  end: (server: TorturedServer) => server.start(),
};
const stopped = {
  begin: async (server: TorturedServer) => server.signal('SIGSTOP'),
  end: async (server: TorturedServer) => server.signal('SIGCONT'),
};
const drained = {
  begin: (server: TorturedServer) => server.end('SIGTERM'),
  end: (server: TorturedServer) => server.start(),
};

const left = { begin: () => Promise.resolve(), end: () => Promise.resolve() };

const serverFaults: FaultKind[] = [
  {
    // Both servers live, and the one that was left still has readings to store that the other is sent again.
    name: 'devices moved',
    group: 'server',
    isMain: true,
    hold: [0, 0],
    takesDatabase: false,
    absent: here,
    strike: (world, random) => strikeAndReroute(world, random, left),
  },
  {
    name: 'server killed',
    group: 'server',
    isMain: true,
    hold: [300, 3_000],
    takesDatabase: false,
    absent: here,
    strike: (world, random) => strikeServer(world, random, killed),
  },
  {
    name: 'server killed, devices moved',
    group: 'server',
    isMain: false,
    hold: [0, 0],
    takesDatabase: false,
    absent: here,
    strike: (world, random) => strikeAndReroute(world, random, killed),
  },
  {
    name: 'server stopped',
    group: 'server',
    isMain: true,
    hold: [1_000, 6_000],
    takesDatabase: false,
    absent: here,
    strike: (world, random) => strikeServer(world, random, stopped),
  },
  {
    // A zombie: it wakes while another server has its streams.
    name: 'server stopped, devices moved',
    group: 'server',
    isMain: false,
    hold: [0, 0],
    takesDatabase: false,
    absent: here,
    strike: (world, random) => strikeAndReroute(world, random, stopped),
  },
  {
    name: 'server drained',
    group: 'server',
    isMain: false,
    hold: [300, 2_000],
    takesDatabase: false,
    absent: here,
    strike: (world, random) => strikeServer(world, random, drained),
  },
];

const deviceFaults: FaultKind[] = [
  {
    name: 'devices killed',
    group: 'device',
    isMain: true,
    hold: [200, 3_000],
    takesDatabase: false,
    absent: here,
    async strike(world, random) {
      const prey = pick(
        random,
        world.fleet.filter(({ isCalm }) => !isCalm),
      );
      await prey.kill();
      return { target: nameOf(prey.devices), affected: prey.devices, heal: () => prey.start() };
    },
  },
  {
    name: 'devices stopped',
    group: 'device',
    isMain: false,
    hold: [1_000, 6_000],
    takesDatabase: false,
    absent: here,
    strike(world, random) {
      const prey = pick(
        random,
        world.fleet.filter(({ isCalm }) => !isCalm),
      );
      prey.signal('SIGSTOP');
      const heal = async (): Promise<void> => prey.signal('SIGCONT');
      return Promise.resolve({ target: nameOf(prey.devices), affected: prey.devices, heal });
    },
  },
];

function databaseEnded(name: string, how: 'SIGINT' | 'SIGQUIT' | 'SIGKILL', isMain: boolean): FaultKind {
  return {
    name,
    group: 'database',
    isMain,
    hold: [200, 3_000],
    takesDatabase: true,
    absent: here,
    async strike(world) {
      await world.database.end(how);
      return { target: 'database', affected: world.devices, heal: () => world.revive() };
    },
  };
}

function backendEnded(name: string, how: 'SIGTERM' | 'SIGKILL', isMain: boolean): FaultKind {
  return {
    name,
    group: 'database',
    isMain,
    hold: [0, 0],
    takesDatabase: true,
    absent: here,
    async strike(world, random) {
      const wasThere = await world.database.signalBackend(how, (count) => integerBelow(random, count));
      return {
        target: wasThere ? 'a writing backend' : 'no backend was there',
        affected: world.devices,
        heal: () => world.revive(),
      };
    },
  };
}

const databaseFaults: FaultKind[] = [
  databaseEnded('database restarted fast', 'SIGINT', false),
  databaseEnded('database restarted immediately', 'SIGQUIT', false),
  databaseEnded('postmaster killed', 'SIGKILL', true),
  backendEnded('backend terminated', 'SIGTERM', false),
  backendEnded('backend killed', 'SIGKILL', true),
  {
    // What was being committed when it stood still is never heard of again.
    name: 'database frozen, then killed',
    group: 'database',
    isMain: false,
    hold: [200, 2_000],
    takesDatabase: true,
    absent: here,
    async strike(world, random) {
      world.database.freeze(true);
      await new Promise((resolve) => setTimeout(resolve, between(random, [300, 1_500])));
      await world.database.crash();
      return { target: 'database', affected: world.devices, heal: () => world.revive() };
    },
  },
  {
    name: 'database frozen',
    group: 'database',
    isMain: false,
    hold: [1_000, 6_000],
    takesDatabase: true,
    absent: here,
    strike(world) {
      world.database.freeze(true);
      const heal = async (): Promise<void> => world.database.freeze(false);
      return Promise.resolve({ target: 'database', affected: world.devices, heal });
    },
  },
];

export const processFaults: readonly FaultKind[] = [...serverFaults, ...deviceFaults, ...databaseFaults];
