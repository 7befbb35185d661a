/** Random operations on two sessions and three sensors against a small model: no order of them makes an impossible state. */

import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';

import type { DeviceIdentity } from '#contract/readings.ts';
import {
  codeOf,
  emptyPlan,
  newId,
  openTestClinic,
  type Recording,
  type TestClinic,
} from '#test/support/test-clinic.ts';

let clinic: TestClinic;
beforeAll(async () => {
  clinic = await openTestClinic();
});
afterAll(() => clinic.close());

interface ModelSession {
  readonly id: string;
  isThere: boolean;
  isPlanned: boolean;
  /** Somebody planned it. */
  isOurs: boolean;
  isStartAsked: boolean;
  isEnded: boolean;
  /** Streams and readings when it was sealed. */
  sealed: readonly [number, number] | null;
  revision: number;
  placed: readonly number[];
  streams: { readonly device: number; readonly recording: Recording; isOpen: boolean; readings: number }[];
}

const absent = (id: string): ModelSession => ({
  id,
  isThere: false,
  isPlanned: false,
  isOurs: false,
  isStartAsked: false,
  isEnded: false,
  sealed: null,
  revision: 1,
  placed: [],
  streams: [],
});

const readingsOf = ({ streams }: ModelSession): number =>
  streams.reduce((sum, { readings }) => sum + readings, 0);
const isGoing = (one: ModelSession): boolean => one.isThere && !one.isPlanned && !one.isEnded;

function stateOf(one: ModelSession): string {
  if (!one.isThere) return 'not-found';
  const isAmended =
    one.sealed !== null && (one.sealed[0] !== one.streams.length || one.sealed[1] !== readingsOf(one));
  const state = one.isPlanned ? 'planned' : one.sealed !== null ? 'sealed' : one.isEnded ? 'ended' : 'live';
  return `${state} ${isAmended} ${one.revision} ${readingsOf(one)}`;
}

/** Another session records with the device, or is about to. */
function isBusy(device: number, own: ModelSession, all: readonly ModelSession[]): boolean {
  return all.some((one) => {
    if (one === own || !one.isThere) return false;
    const isPlaced = one.placed.includes(device);
    if (one.isPlanned) return one.isStartAsked && isPlaced;
    return (
      isGoing(one) && (isPlaced || one.streams.some((stream) => stream.device === device && stream.isOpen))
    );
  });
}

