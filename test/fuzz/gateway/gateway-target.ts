/**
 * Owns the target `gateway`: devices that say anything in any order to the real gateway, over a backend and a store that
 * answer anything. Streams are drawn from a small set and references from a smaller one, so that collisions are common.
 */

import type { DeviceMessage } from '#protocol/messages.ts';
import { packedBytes } from '#store/stream-definition.ts';
import type { Chance } from '#test/fuzz/chance.ts';
import { createGatewayWorld, LINES } from '#test/fuzz/gateway/gateway-world.ts';
import { definitions, devices, epochs, keyOf } from '#test/fuzz/gateway/universe.ts';
import { encodeRaw, rawMessage } from '#test/fuzz/hostile-bytes.ts';
import { bomb, hostileNumber, varyText } from '#test/fuzz/hostile-json.ts';
import type { Step } from '#test/fuzz/step.ts';
import type { Target } from '#test/fuzz/target.ts';

const REFS = 6;

export const gatewayTarget: Target = {
  name: 'gateway',
  share: 50,
  about: 'devices against the gateway: control messages, data messages and answers of the store in any order',
  generate,
  async run(steps, notes) {
    const world = createGatewayWorld(notes);
    for (const step of steps) await world.perform(step);
    await world.finish();
  },
};

function generate(chance: Chance): Step[] {
  const steps: Step[] = [];
  if (chance.is(0.004)) return [...greeting(0, chance), flood(chance), { do: 'turn' }, anyStep(chance)];
  for (let who = 0; who < 1 + chance.below(3); who++)
    if (chance.is(0.9)) steps.push(...greeting(who, chance));
  const length = 8 + chance.below(chance.is(0.05) ? 300 : 50);
  while (steps.length < length) steps.push(anyStep(chance));
  return steps;
}

/** One message again and again, under one reference after the other where it has one. */
function flood(chance: Chance): Step {
  const said = chance.is(0.5) ? open(0, chance.below(definitions.length), chance) : anyMessage(chance);
  return { do: 'flood', who: 0, n: chance.among([300, 1_099]), text: JSON.stringify(said) };
}

/** A connection that does what it should: hello, and some streams opened. */
function greeting(who: number, chance: Chance): Step[] {
  // A second connection of a device closes the first.
  const device = chance.is(0.8) ? who % devices.length : chance.below(devices.length);
  const known = chance.is(0.5) ? device : -1;
  const steps: Step[] = [
    { do: 'connect', who, n: known },
    say(who, { type: 'hello', version: 1, agent: 'fuzz', key: keyOf(device) }),
  ];
  steps.push({ do: 'turn' });
  for (let ref = chance.below(REFS); ref > 0; ref--) steps.push(say(who, open(ref, ref, chance)));
  if (chance.is(0.9)) steps.push({ do: 'turn' });
  return steps;
}

function anyStep(chance: Chance): Step {
  const who = chance.is(0.7) ? 0 : chance.below(LINES);
  const draw = chance.below(100);
  if (draw < 40) return dataStep(who, chance);
  if (draw < 70) return textStep(who, chance);
  if (draw < 80) return { do: 'turn' };
  if (draw < 87) return { do: chance.among(storeMoves), n: chance.below(60) };
  if (draw < 90) return { do: 'answer', n: chance.below(4) };
  if (draw < 92) return { do: 'mode', n: chance.below(6) };
  if (draw < 96) return { do: 'advance', n: chance.among([1, 50, 1_000, 5_001, 16_000]) };
  if (draw < 98) return { do: 'connect', who, n: chance.below(devices.length + 1) - 1 };
  return chance.is(0.8)
    ? { do: 'gone', who }
    : { do: chance.among(['revoke', 'restore', 'restore', 'drain']), n: chance.below(3) };
}

const storeMoves = ['flush', 'flush', 'flush', 'part', 'part', 'refuse', 'rewind', 'unknown', 'erase'];

