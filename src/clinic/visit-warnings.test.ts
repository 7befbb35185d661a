import { expect, test } from 'vitest';

import { areOpposite, sideOf } from '#clinic/segment-sides.ts';
import { visitWarnings, type PlacementFacts } from '#clinic/visit-warnings.ts';

const placed = (segment: string, over: Partial<PlacementFacts> = {}): PlacementFacts => ({
  deviceId: `device of ${segment}`,
  deviceName: '17',
  segment,
  streams: [],
  last: null,
  inUse: null,
  elsewhere: null,
  ...over,
});
const codes = (...placements: readonly PlacementFacts[]): string[] =>
  visitWarnings({ patient: null, protocol: null, placements }).map(({ code }) => code);
const was = (...segments: string[]): Partial<PlacementFacts> => ({ last: { session: 'before', segments } });

test('sides are found in any usual spelling, and nowhere else', () => {
  for (const name of ['left-foot', 'Left Foot', 'foot_l', 'leftFoot', 'FOOT LEFT', 'l foot'])
    expect(sideOf(name)).toEqual({ side: 'left', part: 'foot' });
  for (const name of ['pelvis', 'lower-back', 'bright', 'left right', 'reel', '', 'constructor'])
    expect(sideOf(name)).toBeNull();
  expect(areOpposite('left-foot', 'Right Foot')).toBe(true);
  expect(areOpposite('left-foot', 'right-shank')).toBe(false);
  expect(areOpposite('left-foot', 'left-foot')).toBe(false);
});

test('a device that was on the other side is told, unless it was on this one too', () => {
  expect(codes(placed('left-foot', was('right-foot')))).toEqual(['other-side']);
  expect(codes(placed('left-foot', was('right-foot', 'left-foot')))).toEqual([]);
  expect(codes(placed('left-foot', was('right-shank')))).toEqual([]);
  expect(codes(placed('left-foot', { deviceName: 'Right Foot' }))).toEqual(['other-side']);
  expect(codes(placed('pelvis', { deviceName: 'Right Foot' }))).toEqual([]);
});

test('two that have changed places are told once, one that moved alone as itself', () => {
  const [left, right] = [placed('left-foot', was('right-foot')), placed('right-foot', was('left-foot'))];
  expect(codes(left, right)).toEqual(['sides-swapped']);
  expect(codes(left, placed('right-foot', was('right-foot')))).toEqual(['other-side']);
});

test('a hub that records several segments is compared with all of them', () => {
  const hub = { deviceId: 'hub', streams: ['left-foot', 'right-foot'] };
  expect(codes(placed('left-foot', hub), placed('right-foot', hub))).toEqual([]);
  expect(codes(placed('left-shank', { ...hub, streams: ['left-foot'] }))).toEqual(['streams-elsewhere']);
});
