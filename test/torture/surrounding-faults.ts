/** Owns the faults of what surrounds the processes: network links, disks and clocks. */

import type { Random } from '#base/random.ts';
import type { BadLink, SilentDirection } from '#test/torture/bad-link.ts';
import type { DeviceNamespace } from '#test/torture/device-namespace.ts';
import {
  between,
  nameOf,
  pick,
  somePrey,
  type FaultKind,
  type Strike,
  type TorturedWorld,
} from '#test/torture/fault.ts';

const here = (): null => null;

function strikeLinks(
  world: TorturedWorld,
  random: Random,
  fault: { begin: (link: BadLink) => void; end: (link: BadLink) => void; says?: string },
): Promise<Strike> {
  const affected = somePrey(world, random);
  for (const { link } of affected) fault.begin(link);
  return Promise.resolve({
    target: `${nameOf(affected)}${fault.says === undefined ? '' : `, ${fault.says}`}`,
    affected,
    async heal() {
      for (const { link } of affected) fault.end(link);
    },
  });
}

const networkFaults: FaultKind[] = [
  {
    name: 'network cut',
    group: 'network',
    isMain: true,
    hold: [200, 4_000],
    takesDatabase: false,
    absent: here,
    strike: (world, random) =>
      strikeLinks(world, random, {
        begin(link) {
          link.setRefusing(true);
          link.cut();
        },
        end: (link) => link.setRefusing(false),
      }),
  },
  {
    name: 'network half-open',
    group: 'network',
    isMain: true,
    hold: [1_000, 5_000],
    takesDatabase: false,
    absent: here,
    strike(world, random) {
      const direction = pick<SilentDirection>(random, ['up', 'down', 'both']);
      return strikeLinks(world, random, {
        begin: (link) => link.silence(direction),
        end: (link) => link.heal(),
        says: direction,
      });
    },
  },
  {
    name: 'network delayed',
    group: 'network',
    isMain: false,
    hold: [3_000, 8_000],
    takesDatabase: false,
    absent: here,
    strike(world, random) {
      const delayMs = Math.round(between(random, [50, 800]));
      return strikeLinks(world, random, {
        begin: (link) => link.setDelay(delayMs),
        end: (link) => link.setDelay(0),
        says: `${delayMs} ms`,
      });
    },
  },
  {
    name: 'network standing still',
    group: 'network',
    isMain: false,
    hold: [1_000, 6_000],
    takesDatabase: false,
    absent: here,
    strike: (world, random) =>
      strikeLinks(world, random, {
        begin: (link) => link.setStanding(true),
        end: (link) => link.setStanding(false),
      }),
  },
  {
    name: 'network throttled',
    group: 'network',
    isMain: false,
    hold: [3_000, 8_000],
    takesDatabase: false,
    absent: here,
    strike(world, random) {
      // A device of four streams makes some 22 kB/s.
      const rate = Math.round(between(random, [4_000, 30_000]));
      return strikeLinks(world, random, {
        begin: (link) => link.setRate(rate),
        end: (link) => link.setRate(null),
        says: `${Math.round(rate / 1000)} kB/s`,
      });
    },
  },
];

/** The kernel's own link of the device process that has a namespace. */
function linkFault(
  name: string,
  isMain: boolean,
  fault: { begin: (link: DeviceNamespace, random: Random) => string; end: (link: DeviceNamespace) => void },
): FaultKind {
  return {
    name,
    group: 'network',
    isMain,
    hold: [1_000, 6_000],
    takesDatabase: false,
    absent: ({ namespace }) => ('absent' in namespace ? namespace.absent : null),
    strike({ namespace, fleet }, random) {
      if ('absent' in namespace) throw new Error('asked for where there is none');
      const affected = fleet.at(-1)!.devices;
      const says = fault.begin(namespace, random);
      const heal = async (): Promise<void> => fault.end(namespace);
      return Promise.resolve({ target: `${nameOf(affected)}${says}`, affected, heal });
    },
  };
}

const linkFaults: FaultKind[] = [
  linkFault('kernel link down', true, {
    begin(link) {
      link.setDown(true);
      return '';
    },
    end: (link) => link.setDown(false),
  }),
  linkFault('kernel link slow', false, {
    begin(link, random) {
      const rate = Math.round(between(random, [8_000, 40_000]));
      link.setRate(rate);
      return `, ${Math.round(rate / 1000)} kB/s`;
    },
    end: (link) => link.setRate(null),
  }),
];

const diskFaults: FaultKind[] = [
  {
    name: 'database disk full',
    group: 'disk',
    isMain: true,
    hold: [1_000, 5_000],
    takesDatabase: true,
    absent: (world) => (world.database.disk === null ? world.database.noDisk : null),
    strike(world) {
      world.database.disk!.fill();
      return Promise.resolve({
        target: 'database',
        affected: world.devices,
        async heal() {
          world.database.disk!.free();
          await world.revive();
        },
      });
    },
  },
  {
    // Its log has no room: PostgreSQL panics, and cannot start until there is some.
    name: 'database log disk full',
    group: 'disk',
    isMain: false,
    hold: [1_000, 4_000],
    takesDatabase: true,
    absent: (world) => (world.database.disk === null ? world.database.noDisk : null),
    async strike(world) {
      world.database.disk!.fill();
      await world.database.useUpLog();
      return {
        target: 'database',
        affected: world.devices,
        async heal() {
          world.database.disk!.free();
          await world.revive();
        },
      };
    },
  },
  {
    name: 'device disk full',
    group: 'disk',
    isMain: true,
    hold: [1_000, 5_000],
    takesDatabase: false,
    absent: (world) => (world.deviceDisk === null ? 'it has no disk of its own either' : null),
    strike(world) {
      const { device, disk } = world.deviceDisk!;
      disk.fill();
      const heal = async (): Promise<void> => disk.free();
      return Promise.resolve({ target: nameOf([device]), affected: [device], heal });
    },
  },
];

/** From a bad crystal to a clock that was set to another day. */
const skewsMs = [-93_600_000, -90_000, -1_500, 1_500, 90_000, 93_600_000];

const clockFaults: FaultKind[] = [
  {
    name: 'device clock set',
    group: 'clock',
    isMain: true,
    hold: [1_500, 5_000],
    takesDatabase: false,
    absent: here,
    strike(world, random) {
      const prey = pick(
        random,
        world.fleet.filter(({ isCalm }) => !isCalm),
      );
      const skewMs = pick(random, skewsMs);
      prey.setClock(skewMs);
      const heal = async (): Promise<void> => prey.setClock(0);
      const target = `${nameOf(prey.devices)}, ${skewMs / 1000} s`;
      return Promise.resolve({ target, affected: prey.devices, heal });
    },
  },
  {
    name: 'server clock set',
    group: 'clock',
    isMain: false,
    hold: [1_500, 5_000],
    takesDatabase: false,
    absent: here,
    strike(world, random) {
      const server = pick(random, world.servers);
      const skewMs = pick(random, skewsMs);
      server.setClock(skewMs);
      const heal = async (): Promise<void> => server.setClock(0);
      const affected = world.devices.filter(({ home }) => home === server.index);
      return Promise.resolve({ target: `server ${server.index}, ${skewMs / 1000} s`, affected, heal });
    },
  },
];

export const surroundingFaults: readonly FaultKind[] = [
  ...networkFaults,
  ...linkFaults,
  ...diskFaults,
  ...clockFaults,
];
