/**
 * Owns what a fault is: a kind with a name, how long it lasts, and a strike that says whom it hits, how what it took away
 * comes back, and how things are led to where they were. Faults act on the run's parts only through TorturedWorld.
 */

import { integerBelow, type Random } from '#base/random.ts';
import type { DeviceNamespace } from '#test/torture/device-namespace.ts';
import type { FleetDevice, FleetProcess } from '#test/torture/fleet.ts';
import type { PrivateDisk } from '#test/torture/private-disk.ts';
import type { TorturedDatabase } from '#test/torture/tortured-database.ts';
import type { TorturedServer } from '#test/torture/tortured-server.ts';

export interface TorturedWorld {
  readonly database: TorturedDatabase;
  readonly servers: readonly TorturedServer[];
  readonly fleet: readonly FleetProcess[];
  readonly devices: readonly FleetDevice[];
  /** The namespace of the last device process; a text says why there is none. */
  readonly namespace: DeviceNamespace | { readonly absent: string };
  /** The disk of one device's store; null where none is permitted. */
  readonly deviceDisk: { readonly device: FleetDevice; readonly disk: PrivateDisk } | null;
  /** Brings the database and every server up, whoever took them down. */
  revive(): Promise<void>;
}

export interface Strike {
  readonly target: string;
  readonly affected: readonly FleetDevice[];
  /** Resolves when what was taken away is back: recovery counts from then. */
  heal(): Promise<void>;
  /** Once all have recovered: leads things back to where they were, which may disturb again. */
  finish?(): Promise<void>;
}

export type FaultGroup = 'server' | 'database' | 'device' | 'network' | 'disk' | 'clock';

export interface FaultKind {
  readonly name: string;
  readonly group: FaultGroup;
  /** In every run, also the shortest: a main kind of fault. */
  readonly isMain: boolean;
  /** Milliseconds from strike to heal. */
  readonly hold: readonly [number, number];
  /** It takes the database away, and so never comes together with another one that does. */
  readonly takesDatabase: boolean;
  /** Why it cannot be here; null when it can. */
  absent(world: TorturedWorld): string | null;
  strike(world: TorturedWorld, random: Random): Promise<Strike>;
}

export function pick<T>(random: Random, items: readonly T[]): T {
  return items[integerBelow(random, items.length)]!;
}

/** Between the two, both included. */
export function between(random: Random, [least, most]: readonly [number, number]): number {
  return least + random.next() * (most - least);
}

/** One or two devices that are not calm. */
export function somePrey(world: TorturedWorld, random: Random): FleetDevice[] {
  const prey = world.devices.filter((device) => !device.isCalm);
  const first = pick(random, prey);
  const second = pick(random, prey);
  return first === second ? [first] : [first, second];
}

export function nameOf(devices: readonly FleetDevice[]): string {
  return `device ${devices.map(({ device }) => device).join(', ')}`;
}
