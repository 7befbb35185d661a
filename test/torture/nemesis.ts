/**
 * Owns the attack: faults drawn from the seed, one after the other, each healed, recovered from and followed by quiet.
 * Main kinds come first, then all, each as often as the others. One may accompany another of a different group. Bound: a device that is not acknowledged RECOVERY_MS after the heal is a failure.
 */

import { integerBelow, seededRandom, type Random } from '#base/random.ts';
import { messageOf } from '#base/errors.ts';
import { between, pick, type FaultKind, type TorturedWorld } from '#test/torture/fault.ts';
import type { FleetDevice } from '#test/torture/fleet.ts';
import type { FaultRecord, Recorder } from '#test/torture/recorder.ts';

/** Silence is noticed in three heartbeats and attempts come every 15 s at most; twice that is no recovery. */
const RECOVERY_MS = 60_000;
const QUIET_MS: readonly [number, number] = [1_000, 4_000];
/** How long moved devices stay at the other server. */
const AWAY_MS: readonly [number, number] = [2_000, 6_000];
const COMPANION_SHARE = 0.3;

export interface NemesisOptions {
  readonly world: TorturedWorld;
  readonly kinds: readonly FaultKind[];
  readonly random: Random;
  readonly recorder: Recorder;
  readonly nowS: () => number;
  /** Calls `told` at the next acknowledgement of the device; returns how to stop listening. */
  readonly onAcknowledged: (device: FleetDevice, told: () => void) => () => void;
  readonly say: (text: string) => void;
  readonly endsS: number;
  /** Shortens holds and quiet, for short runs. */
  readonly pace: number;
}

export async function attack(options: NemesisOptions): Promise<void> {
  const { kinds, random, nowS, endsS, pace } = options;
  let bag = shuffled(
    random,
    kinds.filter(({ isMain }) => isMain),
  );
  // The main kinds are in every run, if it takes longer for them.
  for (let isFirst = true; nowS() < endsS || (isFirst && bag.length > 0);) {
    const kind = bag.shift();
    if (kind === undefined) {
      bag = shuffled(random, kinds);
      isFirst = false;
      continue;
    }
    const others = kinds.filter((other) => mayMeet(kind, other));
    const companion = random.next() < COMPANION_SHARE && pace === 1 ? pick(random, others) : undefined;
    // Each with chance of its own: what happens first must not change what the other draws.
    const own = (): NemesisOptions => ({ ...options, random: seededRandom(integerBelow(random, 2 ** 31)) });
    await Promise.all([
      strike(own(), kind, false),
      ...(companion === undefined ? [] : [strike(own(), companion, true)]),
    ]);
    await pause(between(random, QUIET_MS) * pace);
  }
}

/** Two at once may take a server and the database away, but neither of them twice. */
function mayMeet(kind: FaultKind, other: FaultKind): boolean {
  return kind.group !== other.group && !(kind.takesDatabase && other.takesDatabase);
}

async function strike(options: NemesisOptions, kind: FaultKind, isCompanion: boolean): Promise<void> {
  const { world, random, recorder, nowS, say, pace } = options;
  const holdMs = between(random, kind.hold) * (pace === 1 ? 1 : Math.min(1, pace * 2));
  const awayMs = between(random, AWAY_MS) * pace;
  const struckS = nowS();
  let record: FaultRecord = {
    kind: kind.name,
    group: kind.group,
    target: '',
    isCompanion,
    struckS,
    healedS: struckS,
    firstAckMs: null,
    allAckMs: null,
    undisturbed: null,
    failure: null,
  };
  try {
    const { target, affected, heal, finish } = await kind.strike(world, random);
    record = { ...record, target };
    say(`${kind.name}: ${target}`);
    await pause(holdMs);
    await heal();
    const healedS = nowS();
    const { firstAckMs, allAckMs, silent } = await recovery(options, affected);
    const hit = new Set(affected.map(({ device }) => device));
    const calm = new Set(world.devices.filter((d) => d.isCalm).map(({ device }) => device));
    const untouched = [...calm].filter((device) => !hit.has(device));
    // A fault that hits everyone leaves the calm ones as they are: what they felt is what there is to say.
    const counted = new Set(untouched.length > 0 ? untouched : calm);
    await pause(500);
    const undisturbed = recorder.between(struckS, nowS(), (device) => counted.has(device));
    const failure =
      silent.length === 0 ? null : `no acknowledgement within ${RECOVERY_MS / 1000} s: ${silent.join(', ')}`;
    record = { ...record, healedS, firstAckMs, allAckMs, undisturbed, failure };
    if (finish !== undefined) {
      await pause(awayMs);
      await finish();
      await recovery(options, affected);
    }
  } catch (error) {
    record = { ...record, failure: messageOf(error) };
    await world.revive();
  }
  recorder.faults.push(record);
  say(describe(record));
}

function describe({ kind, target, healedS, struckS, firstAckMs, allAckMs, failure }: FaultRecord): string {
  if (failure !== null) return `${kind}: ${target}: ${failure}`;
  const lasted = `${(healedS - struckS).toFixed(1)} s`;
  return `${kind}: ${target}: lasted ${lasted}, first acknowledgement ${firstAckMs} ms after, all ${allAckMs} ms`;
}

interface Recovery {
  readonly firstAckMs: number | null;
  readonly allAckMs: number | null;
  readonly silent: readonly string[];
}

/** Resolves when each of the devices was acknowledged something from now on. */
async function recovery(options: NemesisOptions, devices: readonly FleetDevice[]): Promise<Recovery> {
  const fromMs = performance.now();
  let firstAckMs: number | null = null;
  const silent = new Set(devices);
  const allTold = Promise.withResolvers<void>();
  const stops = devices.map((device) =>
    options.onAcknowledged(device, () => {
      silent.delete(device);
      firstAckMs ??= Math.round(performance.now() - fromMs);
      if (silent.size === 0) allTold.resolve();
    }),
  );
  const timer = setTimeout(() => allTold.resolve(), RECOVERY_MS);
  await allTold.promise;
  clearTimeout(timer);
  for (const stop of stops) stop();
  return {
    firstAckMs,
    allAckMs: silent.size === 0 ? Math.round(performance.now() - fromMs) : null,
    silent: [...silent].map(({ device }) => `device ${device}`),
  };
}

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const other = integerBelow(random, i + 1);
    [order[i], order[other]] = [order[other]!, order[i]!];
  }
  return order;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
