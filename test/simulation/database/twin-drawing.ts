/**
 * Owns what happens next in a history at two places (twin-history.ts): drawn from the seed and from how things stand. Two
 * that wait for the same row race for it when it becomes free, which no two runs of PostgreSQL decide alike: before that
 * one of them is ended. Bounds: a transaction and a wait last so many steps.
 */

import { integerBelow, type Random } from '#base/random.ts';
import type { DeviceIdentity, Frame, LossDeclaration, StreamHandle } from '#contract/readings.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import type { ModelledPlace } from '#test/simulation/database/twin-model.ts';
import {
  checksumOf,
  commit,
  commitLost,
  connect,
  destroy,
  drawGeneration,
  endStream,
  eraseTarget,
  isErased,
  listDirty,
  lock,
  openStream,
  roll,
  rollback,
  terminateBlockers,
  write,
  writeUnpackable,
  type Operation,
} from '#test/simulation/database/twin-operations.ts';
import type { Actor, StoredIds, WriterActor } from '#test/simulation/database/twin-place.ts';
import type { Work } from '#test/simulation/database/twin-writer.ts';
import { frameOf } from '#test/support/frames.ts';

const TRANSACTION_STEPS = 12;
const WAIT_STEPS = 4;

export const writers = ['writer A', 'writer B'] as const;

export type Phase = 'lost' | 'idle' | 'locked' | 'written' | 'failed';

/** The connection has a transaction. */
export function isOpen(phase: Phase): boolean {
  return phase === 'locked' || phase === 'written' || phase === 'failed';
}

export interface Material {
  readonly device: DeviceIdentity;
  readonly stranger: DeviceIdentity;
  readonly handles: readonly StreamHandle[];
  readonly ids: StoredIds;
  /** Behind the newest reading that was ever drawn, by key. */
  readonly nextSeq: Map<string, number>;
  /** What each writer locked last. */
  readonly locked: Map<WriterActor, readonly StreamHandle[]>;
}

export interface Drawing {
  readonly random: Random;
  readonly material: Material;
  readonly model: ModelledPlace;
  readonly phases: Readonly<Record<WriterActor, Phase>>;
  openSince(actor: WriterActor): number;
  begun(): readonly (Operation & { readonly sinceStep: number })[];
  waiting(): readonly Actor[];
  steps(): number;
}

export type DrawnStep =
  | { readonly kind: 'begin'; readonly operation: Operation }
  | { readonly kind: 'kill'; readonly actor: Actor }
  | { readonly kind: 'race'; readonly actor: WriterActor };

type Choice = readonly [weight: number, draw: () => DrawnStep];

/** A stream in each of two sessions, with two epochs each: one sorts before the other as text, and after it as a number. */
export function drawMaterial(
  random: Random,
  devices: { device: DeviceIdentity; stranger: DeviceIdentity },
): Material {
  const { device } = devices;
  const sessions = [drawId(random), drawId(random)];
  const streams = [0, 1].map((session) => ({ id: drawId(random), session: sessions[session]! }));
  const handles = streams.flatMap(({ id, session }) =>
    ['0', 'f'].map((digit): StreamHandle => {
      const definition: StreamDefinition = {
        stream: id,
        session,
        segment: 'left-foot',
        sensor: 'imu',
        axes: ['x', 'y', 'z'].map((name) => ({ name, unit: 'm/s^2' })),
        rateHz: 200,
        encoding: 'float32',
        clock: 'device',
      };
      const epoch = digit + drawHex(random, 15);
      return {
        key: `${id}/${epoch}`,
        orgId: device.orgId,
        deviceId: device.deviceId,
        epoch,
        definition,
        readingBytes: 12,
        retentionClass: 0,
      };
    }),
  );
  return {
    ...devices,
    handles,
    ids: { streams: streams.map(({ id }) => id), sessions },
    nextSeq: new Map(),
    locked: new Map(),
  };
}

