import { expect, onTestFinished, test } from 'vitest';

import { recordWorld, smallDevice, type RecordedWorld } from '#test/simulation/recorded-world.ts';
import type { WorldOptions } from '#test/simulation/world.ts';

function play(options: Partial<WorldOptions> = {}): RecordedWorld {
  const recorded = recordWorld(options);
  onTestFinished(recorded.end);
  return recorded;
}

const sorted = (ids: Iterable<number>): number[] => [...ids].toSorted((a, b) => a - b);

test('without faults everything is stored once and shown to those who may see it', async () => {
  const { world, pushed, shown, stored, run } = play({
    devices: [
      smallDevice,
      { ...smallDevice, name: 'other', store: 'memory', org: 'other clinic', auth: 'hello', clock: 'none' },
    ],
    viewers: [
      { name: 'clinician', device: 0, org: 'clinic' },
      { name: 'stranger', device: 0, org: 'other clinic' },
    ],
  });
  await run(5000);
  for (const device of world.devices) device.end(0);
  await run(2000);
  expect(pushed.size).toBeGreaterThan(900);
  expect(sorted(stored())).toEqual(sorted(pushed));
  expect(world.devices.map(({ device }) => device!.status().bufferedReadings)).toEqual([0, 0]);
  // What came before the viewer had found the session is not shown.
  expect(shown.get('clinician')!.size).toBeGreaterThan(400);
  expect(shown.get('stranger')).toBeUndefined();
  const streams = [...world.database.tables.streams.values()];
  expect(streams.map(({ isEnded }) => isEnded)).toEqual([true, true]);
});

test('the same seed gives the same history, another seed another', async () => {
  const hashes: string[] = [];
  for (const seed of [7, 7, 8]) {
    const recorded = play({
      seed,
      servers: 2,
      devices: [smallDevice, { ...smallDevice, name: 'second', store: 'memory' }],
      viewers: [{ name: 'viewer', device: 0, org: 'clinic' }],
    });
    const { world, run } = recorded;
    await run(1500);
    world.network.split('device', 300);
    world.servers[0]!.kill();
    await run(1500);
    world.devices[0]!.kill();
    world.servers[0]!.start();
    await run(500);
    world.devices[0]!.boot();
    await run(3000);
    hashes.push(recorded.hash());
    recorded.end();
  }
  expect(hashes[1]).toBe(hashes[0]);
  expect(hashes[2]).not.toBe(hashes[0]);
});

test('two hundred worlds leave no timer, no listener and no entropy behind', async () => {
  const entropy = crypto.getRandomValues;
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const listeners = (): number =>
    process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0);
  const before = [timers(), listeners()];
  for (let seed = 0; seed < 200; seed++) {
    const recorded = play({ seed, viewers: [{ name: 'viewer', device: 0, org: 'clinic' }] });
    await recorded.run(200);
    recorded.end();
  }
  expect(timers()).toBeLessThanOrEqual(before[0]!);
  expect(listeners()).toBe(before[1]);
  expect(crypto.getRandomValues).toBe(entropy);
});