/** What each operation does to the database, and what the model says of it. */
const operations = {
  async plan(one) {
    const change = { ...emptyPlan, revision: null };
    const outcome = await codeOf(clinic.visits.change(clinic.ann, one.id, change));
    if (one.isThere && one.isOurs) return [outcome, 'done'];
    if (one.sealed !== null) return [outcome, 'conflict'];
    if (one.isThere) one.revision++;
    else Object.assign(one, absent(one.id), { isThere: true, isPlanned: true });
    one.isOurs = true;
    return [outcome, 'done'];
  },
  async cancel(one) {
    const outcome = await codeOf(clinic.visits.cancel(clinic.ann, one.id, one.revision));
    if (!one.isThere) return [outcome, 'not-found'];
    if (!one.isPlanned) return [outcome, 'conflict'];
    Object.assign(one, absent(one.id));
    return [outcome, 'done'];
  },
  async place(one, { all, devices, device, pair }) {
    const wanted = pair ? [device, (device + 1) % devices.length] : [device];
    const outcome = await codeOf(
      clinic.place(one.id, one.revision, ...wanted.map((i) => [devices[i]!, `segment ${i}`] as const)),
    );
    if (!one.isThere) return [outcome, 'not-found'];
    if (one.sealed !== null) return [outcome, 'conflict'];
    if (!one.isEnded && wanted.some((i) => isBusy(i, one, all))) return [outcome, 'conflict'];
    one.placed = wanted;
    one.revision++;
    return [outcome, 'done'];
  },
  async start(one, { all }) {
    const outcome = await codeOf(clinic.progress.start(clinic.ann, one.id));
    if (!one.isThere) return [outcome, 'not-found'];
    if (one.isEnded || one.placed.length === 0 || one.placed.some((i) => isBusy(i, one, all)))
      return [outcome, 'conflict'];
    one.isStartAsked = true;
    return [outcome, 'done'];
  },
  async record(one, { devices, device }) {
    const recording = await clinic.record(devices[device]!, one.id, `segment ${device}`);
    const begins = !one.isThere || one.isPlanned;
    one.isThere = true;
    one.isPlanned = false;
    if (one.sealed === null) one.isEnded = false;
    one.streams.push({ device, recording, isOpen: true, readings: 10 });
    return [recording.isNewSession ? 'begun' : 'done', begins ? 'begun' : 'done'];
  },
  async sendLate(one, { device }) {
    const stream = one.streams[device];
    if (stream === undefined) return ['done', 'done'];
    await clinic.store(stream.recording, stream.readings);
    stream.readings += 10;
    return ['done', 'done'];
  },
  async endStream(one) {
    const stream = one.streams.find(({ isOpen }) => isOpen);
    if (stream === undefined) return ['done', 'done'];
    await clinic.endStream(stream.recording);
    stream.isOpen = false;
    if (one.streams.every(({ isOpen }) => !isOpen)) one.isEnded = true;
    return ['done', 'done'];
  },
  async askToEnd(one) {
    const outcome = await codeOf(clinic.progress.end(clinic.ann, one.id, { now: false }));
    if (!one.isThere) return [outcome, 'not-found'];
    return [outcome, one.isPlanned ? 'conflict' : 'done'];
  },
  async endNow(one) {
    const told = clinic.ended.length;
    const outcome = await codeOf(clinic.progress.end(clinic.ann, one.id, { now: true }));
    if (!one.isThere) return [outcome, 'not-found'];
    if (one.isPlanned) return [outcome, 'conflict'];
    const ends = clinic.ended.length - told;
    const expected = `done, told ${one.isEnded ? 0 : 1}`;
    if (!one.isEnded) for (const stream of one.streams) stream.isOpen = false;
    one.isEnded = true;
    return [`${outcome}, told ${ends}`, expected];
  },
  async seal(one) {
    const outcome = await codeOf(clinic.progress.seal(clinic.ann, one.id, one.revision));
    if (!one.isThere) return [outcome, 'not-found'];
    if (!one.isEnded || one.sealed !== null) return [outcome, 'conflict'];
    one.sealed = [one.streams.length, readingsOf(one)];
    one.revision++;
    return [outcome, 'done'];
  },
} satisfies Record<string, (one: ModelSession, at: At) => Promise<readonly [met: string, expected: string]>>;

interface At {
  readonly all: readonly ModelSession[];
  readonly devices: readonly DeviceIdentity[];
  readonly device: number;
  readonly pair: boolean;
}

const step = fc.record({
  name: fc.constantFrom(...(Object.keys(operations) as (keyof typeof operations)[])),
  session: fc.nat({ max: 1 }),
  device: fc.nat({ max: 2 }),
  pair: fc.boolean(),
});

test(
  'whatever is done in whatever order, a session is what the model says',
  { timeout: 120_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 12, maxLength: 30 }), async (steps) => {
        const devices = [await clinic.newDevice(), await clinic.newDevice(), await clinic.newDevice()];
        const all = [absent(newId()), absent(newId())];
        for (const [i, { name, session, device, pair }] of steps.entries()) {
          const one = all[session]!;
          const [met, expected] = await operations[name](one, { all, devices, device, pair });
          const found = await clinic.visits.read(clinic.ann, one.id).then(
            ({ session: { state, amended, storedReadings }, revision }) =>
              `${state} ${amended} ${revision} ${storedReadings}`,
            (error: { code?: string }) => error.code,
          );
          expect([i, name, met, found]).toEqual([i, name, expected, stateOf(one)]);
        }
      }),
      { numRuns: 40, seed: 20_261_122, endOnFailure: true },
    );
  },
);
