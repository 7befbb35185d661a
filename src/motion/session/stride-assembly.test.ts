import { expect, test } from 'vitest';

import type { Side } from '#motion/body-model.ts';
import type { Contact, Stride } from '#motion/results.ts';
import { createStrideAssembly, type StrideAssembly } from '#motion/session/stride-assembly.ts';

const WAIT_US = 500_000;
const unknown = {
  strideLengthM: null,
  clearanceM: null,
  turnDeg: null,
  heightChangeM: null,
  terrain: null,
} as const;

/** A walk of 1 s strides with 60 % of stance, the right foot half a stride after the left; every event by its time. */
function walk(assembly: StrideAssembly, { fromS, strides }: { fromS: number; strides: number }): Stride[] {
  const events: { atUs: number; tell: () => void }[] = [];
  const at = (timeS: number): number => Math.round((fromS + timeS) * 1e6);
  for (const [side, delay] of [
    ['left', 0],
    ['right', 0.5],
  ] as const satisfies readonly (readonly [Side, number])[])
    for (let i = 0; i <= strides; i++) {
      const contact = (kind: Contact['kind'], timeUs: number): void =>
        void events.push({ atUs: timeUs, tell: () => assembly.contact({ side, kind, timeUs }) });
      contact('initial', at(i + delay));
      contact('final', at(i + delay + 0.6));
      if (i > 0)
        events.push({
          atUs: at(i + delay) + 200_000,
          tell: () =>
            assembly.stride({
              ...unknown,
              side,
              startUs: at(i - 1 + delay),
              endUs: at(i + delay),
              strideLengthM: 1.3,
            }),
        });
    }
  events.sort((a, b) => a.atUs - b.atUs);
  const given: Stride[] = [];
  for (const { atUs, tell } of events) {
    given.push(...assembly.settle(atUs));
    tell();
  }
  given.push(...assembly.settle(at(strides + 5)));
  return given;
}

test('stance, swing, double support, speed and cadence come from the contacts of both feet', () => {
  const strides = walk(createStrideAssembly(WAIT_US), { fromS: 10, strides: 4 });
  expect(strides).toHaveLength(8);
  expect(strides.map(({ side }) => side)).toEqual([
    'left',
    'right',
    'left',
    'right',
    'left',
    'right',
    'left',
    'right',
  ]);
  for (const stride of strides) {
    expect(stride).toMatchObject({ strideTimeS: 1, stanceTimeS: 0.6, swingTimeS: 0.4, strideLengthM: 1.3 });
    expect(stride).toMatchObject({ speedMS: 1.3, cadenceStepsPerMin: 120, bout: 0 });
  }
  // 10 % of the stride from each contact to the other foot's final one; the first stride knows no foot before it.
  expect(strides[0]!.doubleSupportPercent).toBeNull();
  for (const { doubleSupportPercent } of strides.slice(1)) expect(doubleSupportPercent).toBeCloseTo(20, 9);
});

test('a pause of more than three seconds begins another bout', () => {
  const assembly = createStrideAssembly(WAIT_US);
  walk(assembly, { fromS: 0, strides: 3 });
  expect(walk(assembly, { fromS: 6, strides: 2 }).map(({ bout }) => bout)).toEqual([0, 0, 0, 0]);
  expect(walk(assembly, { fromS: 30, strides: 2 }).map(({ bout }) => bout)).toEqual([1, 1, 1, 1]);
});

test('a stride is given with the contacts that it needs, or when they will not come any more', () => {
  const assembly = createStrideAssembly(WAIT_US);
  assembly.contact({ side: 'left', kind: 'initial', timeUs: 0 });
  assembly.stride({ ...unknown, side: 'left', startUs: 0, endUs: 1_000_000 });
  expect(assembly.settle(1_499_999)).toEqual([]);
  const [stride] = assembly.settle(1_500_000);
  expect(stride).toMatchObject({ stanceTimeS: null, swingTimeS: null, doubleSupportPercent: null });
  for (const [side, kind, timeUs] of [
    ['left', 'initial', 2_000_000],
    ['right', 'final', 2_100_000],
    ['right', 'initial', 2_500_000],
    ['left', 'final', 2_600_000],
  ] as const)
    assembly.contact({ side, kind, timeUs });
  assembly.stride({ ...unknown, side: 'left', startUs: 2_000_000, endUs: 3_000_000 });
  expect(assembly.settle(3_000_001)).toMatchObject([{ doubleSupportPercent: 20 }]);
});

test('a stride that was found incomplete is given as soon as the contact comes that it waited for', () => {
  const assembly = createStrideAssembly(WAIT_US);
  const tell = (side: Side, kind: Contact['kind'], timeUs: number): void =>
    assembly.contact({ side, kind, timeUs });
  tell('left', 'initial', 0);
  tell('right', 'final', 100_000);
  tell('left', 'final', 600_000);
  assembly.stride({ ...unknown, side: 'left', startUs: 0, endUs: 1_000_000 });
  for (const nowUs of [1_000_000, 1_100_000]) expect(assembly.settle(nowUs)).toEqual([]);
  tell('right', 'initial', 500_000);
  expect(assembly.settle(1_200_000)).toMatchObject([{ doubleSupportPercent: 20 }]);
});

test('a checkpoint in the middle changes nothing', () => {
  const whole = createStrideAssembly(WAIT_US);
  const before = walk(whole, { fromS: 0, strides: 3 });
  const copy = createStrideAssembly(WAIT_US);
  copy.restore(JSON.parse(JSON.stringify(whole.record())) as ReturnType<typeof whole.record>);
  expect(before).toHaveLength(6);
  expect(walk(copy, { fromS: 3, strides: 3 })).toEqual(walk(whole, { fromS: 3, strides: 3 }));
});