function dataStep(who: number, chance: Chance): Step {
  if (chance.is(0.02))
    return { do: 'data', who, bytes: Uint8Array.from({ length: chance.below(80) }, () => chance.below(256)) };
  const wrong = chance.is(0.3) ? 1 + chance.below(2) : 0;
  const message = rawMessage(chance, (ref) => packedBytes(definitions[ref % definitions.length]!), wrong);
  return { do: 'data', who, bytes: encodeRaw(message) };
}

/** The text of a valid message of a device, with numbers at the edges of what is valid. */
export function generateText(chance: Chance): string {
  return JSON.stringify(anyMessage(chance));
}

function textStep(who: number, chance: Chance): Step {
  if (chance.is(0.003)) return { do: 'text', who, text: bomb(chance) };
  const text = generateText(chance);
  return { do: 'text', who, text: chance.is(0.25) ? varyText(text, chance) : text };
}

function say(who: number, said: DeviceMessage): Step & { text: string } {
  return { do: 'text', who, text: JSON.stringify(said) };
}

function open(ref: number, stream: number, chance: Chance): DeviceMessage {
  const newest = chance.is(0.2) ? { newest: { seq: chance.below(50), crc32: chance.below(50) } } : {};
  const lost = chance.is(0.1) ? { previousStoreLost: chance.is(0.5) } : {};
  const held = chance.is(0.2) ? { held: heldRanges(chance) } : {};
  const epoch = chance.is(0.8) ? epochs[0]! : epochs[1]!;
  return {
    type: 'open',
    ref,
    epoch,
    definition: definitions[stream % definitions.length]!,
    ...newest,
    ...held,
    ...lost,
  };
}

/** Ranges as they should be, mostly. */
function heldRanges(chance: Chance): [number, number][] {
  let from = chance.below(50);
  return Array.from({ length: chance.below(5) }, () => {
    const to = from + 1 + chance.below(40);
    const range: [number, number] = chance.is(0.9) ? [from, to] : [to, from];
    from = to + 1 + chance.below(40);
    return range;
  });
}

function anyMessage(chance: Chance): DeviceMessage {
  const ref = chance.is(0.95) ? chance.below(REFS) : chance.below(65_536);
  const seq = (): number => {
    const n = Math.abs(Math.trunc(hostileNumber(chance)));
    return chance.is(0.7) ? chance.below(300) : Math.min(n, 2 ** 53 - 1);
  };
  const time = (): number => (chance.is(0.5) ? 1_700_000_000_000_000 : Math.trunc(hostileNumber(chance)));
  const draw = chance.below(100);
  if (draw < 28) return open(ref, chance.is(0.7) ? ref : chance.below(definitions.length), chance);
  if (draw < 50)
    return {
      type: 'tombstone',
      ref,
      from: seq(),
      to: seq(),
      reason: chance.among(['device-store-full', 'sensor-fault', 'server-restored'] as const),
    };
  if (draw < 72) return { type: 'close', ref, next: seq(), ended: chance.is(0.5) };
  if (draw < 78) return { type: 'probe', id: chance.below(2 ** 32), t0Us: time() };
  if (draw < 84) return { type: 'clock', deviceUs: time(), offsetUs: time(), roundTripUs: Math.abs(time()) };
  if (draw < 88)
    return { type: 'hello', version: 1 + chance.below(2), agent: 'fuzz', key: keyOf(chance.below(4)) };
  if (draw < 89) return { type: 'commandReceived', id: '01900000-0000-7000-8000-00000000c000' };
  if (draw < 90) return { type: 'commandResult', id: '01900000-0000-7000-8000-00000000c000', ok: true };
  if (draw < 93) return { type: 'reclaimed', id: 1 + chance.below(2), durable: chance.below(16 * 1024) };
  if (draw < 99) return { type: 'heartbeat' };
  return { type: 'bye' };
}