function drawHex(random: Random, digits: number): string {
  return Array.from({ length: digits }, () => integerBelow(random, 16).toString(16)).join('');
}

function drawId(random: Random): string {
  return `01900000-${drawHex(random, 4)}-7${drawHex(random, 3)}-8${drawHex(random, 3)}-${drawHex(random, 12)}`;
}

export function drawStep(drawing: Drawing): DrawnStep {
  const { random } = drawing;
  const choices = urgent(drawing) ?? [...writersChoices(drawing), ...othersChoices(drawing)];
  let at = random.next() * choices.reduce((sum, [weight]) => sum + weight, 0);
  for (const [weight, draw] of choices) {
    at -= weight;
    if (at < 0) return draw();
  }
  return choices[0]![1]();
}

const begin = (operation: Operation): DrawnStep => ({ kind: 'begin', operation });
const kill = (actor: Actor): DrawnStep => ({ kind: 'kill', actor });

/** What has to come first, or null. */
function urgent(drawing: Drawing): Choice[] | null {
  const { model, phases } = drawing;
  const waiting = drawing.waiting();
  const rows = model.rowsWaitedFor();
  if (new Set(rows).size < rows.length) return waiting.map((actor) => [1, () => kill(actor)]);
  const steps = drawing.steps();
  const isBusy = (actor: Actor): boolean => drawing.begun().some((one) => one.actor === actor);
  const open = writers.filter((actor) => isOpen(phases[actor]) && !isBusy(actor));
  const isWaitOld = drawing.begun().some(({ sinceStep }) => steps - sinceStep >= WAIT_STEPS);
  const old = open.filter((actor) => isWaitOld || steps - drawing.openSince(actor) >= TRANSACTION_STEPS);
  if (old.length > 0) return old.flatMap((actor) => endings(drawing, actor));
  if (isWaitOld) return waiting.map((actor) => [1, () => kill(actor)]);
  return null;
}

/** Ways in which a transaction ends. */
function endings({ phases, waiting }: Drawing, actor: WriterActor): Choice[] {
  if (phases[actor] === 'failed')
    return [
      [4, () => begin(rollback(actor))],
      [1, () => begin(commit(actor))],
    ];
  return [
    [5, () => begin(commit(actor))],
    [1, () => begin(rollback(actor))],
    [1, () => kill(actor)],
    [1, () => begin(commitLost(actor, 'answer-lost'))],
    [1, () => begin(commitLost(actor, 'dies-before'))],
    [waiting().length === 0 ? 1 : 0, () => ({ kind: 'race', actor })],
    [0.5, () => begin(destroy(actor))],
  ];
}

function writersChoices(drawing: Drawing): Choice[] {
  const { phases } = drawing;
  const isQuiet = drawing.waiting().length === 0;
  return writers.flatMap((actor): Choice[] => {
    if (drawing.begun().some((one) => one.actor === actor))
      return [
        [1, () => kill(actor)],
        [0.5, () => begin(destroy(actor))],
        [1, () => begin(terminateBlockers(actor))],
      ];
    switch (phases[actor]) {
      case 'lost':
        return [[6, () => begin(connect(actor))]];
      case 'idle':
        return [
          [isQuiet ? 10 : 1, () => begin(drawLock(drawing, actor))],
          [0.3, () => kill(actor)],
          [0.2, () => begin(destroy(actor))],
        ];
      case 'locked':
        return [
          [8, () => begin(drawWrite(drawing, actor))],
          [0.5, () => begin(writeUnpackable(actor, drawing.material.locked.get(actor)![0]!))],
          ...endings(drawing, actor).map(([weight, draw]): Choice => [weight / 4, draw]),
        ];
      case 'written':
        return endings(drawing, actor);
      case 'failed':
        return endings(drawing, actor);
    }
  });
}

