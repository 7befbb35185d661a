import { expect, test } from 'vitest';

import { faultKinds, profiles, scenarioOf, type ProfileName } from '#test/simulation/scenario.ts';

test('the same seed makes the same history', () => {
  for (const profile of Object.keys(profiles) as ProfileName[])
    expect(scenarioOf(3, profile)).toEqual(scenarioOf(3, profile));
  expect(scenarioOf(3, 'short')).not.toEqual(scenarioOf(4, 'short'));
});

test('every kind of fault is drawn, and none by every history', () => {
  const drawn = new Map<string, number>();
  const seeds = 400;
  for (let seed = 0; seed < seeds; seed++)
    for (const kind of new Set(scenarioOf(seed, 'long').events.map((event) => event.kind)))
      drawn.set(kind, (drawn.get(kind) ?? 0) + 1);
  for (const kind of faultKinds) expect(drawn.get(kind) ?? 0, kind).toBeGreaterThan(5);
  for (const [kind, times] of drawn) expect(times, kind).toBeLessThan(seeds * 0.6);
});

test('a restore has a back-up before it', () => {
  const kinds = Array.from({ length: 100 }, (_, seed) =>
    scenarioOf(seed, 'restore').events.map(({ kind }) => kind),
  );
  const restored = kinds.filter((list) => list.includes('restore'));
  expect(restored.length).toBeGreaterThan(50);
  expect(restored.filter((list) => !list.slice(0, list.indexOf('restore')).includes('back-up'))).toEqual([]);
});
