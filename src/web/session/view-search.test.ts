import { expect, test } from 'vitest';

import { parseViewSearch, stepWindow } from '#web/session/view-search.ts';

test('an address restores window and stream', () => {
  expect(parseViewSearch({ window: 30, stream: 'abc' })).toEqual({ window: 30, stream: 'abc' });
  expect(parseViewSearch({ window: '5' })).toEqual({ window: 5 });
});

test('the default and what is not understood are left out', () => {
  expect(parseViewSearch({ window: 10 })).toEqual({});
  expect(parseViewSearch({ window: 7, stream: 3, colour: 'red' })).toEqual({});
  expect(parseViewSearch({ stream: '' })).toEqual({});
});

test('windows step to the next and stop at the ends', () => {
  expect([stepWindow(5, 1), stepWindow(10, 1), stepWindow(30, 1)]).toEqual([10, 30, 30]);
  expect([stepWindow(30, -1), stepWindow(5, -1)]).toEqual([10, 5]);
});

test('an address restores the range of a review, both ends or none', () => {
  expect(parseViewSearch({ from: 5, to: '9', view: 'stored', fit: true })).toEqual({
    from: 5,
    to: 9,
    view: 'stored',
    fit: true,
  });
  expect(parseViewSearch({ from: 5 })).toEqual({});
  expect(parseViewSearch({ from: 9, to: 5, view: 'other', fit: 'no' })).toEqual({});
  expect(parseViewSearch({ from: {}, to: [] })).toEqual({});
});

test('an address restores which angles are shown, and that motion is hidden', () => {
  expect(parseViewSearch({ angles: 'legs-sideways', motion: 'hidden' })).toEqual({
    angles: 'legs-sideways',
    motion: 'hidden',
  });
  expect(parseViewSearch({ angles: 'Legs?', motion: 'shown' })).toEqual({});
  expect(parseViewSearch({ angles: 3, strides: '--length' })).toEqual({});
  expect(parseViewSearch({ strides: '-length' })).toEqual({ strides: '-length' });
});