function othersChoices(drawing: Drawing): Choice[] {
  const { random, material, steps } = drawing;
  const { device, stranger, handles, ids } = material;
  const isFree = (actor: Actor): boolean => !drawing.begun().some((one) => one.actor === actor);
  // What may wait itself is rare while somebody waits.
  const share = drawing.waiting().length === 0 ? 1 : 0.1;
  const pick = <T>(list: readonly T[]): T => list[integerBelow(random, list.length)]!;
  const choices: Choice[] = drawing
    .waiting()
    .filter((actor) => !actor.startsWith('writer'))
    .map((actor) => [1, () => kill(actor)]);
  if (isFree('opener'))
    choices.push(
      [
        (steps() < 10 ? 12 : 2.5) * share,
        () => begin(openStream(device, pick(handles), random.next() < 0.5)),
      ],
      [0.2 * share, () => begin(openStream(stranger, pick(handles), false))],
      [0.2 * share, () => begin(openStream(device, otherAxes(pick(handles)), false))],
      [0.4 * share, () => begin(endStream(device, pick(ids.streams)))],
    );
  if (isFree('reader'))
    choices.push(
      [1, () => begin(drawChecksum(drawing, pick(handles)))],
      [0.3, () => begin(isErased(device, pick(handles)))],
      [0.3, () => begin(drawGeneration(device))],
      [0.5, () => begin(listDirty(ids.streams))],
    );
  for (const actor of ['keeper', 'other keeper'] as const)
    if (isFree(actor)) choices.push([1.5 * share, () => begin(roll(actor, pick(handles)))]);
  if (isFree('eraser') && steps() > 15)
    choices.push(
      [0.2 * share, () => begin(eraseTarget(device, { kind: 'stream', id: pick(ids.streams) }))],
      [0.08 * share, () => begin(eraseTarget(device, { kind: 'session', id: pick(ids.sessions) }))],
    );
  return choices;
}

function drawLock({ random, material }: Drawing, actor: WriterActor): Operation {
  const count = 1 + integerBelow(random, 3);
  const chosen = new Set<StreamHandle>();
  for (let i = 0; i < count; i++)
    chosen.add(material.handles[integerBelow(random, material.handles.length)]!);
  const handles = [...chosen];
  material.locked.set(actor, handles);
  return lock(actor, handles);
}

export function drawWrite(drawing: Drawing, actor: WriterActor): Operation {
  return write(
    actor,
    drawing.material.locked.get(actor)!.map((handle) => drawWork(drawing, handle)),
  );
}

/** New readings behind the newest, or behind a gap; readings of before once more; declarations anywhere. */
function drawWork({ random, material, steps }: Drawing, handle: StreamHandle): Work {
  const frames: Frame[] = [];
  const losses: LossDeclaration[] = [];
  for (let parts = integerBelow(random, 4); parts > 0; parts--) {
    const next = material.nextSeq.get(handle.key) ?? 0;
    const kind = random.next();
    const count = 1 + integerBelow(random, 60);
    if (kind < 0.2) {
      const from = integerBelow(random, next + 30);
      losses.push({ from, to: from + 1 + integerBelow(random, 40), reason: 'sensor-fault' });
      continue;
    }
    const isAgain = kind < 0.5 && next > 0;
    const firstSeq = isAgain
      ? integerBelow(random, next)
      : kind > 0.9
        ? next + integerBelow(random, 30)
        : next;
    frames.push(frameOf(handle, firstSeq, count, { firstUs: firstSeq * 400_000 }));
    material.nextSeq.set(handle.key, Math.max(next, firstSeq + count));
  }
  // Now and then of a newer connection, or of an older one.
  return { handle, frames, losses, generation: integerBelow(random, 1 + steps()) };
}

function drawChecksum({ random, material }: Drawing, handle: StreamHandle): Operation {
  return checksumOf(
    material.device,
    handle,
    integerBelow(random, (material.nextSeq.get(handle.key) ?? 0) + 5),
  );
}

function otherAxes(handle: StreamHandle): StreamHandle {
  const axes = handle.definition.axes.map(({ name }) => ({ name, unit: 'g' }));
  return { ...handle, definition: { ...handle.definition, axes } };
}
