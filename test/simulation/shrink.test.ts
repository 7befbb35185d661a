import { expect, test } from 'vitest';

import { scenarioOf } from '#test/simulation/scenario.ts';
import { shrink } from '#test/simulation/shrink.ts';

test('only what the failure needs is left', async () => {
  const scenario = scenarioOf(7, 'long');
  const kinds = [...new Set(scenario.events.map(({ kind }) => kind))].slice(0, 2);
  const { scenario: least, runs } = await shrink(
    scenario,
    ({ events }) => Promise.resolve(kinds.every((kind) => events.some((event) => event.kind === kind))),
    2000,
  );
  expect(least.events.map(({ kind }) => kind).toSorted()).toEqual(kinds.toSorted());
  expect(least).toMatchObject({ servers: 1, viewers: [], gateway: {}, writer: {}, hub: {}, timing: {} });
  expect(least.devices.length).toBe(1);
  expect(least.devices[0]!.streams.length).toBe(1);
  expect(runs).toBeLessThan(2000);
});

test('what fails for no part of it stays whole, within the bound', async () => {
  const scenario = scenarioOf(8, 'long');
  const { scenario: least, runs } = await shrink(scenario, () => Promise.resolve(false), 50);
  expect(least).toBe(scenario);
  expect(runs).toBe(50);
});
