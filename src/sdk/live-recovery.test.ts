import fc from 'fast-check';
import { expect, test } from 'vitest';

import { seededRandom } from '#base/random.ts';
import type { HubMessage, ViewerMessage } from '#contract/live-messages.ts';
import { closeCodes } from '#protocol/codes.ts';
import type { Position } from '#protocol/publication.ts';
import type { LiveEffect, LiveEvent, LiveGap } from '#sdk/live-events.ts';
import { createLiveMachine } from '#sdk/live-machine.ts';

/**
 * A server that forgets, repeats, leaves out, closes and is away, against the machine: whatever it does, each publication
 * of a channel is delivered once and in order, or lies in a gap that was told.
 */

const NAME = 'room/a';

interface Publication extends Position {
  /** Counts all publications, over epochs. */
  readonly n: number;
}

type Step =
  | {
      readonly do:
        | 'publish'
        | 'open'
        | 'deliver'
        | 'leaveOut'
        | 'repeat'
        | 'reset'
        | 'newEpoch'
        | 'bye'
        | 'end';
    }
  | { readonly do: 'forget'; readonly keep: number }
  | { readonly do: 'close'; readonly code: number }
  | { readonly do: 'pass'; readonly ms: number };

function createWorld(seed: number, last: number | undefined) {
  const machine = createLiveMachine({ random: seededRandom(seed) });
  let ms = 1_000;
  const log: Publication[] = [];
  /** Of `log`: what is before is forgotten. */
  let oldest = 0;
  let epoch = 1;
  let newest = 0;
  let connection = 0;
  let isConnecting = false;
  let isOpen = false;
  /** What the subscriber is sent next, an index of `log`; null: it is not subscribed. */
  let next: number | null = null;
  const told: (
    | { readonly type: 'message'; readonly n: number }
    | { readonly type: 'gap'; readonly gap: LiveGap }
  )[] = [];
  let begins: number | null = null;

  const handle = (event: LiveEvent): void => {
    for (const effect of machine.handle(event, { ms, us: ms * 1000 })) perform(effect);
  };
  const say = (message: HubMessage): void =>
    handle({ type: 'text', connection, text: JSON.stringify(message) });
  function perform(effect: LiveEffect): void {
    if (effect.type === 'fetchTicket') handle({ type: 'ticket', connection: effect.connection, ticket: 't' });
    else if (effect.type === 'connect') {
      connection = effect.connection;
      isConnecting = true;
    } else if (effect.type === 'disconnect') disconnected();
    else if (effect.type === 'send') hear(JSON.parse(effect.text) as ViewerMessage);
    else if (effect.type === 'message')
      told.push({ type: 'message', n: (effect.message.data as { n: number }).n });
    else if (effect.type === 'gap') told.push(effect);
  }
  const disconnected = (): void => {
    isConnecting = false;
    isOpen = false;
    next = null;
  };
  const epochBegins = new Map([['e1', 0]]);
  /** Index in `log` of what comes after it. */
  const indexAfter = ({ epoch: of, offset }: Position): number => epochBegins.get(of)! + offset;
  const positionBefore = (index: number): Position => {
    const before = log[index - 1];
    return before !== undefined && before.epoch === `e${epoch}`
      ? { epoch: before.epoch, offset: before.offset }
      : { epoch: `e${epoch}`, offset: 0 };
  };
  /** Of the present epoch's publications, those that are kept. */
  const firstKept = (): number => Math.max(oldest, epochBegins.get(`e${epoch}`)!);
  function hear(message: ViewerMessage): void {
    if (message.type !== 'subscribe' || !isOpen) return;
    const { id, position } = message;
    let recovered: boolean | undefined;
    if (position === undefined) {
      next = Math.max(firstKept(), log.length - (message.last ?? 0));
      begins ??= next;
    } else {
      const wished = position.epoch === `e${epoch}` ? indexAfter(position) : null;
      recovered = wished !== null && wished >= firstKept();
      next = recovered ? wished : firstKept();
    }
    const subscribed = { type: 'subscribed', id, channel: NAME, number: 1, lossClass: 'event' } as const;
    say({
      ...subscribed,
      position: positionBefore(next!),
      ...(recovered === undefined ? {} : { recovered }),
    });
  }
  const message = ({ n, offset }: Publication): HubMessage => ({
    type: 'message',
    channel: NAME,
    offset,
    timeUs: 0,
    event: 'said',
    data: { n },
  });

  function perStep(step: Step): void {
    const pending = next === null ? undefined : log[next];
    switch (step.do) {
      case 'publish':
        log.push({ epoch: `e${epoch}`, offset: ++newest, n: log.length });
        break;
      case 'open':
        if (!isConnecting) break;
        isConnecting = false;
        isOpen = true;
        say({ type: 'welcome', serverUs: 0, heartbeatMs: 5_000 });
        break;
      case 'deliver':
        if (pending === undefined || next === null || pending.epoch !== `e${epoch}`) break;
        next++;
        say(message(pending));
        break;
      case 'leaveOut':
        if (pending !== undefined && next !== null && pending.epoch === `e${epoch}`) next++;
        break;
      case 'repeat': {
        const before = next === null ? undefined : log[next - 1];
        if (before !== undefined && before.epoch === `e${epoch}`) say(message(before));
        break;
      }
      case 'forget':
        oldest = Math.max(oldest, log.length - step.keep);
        if (next !== null && next < firstKept()) perStep({ do: 'reset' });
        break;
      case 'newEpoch':
        epoch++;
        newest = 0;
        epochBegins.set(`e${epoch}`, log.length);
        if (next !== null) perStep({ do: 'reset' });
        break;
      case 'reset':
        if (next === null) break;
        next = Math.max(next, firstKept());
        say({ type: 'reset', channel: NAME, position: positionBefore(next) });
        break;
      case 'bye':
        if (isOpen) say({ type: 'bye', afterMs: 100 });
        break;
      case 'end':
        if (next === null) break;
        next = null;
        say({ type: 'unsubscribed', channel: NAME, code: 'overloaded' });
        break;
      case 'close':
        if (!isOpen && !isConnecting) break;
        disconnected();
        handle({ type: 'closed', connection, code: step.code, reason: '' });
        break;
      case 'pass':
        ms += step.ms;
        handle({ type: 'wake' });
    }
  }

  handle({ type: 'subscribe', channel: NAME, options: last === undefined ? {} : { last } });
  handle({ type: 'start' });
  return {
    machine,
    perStep,
    /** The server is well again: what there is reaches the subscriber, and one more, which shows a hole before it. */
    settle(): void {
      const isReached = (): boolean => next !== null && isOpen && next >= log.length;
      perStep({ do: 'publish' });
      for (let i = 0; i < 200 + log.length * 2 && !isReached(); i++) {
        if (isConnecting) perStep({ do: 'open' });
        if (isOpen && next !== null) perStep({ do: 'deliver' });
        else {
          // As much time as it takes to come back, and heartbeats meanwhile.
          if (isOpen) say({ type: 'heartbeat' });
          perStep({ do: 'pass', ms: Math.max(1, Math.min(machine.wakeAtMs - ms, 10_000)) });
        }
      }
      expect(isReached(), 'the subscriber is there again').toBe(true);
    },
    /** What is wrong with what was told, or null. */
    fault(): string | null {
      let known = begins!;
      for (const one of told) {
        if (one.type === 'message') {
          if (one.n !== known) return `${one.n} came where ${known} was next`;
          known++;
          continue;
        }
        const { from, to } = one.gap;
        if (from === null || indexAfter(from) > known) return `a gap begins beyond ${known}`;
        if (indexAfter(to) < known) return `a gap leads back from ${known}`;
        known = indexAfter(to);
      }
      return known === log.length ? null : `the end is ${known} and not ${log.length}`;
    },
    told,
  };
}

