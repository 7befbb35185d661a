/**
 * Owns the target `device-client`: a hostile server against the whole device client, from its API to its socket, with a
 * store in memory. The server may say anything at any time; readings come, streams end and connections break meanwhile.
 */

import type { ServerMessage } from '#protocol/messages.ts';
import type { Chance } from '#test/fuzz/chance.ts';
import { bomb, hostileNumber, hostileString, varyText } from '#test/fuzz/hostile-json.ts';
import { createDeviceWorld } from '#test/fuzz/sdk/device-client-world.ts';
import type { Step } from '#test/fuzz/step.ts';
import type { Target } from '#test/fuzz/target.ts';

const REFS = 5;

export const deviceClientTarget: Target = {
  name: 'device-client',
  share: 12,
  about:
    'a hostile server against the device client: answers, grants, acknowledgements and closes in any order',
  generate,
  async run(steps, notes) {
    const world = createDeviceWorld(notes);
    for (const step of steps) world.perform(step);
    await world.finish();
  },
};

function generate(chance: Chance): Step[] {
  const steps: Step[] = [{ do: 'stream', n: chance.below(3) }, ...connection(chance)];
  const length = 10 + chance.below(chance.is(0.05) ? 300 : 80);
  while (steps.length < length) {
    if (chance.is(0.04)) steps.push({ do: 'reconnect' }, ...connection(chance));
    else steps.push(anyStep(chance));
  }
  return steps;
}

/** A connection that begins as it should, mostly. */
function connection(chance: Chance): Step[] {
  const steps: Step[] = [{ do: 'opened' }];
  if (chance.is(0.95)) steps.push(say(welcome(chance)));
  for (let ref = 0; ref < 3; ref++) if (chance.is(0.7)) steps.push(say(opened(ref, chance)));
  return steps;
}

function anyStep(chance: Chance): Step {
  const draw = chance.below(100);
  if (draw < 55) return textStep(chance);
  if (draw < 75) return { do: 'push', who: chance.below(4), n: chance.is(0.9) ? 1 + chance.below(40) : 600 };
  if (draw < 85) return { do: 'advance', n: chance.among([1, 50, 50, 1_000, 5_000, 20_000, 60_000]) };
  if (draw < 87)
    return { do: 'closed', n: chance.among([1000, 1006, 4000, 4001, 4002, 4500, 4501, 4502, 65_536]) };
  if (draw < 89) return { do: 'opened' };
  if (draw < 92) return { do: 'stream', n: chance.below(3) };
  if (draw < 95) return { do: chance.among(['end', 'lose']), who: chance.below(4), n: 1 + chance.below(20) };
  if (draw < 96) return { do: 'probed', n: time(chance) };
  if (draw < 97) return { do: 'busy', n: chance.among([0, 1_000_000]) };
  if (draw < 98) return { do: 'jump', n: hostileNumber(chance) };
  if (draw < 99) return { do: 'reconnect' };
  return { do: 'bytes', bytes: Uint8Array.from({ length: chance.below(60) }, () => chance.below(256)) };
}

function textStep(chance: Chance): Step {
  if (chance.is(0.003)) return { do: 'text', text: bomb(chance) };
  const step = say(message(chance));
  return chance.is(0.1) ? { ...step, text: varyText(step.text, chance) } : step;
}

function say(said: ServerMessage): Step & { text: string } {
  return { do: 'text', text: JSON.stringify(said) };
}

const grants = [0, 100, 5_000, 32_768, 1_000_000, 2 ** 53 - 1];

function credit(chance: Chance): { durable: number; live: number } {
  return { durable: chance.among(grants), live: chance.among(grants) };
}

function welcome(chance: Chance): ServerMessage {
  return {
    type: 'welcome',
    version: chance.is(0.99) ? 1 : 2,
    incarnation: `00000000-0000-4000-8000-00000000000${chance.is(0.8) ? 1 : 2}`,
    generation: 1 + chance.below(9),
    serverUs: time(chance),
    heartbeatMs: chance.is(0.8) ? 5_000 : Math.max(1, Math.abs(Math.trunc(hostileNumber(chance)))),
    credit: credit(chance),
  };
}

function seq(chance: Chance): number {
  return chance.is(0.8)
    ? chance.below(200)
    : Math.min(2 ** 53 - 1, Math.abs(Math.trunc(hostileNumber(chance))));
}

function time(chance: Chance): number {
  return chance.is(0.5) ? 1_700_000_000_000_000 : Math.trunc(hostileNumber(chance));
}

function settled(chance: Chance): { next: number; ranges: [number, number][] } {
  const ranges = Array.from({ length: chance.is(0.7) ? 0 : chance.below(4) }, (): [number, number] => [
    seq(chance),
    seq(chance),
  ]);
  return { next: chance.is(0.3) ? 0 : seq(chance), ranges };
}

function opened(ref: number, chance: Chance): ServerMessage {
  const newest = { seq: seq(chance), timeUs: time(chance), crc32: chance.below(2 ** 32) };
  return {
    type: 'opened',
    ref,
    settled: chance.is(0.6) ? { next: 0, ranges: [] } : settled(chance),
    ...(chance.is(0.1) ? { newest } : {}),
    ...(chance.is(0.05) ? { discarded: true } : {}),
  };
}

const codes = [
  'new-epoch-required',
  'too-many-fragments',
  'store-unavailable',
  'overloaded',
  'stream-mismatch',
  'reference-in-use',
  'stream-refused',
  'internal',
  'toString',
];

function message(chance: Chance): ServerMessage {
  const ref = chance.is(0.95) ? chance.below(REFS) : chance.below(65_536);
  const draw = chance.below(100);
  if (draw < 30) {
    const streams = Array.from({ length: chance.below(3) }, () => ({
      ref: chance.below(REFS),
      ...settled(chance),
    }));
    return { type: 'ack', streams, credit: credit(chance) };
  }
  if (draw < 48) return opened(ref, chance);
  if (draw < 56) return { type: 'credit', credit: credit(chance) };
  if (draw < 59) return { type: 'reclaim', id: chance.below(3), durable: chance.among(grants) };
  if (draw < 62) return { type: 'rewind', ref, fromSeq: seq(chance) };
  if (draw < 72)
    return { type: 'error', code: chance.among(codes), message: hostileString(chance).slice(0, 64), ref };
  if (draw < 76) return { type: 'error', code: chance.among(codes), message: 'of the connection' };
  if (draw < 80) return { type: 'closed', ref };
  if (draw < 86)
    return {
      type: 'probe',
      id: chance.below(12),
      t0Us: time(chance),
      t1Us: time(chance),
      t2Us: time(chance),
    };
  if (draw < 90) {
    const id = `01900000-0000-7000-8000-0000000000${String(chance.below(80)).padStart(2, '0')}`;
    return { type: 'command', id, name: 'restart', argument: hostileString(chance) };
  }
  if (draw < 94) return { type: 'heartbeat' };
  if (draw < 98) return welcome(chance);
  return { type: 'bye', afterMs: Math.abs(Math.trunc(hostileNumber(chance))) };
}
