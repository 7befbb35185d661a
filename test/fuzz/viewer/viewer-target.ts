/**
 * Owns the target `viewers`: viewers that say anything to the hub, are slow, and leave, while the bus brings readings and
 * progress, some of it broken. Sessions mark their readings with a byte of their own, so that a stray one is seen.
 */

import type { ViewerMessage } from '#contract/live-messages.ts';
import type { Chance } from '#test/fuzz/chance.ts';
import { bomb, hostileNumber, hostileString, varyText } from '#test/fuzz/hostile-json.ts';
import type { Step } from '#test/fuzz/step.ts';
import type { Target } from '#test/fuzz/target.ts';
import {
  channelOf,
  createViewerWorld,
  GOOD_KEY,
  rooms,
  SESSIONS,
  VIEWERS,
} from '#test/fuzz/viewer/viewer-world.ts';

export const viewerTarget: Target = {
  name: 'viewers',
  share: 15,
  about: 'viewers against the live hub: requests, slowness and departures, and anything on the bus',
  generate,
  async run(steps, notes) {
    const world = createViewerWorld(notes);
    for (const step of steps) await world.perform(step);
    await world.finish();
  },
};

function generate(chance: Chance): Step[] {
  const steps: Step[] = [];
  for (let who = 0; who < 1 + chance.below(VIEWERS); who++) {
    steps.push({ do: 'connect', who, n: chance.below(2) });
    for (let i = chance.below(3); i > 0; i--)
      steps.push(
        say(who, { type: 'subscribe', id: chance.below(9), channel: channelOf(chance.below(SESSIONS)) }),
      );
  }
  const length = 10 + chance.below(chance.is(0.05) ? 300 : 60);
  while (steps.length < length) steps.push(anyStep(chance));
  return steps;
}

function anyStep(chance: Chance): Step {
  const who = chance.below(VIEWERS);
  const draw = chance.below(100);
  if (draw < 40) return textStep(who, chance);
  if (draw < 50) return { do: 'publish', n: chance.below(6) };
  if (draw < 60) return { do: 'readings', n: chance.below(SESSIONS), bytes: new Uint8Array(sizeOf(chance)) };
  if (draw < 68) return { do: 'progress', n: chance.below(SESSIONS), text: progress(chance) };
  if (draw < 80) return { do: 'turn' };
  if (draw < 84) return { do: 'slow', who, n: chance.below(2) };
  if (draw < 88) return { do: 'mode', n: chance.below(4) };
  if (draw < 90) return { do: 'answer', n: chance.below(4) };
  if (draw < 94) return { do: 'advance', n: chance.among([1, 8, 1_000, 5_001, 16_000]) };
  if (draw < 96) return { do: 'binary', who };
  if (draw < 97) return { do: 'heard', who };
  if (draw < 99) return { do: 'connect', who, n: chance.below(2) };
  return { do: chance.is(0.8) ? 'gone' : 'drain', who };
}

function sizeOf(chance: Chance): number {
  return chance.is(0.9) ? chance.below(400) : chance.among([0, 10_000, 70_000, 524_288, 524_289]);
}

function progress(chance: Chance): string {
  const entry = {
    stream: `stream-${chance.below(300)}`,
    epoch: '0000000000000001',
    next: chance.below(1000),
    ranges: [[2_000, 3_000]],
    lost: 0,
  };
  const list = JSON.stringify(Array.from({ length: chance.below(3) }, () => entry));
  return chance.is(0.3) ? varyText(list, chance) : list;
}

function textStep(who: number, chance: Chance): Step {
  if (chance.is(0.003)) return { do: 'text', who, text: bomb(chance) };
  const step = say(who, request(chance));
  return chance.is(0.25) ? { ...step, text: varyText(step.text, chance) } : step;
}

function say(who: number, said: ViewerMessage): Step & { text: string } {
  return { do: 'text', who, text: JSON.stringify(said) };
}

function request(chance: Chance): ViewerMessage {
  const id = chance.is(0.9) ? chance.below(9) : Math.trunc(hostileNumber(chance));
  const channel = anyChannel(chance);
  const draw = chance.below(20);
  if (draw < 6) return { type: 'subscribe', id, channel, ...wishes(chance) };
  if (draw < 9) return { type: 'unsubscribe', id, channel };
  if (draw < 10) return { type: 'probe', id, t0Us: hostileNumber(chance) };
  if (draw < 11) return { type: 'heartbeat' };
  if (draw < 12) return { type: 'hello', key: hostileString(chance) };
  if (draw < 15) {
    const data = chance.is(0.8) ? { text: 'said' } : hostileString(chance);
    return { type: 'publish', id, channel, event: 'message', data, ...(chance.is(0.2) ? { key: 'k' } : {}) };
  }
  if (draw < 16) return { type: 'request', id, channel, name: 'echo', data: { text: hostileString(chance) } };
  if (draw < 17) {
    const side = chance.among([{}, { before: chance.below(9) }, { after: hostileNumber(chance) }]);
    return { type: 'history', id, channel, ...side };
  }
  if (draw < 18) return { type: 'members', id, channel };
  if (draw < 19) return { type: 'state', id, channel, state: hostileString(chance) };
  return { type: 'refresh', id, key: chance.is(0.5) ? GOOD_KEY : hostileString(chance) };
}

function anyChannel(chance: Chance): string {
  if (chance.is(0.05)) return hostileString(chance);
  if (chance.is(0.1)) return chance.among(['room/*', 'session/*/readings', '*/a', '*']);
  return chance.is(0.5) ? channelOf(chance.below(SESSIONS + 2)) : chance.among(rooms);
}

/** What a subscription asks for beside its channel. */
function wishes(chance: Chance): object {
  return {
    ...(chance.is(0.2) ? { last: chance.below(6) } : {}),
    ...(chance.is(0.2) ? { position: { epoch: 'abc', offset: chance.below(9) } } : {}),
    ...(chance.is(0.1) ? { cursor: chance.among(['AQ', hostileString(chance)]) } : {}),
    ...(chance.is(0.5) ? { presence: chance.is(0.9) } : {}),
    ...(chance.is(0.2) ? { state: { name: hostileString(chance) } } : {}),
    ...(chance.is(0.05) ? { token: hostileString(chance) } : {}),
  };
}
