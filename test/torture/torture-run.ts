/**
 * Owns one torture run from its first process to its verdict: database, servers, links, fleet and viewers are brought up,
 * attacked, healed and drained, and what is stored is compared with what was made and acknowledged. Everything it starts
 * ends with it, however it ends.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { AppError } from '#base/errors.ts';
import { seededRandom } from '#base/random.ts';
import {
  createSharedClock,
  describeMachine,
  sharedClockBaseUs,
  type Machine,
} from '#bench/support/machine.ts';
import { createFleetAccounts } from '#simulator/fleet-accounts.ts';
import { freePort } from '#test/support/kymo-process.ts';
import { startAcknowledgementAudit, type AcknowledgementAudit } from '#test/torture/acknowledgement-audit.ts';
import { openBadLink, type BadLink } from '#test/torture/bad-link.ts';
import type { FaultKind, TorturedWorld } from '#test/torture/fault.ts';
import { openDeviceNamespace } from '#test/torture/device-namespace.ts';
import { createFleet, groupsOf, type FleetDevice, type FleetProcess } from '#test/torture/fleet.ts';
import { attack } from '#test/torture/nemesis.ts';
import { mountPrivateDisk, type PrivateDisk } from '#test/torture/private-disk.ts';
import { processFaults } from '#test/torture/process-faults.ts';
import { createRecorder, type Recorder, type Undisturbed } from '#test/torture/recorder.ts';
import { createRunGuard, type RunGuard } from '#test/torture/run-guard.ts';
import { mustBeZero, type Verdict } from '#test/torture/stored-check.ts';
import { checkEverything } from '#test/torture/stored-rows.ts';
import { surroundingFaults } from '#test/torture/surrounding-faults.ts';
import { startTorturedDatabase, type TorturedDatabase } from '#test/torture/tortured-database.ts';
import { createTorturedServer, type TorturedServer } from '#test/torture/tortured-server.ts';
import type { WatchSample } from '#test/torture/viewer-messages.ts';
import { startViewers } from '#test/torture/viewers.ts';

const POINT_MS = 500;
/** Before the first fault, to know how it is without. */
const CALM_S = 4;
const DRAIN_MS = 120_000;
/** The store of a device of some streams grows by less than this between two acknowledgements and a full disk. */
const DEVICE_DISK_MIB = 96;
/** Runs shorter than this have shorter holds and pauses, so that every main kind fits in. */
const FULL_PACE_MINUTES = 2;

export interface TortureSettings {
  readonly minutes: number;
  readonly seed: number;
  readonly devices: number;
  readonly streams: number;
  readonly servers: number;
  readonly heartbeatMs: number;
  /** Only kinds of faults whose name or group contains it; empty for all. */
  readonly faults?: string;
  readonly logDirectory: string;
  readonly say: (text: string) => void;
  /** Called after the verdict while all is still there; `check` gives another one. */
  readonly afterwards?: (parts: { ownerUrl: string; check: () => Promise<Verdict> }) => Promise<void>;
}

export interface TortureOutcome {
  readonly isGood: boolean;
  readonly machine: Machine;
  readonly databaseMedium: string;
  readonly networkMedium: string;
  readonly recorder: Recorder;
  readonly attackS: readonly [number, number];
  readonly baseline: Undisturbed | null;
  readonly absent: readonly { readonly kind: string; readonly why: string }[];
  readonly verdict: Verdict;
  /** What was not delivered in the end; empty when all was. */
  readonly left: readonly string[];
  readonly drainS: number;
  /** Servers that ended without being told to. */
  readonly serverDeaths: number;
  /** Acknowledged readings that were not in the database at some time after, and how often that was looked at. */
  readonly forgotten: number;
  readonly looks: number;
  readonly liveFrames: number;
  /** Live frames whose bytes were not those of the readings they claim to hold. */
  readonly liveWrong: number;
  /** What devices and viewers complained about, and how often. */
  readonly troubles: ReadonlyMap<string, number>;
}

interface Parts {
  readonly settings: TortureSettings;
  readonly guard: RunGuard;
  readonly database: TorturedDatabase;
  readonly servers: readonly TorturedServer[];
  readonly links: readonly BadLink[];
  readonly audit: AcknowledgementAudit;
  readonly deviceDisk: PrivateDisk | null;
  readonly namespace: TorturedWorld['namespace'];
  readonly clockBaseUs: number;
  readonly nowUs: () => number;
  readonly nowS: () => number;
  readonly recorder: Recorder;
  readonly troubles: Map<string, number>;
  readonly live: Map<number, WatchSample>;
  readonly listeners: Map<number, Set<() => void>>;
  readonly counts: { acknowledged: number; serverDeaths: number };
  readonly closers: (() => Promise<unknown>)[];
}