const codes = [1000, 1006, 1001, ...Object.values(closeCodes).filter((code) => code < 4500)];
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 24, arbitrary: fc.constantFrom<Step>({ do: 'publish' }, { do: 'deliver' }) },
  { weight: 6, arbitrary: fc.constant<Step>({ do: 'open' }) },
  {
    weight: 5,
    arbitrary: fc.constantFrom<Step>(
      { do: 'leaveOut' },
      { do: 'repeat' },
      { do: 'reset' },
      { do: 'newEpoch' },
      { do: 'bye' },
      { do: 'end' },
    ),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), keep: fc.nat(4) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('close' as const), code: fc.constantFrom(...codes) }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1, 100, 600, 11_000) }),
  },
);

test('whatever a server does, a publication is delivered once and in order, or a gap is told', () => {
  const seen = { messages: 0, gaps: 0 };
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 150, size: 'max' }),
      fc.nat(),
      fc.option(fc.nat(5), { nil: undefined }),
      (steps, seed, last) => {
        const world = createWorld(seed, last);
        for (const one of steps) world.perStep(one);
        world.settle();
        expect(world.fault()).toBeNull();
        for (const one of world.told) seen[one.type === 'gap' ? 'gaps' : 'messages']++;
      },
    ),
    { numRuns: 300 },
  );
  // The property says nothing where nothing happens.
  expect(seen.messages).toBeGreaterThan(1_500);
  expect(seen.gaps).toBeGreaterThan(200);
});
