/**
 * Owns one history that happens at both places at once (twin-place.ts): operations drawn from a seed, started one at a time
 * and left alone until everybody who is not done waits for a lock. Then the two places are compared: answers, errors,
 * who waits for whom, whose transactions are open, which connections are lost; and what is stored. Throws at the first
 * difference. Bound: a transaction and a wait last a few operations, so that no time-out of the real one is reached.
 */

import { isDeepStrictEqual } from 'node:util';

import { seededRandom } from '#base/random.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import type { RollBounds } from '#store/rollup-plan.ts';
import {
  drawMaterial,
  drawStep,
  isOpen,
  writers,
  type Drawing,
  type Material,
  type Phase,
} from '#test/simulation/database/twin-drawing.ts';
import { createModelledPlace, type ModelledPlace } from '#test/simulation/database/twin-model.ts';
import { commit, rollback, type Operation, type Side } from '#test/simulation/database/twin-operations.ts';
import {
  answerOf,
  type Actor,
  type Standing,
  type WriterActor,
} from '#test/simulation/database/twin-place.ts';
import type { PostgresPlace } from '#test/simulation/database/twin-postgres.ts';
import { createTwinWriter } from '#test/simulation/database/twin-writer.ts';

/** How long PostgreSQL may take to stand as the model does. */
const AGREE_MS = 5_000;
/** Past this a time-out of the real one may have come: idle in a transaction 3 s, waiting in a pool 2 s. */
const TRANSACTION_MS = 2_500;
const WAIT_MS = 1_600;
/** A look that takes so long is one at a machine that stands still. */
const STALL_MS = 500;

export interface TwinOptions {
  readonly seed: number;
  readonly device: DeviceIdentity;
  readonly stranger: DeviceIdentity;
  readonly bounds: RollBounds;
}

export interface TwinReport {
  readonly steps: number;
  /** How often each operation happened, and each kind of failure. */
  readonly counts: Readonly<Record<string, number>>;
  /** The machine was so slow that time-outs of the real database were reached; nothing was compared from there on. */
  readonly isTooSlow: boolean;
  /** Two who waited for one transaction were let go at once, and PostgreSQL had another first; nothing was compared from there on. */
  readonly isRaced: boolean;
}

export interface TwinHistory {
  readonly material: Material;
  readonly model: ModelledPlace;
  /** Whatever the seed says. */
  step(): Promise<void>;
  begin(operation: Operation): Promise<void>;
  /** Lets this time pass at both places, with what it brings. */
  wait(ms: number): Promise<void>;
  /** Kills both databases and starts them again: what is lost of the real one must be what the model may lose. */
  crash(): Promise<void>;
}

/** An operation that has begun at both places. */
interface Begun {
  readonly operation: Operation;
  readonly sinceStep: number;
  readonly sinceMs: number;
  readonly answers: unknown[];
}

class Difference extends Error {}

/** Runs a history to its end, where everything that is stored is compared. */
export async function runTwinHistory(
  real: PostgresPlace,
  options: TwinOptions,
  script: (history: TwinHistory) => Promise<void>,
): Promise<TwinReport> {
  const { incarnation, generation } = (await real.generation(options.device.deviceId))!;
  const model = createModelledPlace(options.seed, {
    devices: [{ identity: options.device, generation }],
    incarnation,
    bounds: options.bounds,
  });
  const history = createHistory(real, model, options);
  try {
    await script(history);
    await history.finish();
    return history.report('compared');
  } catch (error) {
    if (!(error instanceof Difference)) throw error;
    if (history.isTooSlow()) return history.report('too-slow');
    if (history.mayHaveRaced()) return history.report('raced');
    throw new Error(`seed ${options.seed}: ${error.message}\n${history.trace()}`, { cause: error });
  } finally {
    await history.close();
  }
}