/** Rejects when it cannot be brought up; all that it started is ended before it settles, also when `signal` fires. */
export async function runTorture(settings: TortureSettings, signal: AbortSignal): Promise<TortureOutcome> {
  const guard = createRunGuard();
  const closers: (() => Promise<unknown>)[] = [() => guard.release()];
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('interrupted')), { once: true });
  });
  // How it all falls apart after an interruption is nobody's news.
  const say = (text: string): void => (signal.aborted ? undefined : settings.say(text));
  const running = bringUp({ ...settings, say }, guard, closers).then((parts) => torture(parts));
  // Once interrupted, nobody waits for how it fails.
  running.catch(() => undefined);
  try {
    return await Promise.race([running, aborted]);
  } finally {
    // Nothing of an interrupted run is kept, so nothing in it has to end well.
    for (const close of signal.aborted ? closers.slice(0, 1) : closers.toReversed())
      await close().catch((error: unknown) => settings.say(String(error)));
  }
}

async function bringUp(
  settings: TortureSettings,
  guard: RunGuard,
  closers: (() => Promise<unknown>)[],
): Promise<Parts> {
  const { say } = settings;
  mkdirSync(settings.logDirectory, { recursive: true });
  const clockBaseUs = sharedClockBaseUs();
  const nowUs = createSharedClock(clockBaseUs);
  const startUs = nowUs();
  const counts = { acknowledged: 0, serverDeaths: 0 };
  say('starting PostgreSQL');
  const database = await startTorturedDatabase(guard, say);
  closers.push(() => database.stop());
  const dataDirectory = join(guard.directory, 'servers');
  const servers: TorturedServer[] = [];
  for (let index = 0; index < settings.servers; index++) {
    const server = createTorturedServer({
      index,
      port: await freePort(),
      databaseUrl: database.ownerUrl,
      dataDirectory,
      workDirectory: guard.directory,
      logDirectory: settings.logDirectory,
      heartbeatMs: settings.heartbeatMs,
      onDeath: () => {
        counts.serverDeaths++;
        say(`server ${index} ended by itself`);
      },
    });
    servers.push(server);
    closers.push(() => server.end('SIGTERM'));
    say(`starting server ${index}`);
    await server.start();
  }
  const audit = startAcknowledgementAudit(database.ownerUrl, say);
  closers.push(async () => audit.stop());
  const linkRandom = seededRandom(settings.seed);
  const namespace = openDeviceNamespace(guard);
  const inNamespace = 'absent' in namespace ? [] : groupsOf(settings.devices, settings.servers).at(-1)!;
  const links: BadLink[] = [];
  for (let device = 0; device < settings.devices; device++) {
    const target = servers[device % servers.length]!.port;
    const host = 'absent' in namespace || !inNamespace.includes(device) ? '127.0.0.1' : namespace.host;
    const link = await openBadLink({ target, host, random: linkRandom.next });
    links.push(link);
    closers.push(() => link.close());
  }
  const deviceDirectory = join(guard.directory, 'device-disk');
  mkdirSync(deviceDirectory);
  const deviceDisk = mountPrivateDisk(guard, {
    directory: deviceDirectory,
    imageFile: join(guard.directory, 'device-disk.image'),
    mebibytes: DEVICE_DISK_MIB,
    kinds: ['tmpfs', 'ext4'],
  });
  const nowS = (): number => (nowUs() - startUs) / 1e6;
  return {
    settings,
    guard,
    database,
    servers,
    links,
    audit,
    namespace,
    deviceDisk: 'absent' in deviceDisk ? null : deviceDisk,
    clockBaseUs,
    nowUs,
    nowS,
    recorder: createRecorder(nowS),
    troubles: new Map(),
    live: new Map(),
    listeners: new Map(),
    counts,
    closers,
  };
}

async function torture(parts: Parts): Promise<TortureOutcome> {
  const { settings, recorder, nowS, database, guard, counts, troubles, audit } = parts;
  const { say, seed } = settings;
  const journalDirectory = join(guard.directory, 'journals');
  mkdirSync(journalDirectory);
  const fleet = await startFleet(parts, journalDirectory);
  const world = worldOf(parts, fleet);
  await watchSessions(parts, world);
  const points = setInterval(() => point(parts, world), POINT_MS);
  parts.closers.push(async () => clearInterval(points));
  await pause(CALM_S * 1000);
  const baseline = recorder.between(nowS() - CALM_S, nowS(), (device) => world.devices[device]!.isCalm);
  const { kinds, absent } = chooseKinds(world, settings.faults ?? '');
  const attackFromS = nowS();
  await attack({
    world,
    kinds,
    random: seededRandom(seed),
    recorder,
    nowS,
    onAcknowledged: (device, told) => listen(parts, device, told),
    say,
    endsS: attackFromS + settings.minutes * 60,
    pace: settings.minutes < FULL_PACE_MINUTES ? 0.2 : 1,
  });
  const attackS = [attackFromS, nowS()] as const;
  say('all is healed; devices deliver what they have');
  const left = await drain(parts, world);
  const drainS = nowS() - attackS[1];
  clearInterval(points);
  await audit.look();
  audit.stop();
  for (const server of parts.servers) await server.end('SIGTERM');
  say('checking every reading');
  const check = (): Promise<Verdict> => checkEverything(database.ownerUrl, { seed, journalDirectory });
  const verdict = await check();
  await settings.afterwards?.({ ownerUrl: database.ownerUrl, check });
  const seen = [...parts.live.values()];
  const liveWrong = seen.reduce((sum, { wrong }) => sum + wrong, 0);
  const isGood =
    mustBeZero.every((name) => verdict[name] === 0) &&
    verdict.stored > 0 &&
    left.length === 0 &&
    liveWrong === 0 &&
    counts.serverDeaths === 0 &&
    audit.forgotten() === 0 &&
    recorder.faults.every(({ failure }) => failure === null);
  return {
    isGood,
    machine: describeMachine(),
    databaseMedium: database.medium,
    networkMedium: `a proxy of ours in user space, one a device; ${
      'absent' in world.namespace
        ? `no namespace of its own for a device process: ${world.namespace.absent}`
        : 'and a network namespace with a link of its own for one device process (ip link, tc tbf)'
    }`,
    recorder,
    attackS,
    baseline,
    absent,
    verdict,
    left,
    drainS,
    serverDeaths: counts.serverDeaths,
    forgotten: audit.forgotten(),
    looks: audit.looks,
    liveFrames: seen.reduce((sum, { frames }) => sum + frames, 0),
    liveWrong,
    troubles,
  };
}

/** The kinds asked for that can be here, and why others cannot. */
function chooseKinds(
  world: TorturedWorld,
  wanted: string,
): { kinds: FaultKind[]; absent: { kind: string; why: string }[] } {
  const kinds: FaultKind[] = [];
  const absent: { kind: string; why: string }[] = [];
  for (const kind of [...processFaults, ...surroundingFaults]) {
    if (!kind.name.includes(wanted) && kind.group !== wanted) continue;
    const why = kind.absent(world);
    if (why === null) kinds.push(kind);
    else absent.push({ kind: kind.name, why });
  }
  if (kinds.length === 0)
    throw new AppError('invalid-field', `no fault that is possible here is called '${wanted}'`);
  return { kinds, absent };
}

async function startFleet(parts: Parts, journalDirectory: string): Promise<readonly FleetProcess[]> {
  const { settings, servers, links, guard, recorder, counts, audit } = parts;
  const names = links.map((_, device) => `torture-${device}`);
  const server = servers[0]!;
  const url = `http://127.0.0.1:${server.port}`;
  const { keys } = await createFleetAccounts({ url, accessKey: server.accessKey }, names);
  const acknowledged = new Map<FleetDevice, number>();
  // The first device that is not calm has the small disk.
  const storePlaces = new Map<number, string>();
  if (parts.deviceDisk !== null)
    storePlaces.set(servers.length, join(guard.directory, 'device-disk', 'store'));
  const fleet = createFleet({
    seed: settings.seed,
    streams: settings.streams,
    streamSeconds: settings.minutes < FULL_PACE_MINUTES ? [8, 20] : [20, 90],
    clockBaseUs: parts.clockBaseUs,
    directory: guard.directory,
    logDirectory: settings.logDirectory,
    journalDirectory,
    keys,
    links,
    servers: servers.length,
    storePlaces,
    lastPrefix: 'absent' in parts.namespace ? [] : parts.namespace.prefix,
    onSample(device, sample) {
      const before = acknowledged.get(device) ?? 0;
      // A new life counts from zero.
      counts.acknowledged += sample.acknowledged - (sample.acknowledged < before ? 0 : before);
      acknowledged.set(device, sample.acknowledged);
      recorder.lags(device.device, sample.lags);
    },
    onAcknowledged(device, settled) {
      for (const entry of settled) audit.note(entry);
      for (const told of parts.listeners.get(device.device) ?? []) told();
    },
    onTrouble: (text) => note(parts, text),
  });
  settings.say(`starting ${fleet.length} device processes`);
  parts.closers.push(() => Promise.all(fleet.map((process) => process.kill())));
  await Promise.all(fleet.map((process) => process.start()));
  return fleet;
}