function createHistory(
  real: PostgresPlace,
  model: ModelledPlace,
  options: TwinOptions,
): TwinHistory & {
  finish(): Promise<void>;
  close(): Promise<void>;
  trace(): string;
  isTooSlow(): boolean;
  mayHaveRaced(): boolean;
  report(end: 'compared' | 'too-slow' | 'raced'): TwinReport;
} {
  const random = seededRandom(options.seed);
  const sides = [real, model].map((place): Side => ({
    place,
    loseCommit: (actor, fate) =>
      place === real ? real.loseCommit(actor, fate) : void (model.faults.nextCommit = fate),
    writers: {
      'writer A': createTwinWriter(place.writers['writer A']),
      'writer B': createTwinWriter(place.writers['writer B']),
    },
  }));
  const material = drawMaterial(random, options);
  const phases: Record<WriterActor, Phase> = { 'writer A': 'lost', 'writer B': 'lost' };
  const since: Record<WriterActor, { step: number; ms: number }> = {
    'writer A': { step: 0, ms: 0 },
    'writer B': { step: 0, ms: 0 },
  };
  const begun = new Map<Actor, Begun>();
  const lines: string[] = [];
  const counts: Record<string, number> = {};
  let waits: Standing['waiting'] = [];
  let steps = 0;
  let hasWaited = false;
  /** Whether time-outs of PostgreSQL may have come because the machine is slow. */
  let isSlow = false;

  const count = (name: string): void => void (counts[name] = (counts[name] ?? 0) + 1);

  function start(operation: Operation, side: Side, answers: unknown[]): void {
    const isWriter = operation.actor.startsWith('writer');
    const place = sides.indexOf(side);
    void answerOf(operation.run(side), isWriter).then((answer) => (answers[place] = answer));
  }

  async function begin(operation: Operation): Promise<void> {
    note(operation.label ?? operation.name, `${operation.actor}: ${operation.text}`);
    const entry: Begun = { operation, sinceStep: steps, sinceMs: performance.now(), answers: [] };
    begun.set(operation.actor, entry);
    for (const side of sides.toReversed()) start(operation, side, entry.answers);
    await agree();
  }

  /** Waits until both places stand alike, and takes in what was answered. */
  async function agree(): Promise<void> {
    isSlow ||= isOverdue();
    const expected = await modelAtRest();
    const settled = [...begun.values()].filter(({ answers }) => answers[1] !== undefined);
    const giveUpMs = performance.now() + AGREE_MS;
    for (let isStable = false; ;) {
      const lookedMs = performance.now();
      const standing = sorted(await real.look());
      isSlow ||= performance.now() - lookedMs > STALL_MS;
      const isSame =
        isDeepStrictEqual(standing, expected) &&
        [...begun.values()].every((one) => (one.answers[0] === undefined) === !settled.includes(one)) &&
        writers.every((actor) => sides[0]!.writers[actor].isLost === sides[1]!.writers[actor].isLost);
      // Who waits may only seem to: a lock that changes hands is nobody's for a moment.
      if (isSame && (isStable || expected.waiting.length === 0)) break;
      isStable = isSame;
      if (performance.now() > giveUpMs)
        throw new Difference(
          `PostgreSQL stands otherwise: ${JSON.stringify(standing)}, the model ${JSON.stringify(expected)}; answers ${JSON.stringify([...begun.values()].map(({ operation, answers }) => [operation.name, answers]))}; lost ${JSON.stringify(writers.map((actor) => sides.map((side) => side.writers[actor].isLost)))}`,
        );
    }
    for (const entry of settled) {
      const { operation, answers } = entry;
      begun.delete(operation.actor);
      lines.push(`     ${operation.actor}: ${JSON.stringify(answers[1])}`);
      if (!isDeepStrictEqual(answers[0], answers[1]))
        throw new Difference(
          `${operation.actor}, ${operation.text}: PostgreSQL answers ${JSON.stringify(answers[0])}, the model ${JSON.stringify(answers[1])}`,
        );
      takeIn(operation, answers[1] as { answer?: unknown; failed?: string });
    }
    for (const actor of writers) if (sides[1]!.writers[actor].isLost) phases[actor] = 'lost';
    waits = expected.waiting;
    for (const { who, for: blockers } of expected.waiting)
      lines.push(`     ${who} waits for ${blockers.join(', ')}`);
    if (expected.waiting.length > 0) count('step with a wait');
  }

  async function modelAtRest(): Promise<Standing> {
    for (;;) {
      const standing = sorted(await model.look());
      const isAtRest = ({ operation: { actor }, answers }: Begun): boolean =>
        answers[1] !== undefined || standing.waiting.some(({ who }) => who === actor);
      if ([...begun.values()].every(isAtRest)) return standing;
    }
  }

  function takeIn({ actor, name }: Operation, { failed }: { failed?: string }): void {
    if (failed !== undefined) count(`failed: ${failed}`);
    if (actor !== 'writer A' && actor !== 'writer B') return;
    const phase = phaseAfter(phases[actor], name, failed);
    if (phase === 'locked' && phases[actor] !== 'locked')
      since[actor] = { step: steps, ms: performance.now() };
    phases[actor] = phase;
  }

  function isOverdue(): boolean {
    const nowMs = performance.now();
    return (
      [...begun.values()].some(({ sinceMs }) => nowMs - sinceMs > WAIT_MS) ||
      writers.some((actor) => isOpen(phases[actor]) && nowMs - since[actor].ms > TRANSACTION_MS)
    );
  }

  const drawing: Drawing = {
    random,
    material,
    model,
    phases,
    openSince: (actor) => since[actor].step,
    begun: () => [...begun.values()].map(({ operation, sinceStep }) => ({ ...operation, sinceStep })),
    waiting: () => waits.map(({ who }) => who),
    steps: () => steps,
  };

  async function compareStored(): Promise<void> {
    const [stored, modelled] = [await real.stored(material.ids), await model.stored(material.ids)];
    if (!isDeepStrictEqual(stored, modelled))
      throw new Difference(
        `PostgreSQL has stored ${JSON.stringify(stored, null, 1)}\nthe model ${JSON.stringify(modelled, null, 1)}`,
      );
  }

  async function kill(actor: Actor): Promise<void> {
    note('kill', `kill ${actor}`);
    await model.kill(actor);
    await real.kill(actor);
    await agree();
  }

  function note(name: string, text: string): void {
    steps++;
    count(name);
    lines.push(`${steps}. ${text}`);
  }

  return {
    material,
    model,
    begin,
    async step() {
      const drawn = drawStep(drawing);
      if (drawn.kind === 'kill') await kill(drawn.actor);
      else if (drawn.kind === 'race') await race(drawn.actor);
      else await begin(drawn.operation);
      if (steps % 15 === 0 && begun.size === 0) await compareStored();
    },
    async wait(ms) {
      note('wait', `wait ${ms} ms`);
      hasWaited = true;
      await Promise.all([new Promise((resolve) => setTimeout(resolve, ms)), model.wait(ms)]);
      await agree();
    },
    async crash() {
      note('crash', 'crash');
      await real.crash();
      const stored = await real.stored(material.ids);
      const lost = await model.crash(async () => isDeepStrictEqual(stored, await model.stored(material.ids)));
      if (lost === null)
        throw new Difference(`after the crash there is ${JSON.stringify(stored, null, 1)}, which may not be`);
      counts['commits lost'] = (counts['commits lost'] ?? 0) + lost;
      lines.push(`     ${lost} commits are lost`);
      await agree();
    },
    async finish() {
      for (;;) {
        const waiter = [...begun.keys()].at(-1);
        if (waiter !== undefined) {
          await kill(waiter);
          continue;
        }
        const open = writers.find((actor) => isOpen(phases[actor]));
        if (open === undefined) break;
        await begin(rollback(open));
      }
      await compareStored();
    },
    async close() {
      for (const side of sides) for (const actor of writers) await side.writers[actor].end();
    },
    trace: () => lines.slice(-60).join('\n'),
    isTooSlow: () => isSlow && !hasWaited,
    // PostgreSQL wakes all who wait for a transaction's end at the same moment; who gets the next lock first is nobody's promise.
    mayHaveRaced: () =>
      new Set(waits.flatMap((wait) => wait.for)).size < waits.flatMap((wait) => wait.for).length,
    report: (end): TwinReport => ({ steps, counts, isTooSlow: end === 'too-slow', isRaced: end === 'raced' }),
  };

  /** COMMIT is sent, and its backend ended at the same moment: either may have been first, and the model is told. */
  async function race(actor: WriterActor): Promise<void> {
    note('commit in a race', `${actor}: commit, and is killed`);
    const before = await real.stored(material.ids);
    const answers: unknown[] = [];
    const operation = commit(actor);
    start(operation, sides[0]!, answers);
    await real.kill(actor);
    while (answers[0] === undefined) await real.look();
    const isAnswered = (answers[0] as { failed?: string }).failed === undefined;
    // Nobody waits for what this transaction holds, so nobody else has changed anything meanwhile.
    const hasHappened = !isDeepStrictEqual(before, await real.stored(material.ids));
    count(isAnswered ? 'race: answered' : hasHappened ? 'race: committed' : 'race: rolled back');
    lines.push(`     it ${isAnswered || hasHappened ? 'has committed' : 'has not committed'}`);
    if (!isAnswered) model.faults.nextCommit = hasHappened ? 'answer-lost' : 'dies-before';
    const entry: Begun = { operation, sinceStep: steps, sinceMs: performance.now(), answers };
    begun.set(actor, entry);
    start(operation, sides[1]!, answers);
    while (answers[1] === undefined) await model.look();
    await model.kill(actor);
    await agree();
  }
}

function phaseAfter(phase: Phase, name: string, failed: string | undefined): Phase {
  switch (name) {
    case 'connect':
      return failed === undefined ? 'idle' : 'lost';
    case 'lock':
      return failed === undefined ? 'locked' : 'failed';
    case 'write':
    case 'write what cannot be packed':
      return failed === undefined ? 'written' : 'failed';
    case 'commit':
    case 'rollback':
      return failed === undefined ? 'idle' : 'failed';
    case 'destroy':
      return 'lost';
    default:
      return phase;
  }
}

function sorted({ waiting, inTransaction }: Standing): Standing {
  const text = (one: Standing['waiting'][number]): string => `${one.who} ${one.for.join()}`;
  return {
    waiting: waiting
      .map(({ who, for: blockers }) => ({ who, for: blockers.toSorted() }))
      .toSorted((a, b) => (text(a) < text(b) ? -1 : 1)),
    inTransaction: inTransaction.toSorted(),
  };
}