function worldOf(
  { database, servers, deviceDisk, namespace, listeners, audit }: Parts,
  fleet: readonly FleetProcess[],
): TorturedWorld {
  const devices = fleet.flatMap((process) => process.devices).toSorted((a, b) => a.device - b.device);
  for (const { device } of devices) listeners.set(device, new Set());
  return {
    database,
    servers,
    fleet,
    devices,
    namespace,
    deviceDisk: deviceDisk === null ? null : { device: devices[servers.length]!, disk: deviceDisk },
    async revive() {
      await database.start();
      // Before a device can send again what is gone.
      await audit.look();
      for (const server of servers) if (!server.isRunning) await server.start();
    },
  };
}

function listen({ listeners }: Parts, { device }: FleetDevice, told: () => void): () => void {
  const once = (): void => {
    stop();
    told();
  };
  const stop = (): void => void listeners.get(device)!.delete(once);
  listeners.get(device)!.add(once);
  return stop;
}

async function watchSessions(parts: Parts, { devices }: TorturedWorld): Promise<void> {
  const { settings, servers, guard, recorder, live } = parts;
  // A session is there once its first stream was opened, and so once something of it was acknowledged.
  await Promise.all(devices.map((device) => new Promise<void>((resolve) => listen(parts, device, resolve))));
  const viewers = await startViewers(
    {
      type: 'plan',
      clockBaseUs: parts.clockBaseUs,
      seed: settings.seed,
      accessKey: servers[0]!.accessKey,
      sessions: devices.map(({ device, session, home }) => ({ device, session, port: servers[home]!.port })),
    },
    {
      workDirectory: guard.directory,
      logDirectory: settings.logDirectory,
      onSample(sample) {
        live.set(sample.device, sample);
        if (devices[sample.device]!.isCalm) recorder.latencies(sample.device, sample.latencies);
      },
      onTrouble: (text) => note(parts, text),
    },
  );
  parts.closers.push(() => viewers.stop());
}

function note({ troubles }: Parts, text: string): void {
  troubles.set(text, (troubles.get(text) ?? 0) + 1);
}

function point({ recorder, counts, nowUs }: Parts, { devices }: TorturedWorld): void {
  const atUs = nowUs();
  const waitOf = (some: readonly FleetDevice[]): number =>
    Math.round(Math.max(...some.map(({ acknowledgedUs }) => atUs - acknowledgedUs)) / 1000);
  recorder.point({
    acknowledgedPerS: Math.round((counts.acknowledged * 1000) / POINT_MS),
    waitMs: waitOf(devices),
    calmWaitMs: waitOf(devices.filter(({ isCalm }) => isCalm)),
  });
  counts.acknowledged = 0;
}

async function drain({ servers, settings }: Parts, world: TorturedWorld): Promise<string[]> {
  world.database.freeze(false);
  world.database.disk?.free();
  world.deviceDisk?.disk.free();
  await world.revive();
  for (const server of servers) server.setClock(0);
  for (const process of world.fleet) {
    process.setClock(0);
    process.signal('SIGCONT');
    if (!process.isRunning) await process.start();
  }
  if (!('absent' in world.namespace)) world.namespace.setDown(false);
  for (const { link, home } of world.devices) {
    link.setTarget(servers[home]!.port);
    link.heal();
  }
  const left = await Promise.all(
    world.fleet.map((process) =>
      process.drain(DRAIN_MS).catch((error: unknown) => [`process ${process.index}: ${String(error)}`]),
    ),
  );
  for (const text of left.flat()) settings.say(text);
  return left.flat();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
