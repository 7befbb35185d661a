import { expect, test } from 'vitest';

import {
  gaitFeedOf,
  isCommitted,
  mergeSpans,
  turnDuring,
  type GaitMessage,
  type Stride,
} from '#web/motion/gait-feed.ts';

function strideOf(over: Partial<Stride>): Stride {
  return {
    side: 'left',
    startUs: 0,
    endUs: 1_000_000,
    finalContactUs: 600_000,
    strideTimeS: 1,
    stanceTimeS: 0.6,
    swingTimeS: 0.4,
    doubleSupportPercent: null,
    strideLengthM: 1.2,
    speedMS: 1.2,
    cadenceStepsPerMin: 120,
    clearanceM: null,
    turnDeg: null,
    heightChangeM: null,
    terrain: null,
    bout: 0,
    ...over,
  };
}

const message = (event: string, data: unknown): GaitMessage =>
  ({ channel: 'c', event, data, offset: 1, timeUs: 1, by: null, skipped: 0 }) as GaitMessage;

test('strides come in order of time, each once, as it was told last', () => {
  const { strides } = gaitFeedOf([
    message('stride', strideOf({ side: 'right', startUs: 500, endUs: 1500 })),
    message('stride', strideOf({ startUs: 0, endUs: 1000, strideLengthM: 1 })),
    message('stride', strideOf({ startUs: 0, endUs: 1010, strideLengthM: 1.1 })),
    message('stride', strideOf({ side: 'right', startUs: 0, endUs: 900 })),
  ]);
  expect(strides.map(({ side, endUs, strideLengthM }) => [side, endUs, strideLengthM])).toEqual([
    ['right', 900, 1.2],
    ['left', 1010, 1.1],
    ['right', 1500, 1.2],
  ]);
});

test('the newest summary stands, and a notice is said once', () => {
  const feed = gaitFeedOf([
    message('summary', { metrics: [], strides: 3, untilUs: 1 }),
    message('notice', { timeUs: 1, code: 'gap', segment: null, text: 'No readings for 2 s' }),
    message('notice', { timeUs: 2, code: 'no-movement', segment: null, text: 'Standing still' }),
    message('notice', { timeUs: 3, code: 'gap', segment: null, text: 'No readings for 2 s' }),
    message('summary', { metrics: [], strides: 4, untilUs: 2 }),
  ]);
  expect(feed.summary?.strides).toBe(4);
  expect(feed.notices.map(({ text, timeUs }) => [text, timeUs])).toEqual([
    ['No readings for 2 s', 3],
    ['Standing still', 2],
  ]);
});

test('figures and curves that come in pieces are joined, and what a summary leaves out is gone with the next', () => {
  const metric = (name: string, value: number) => ({ metric: name, side: null, value });
  const part = (untilUs: number, ...metrics: unknown[]) =>
    message('summary', { metrics, strides: 1, untilUs });
  const whole = [part(1, metric('a', 1), metric('b', 1)), part(1, metric('c', 1))];
  const values = (messages: GaitMessage[]) =>
    gaitFeedOf(messages).summary!.metrics.map((each) => `${each.metric}${each.value}`);
  expect(values(whole)).toEqual(['a1', 'b1', 'c1']);
  expect(values([...whole, part(2, metric('a', 2))])).toEqual(['a2', 'b1', 'c1']);
  expect(values([...whole, part(2, metric('a', 2)), part(3, metric('a', 3))])).toEqual(['a3']);
  const piece = (curves: unknown) => message('cycle', { side: 'left', startUs: 1, endUs: 2, curves });
  expect(gaitFeedOf([piece({ knee: [1] }), piece({ hip: [2] })]).cycles).toEqual([
    { side: 'left', startUs: 1, endUs: 2, curves: { knee: [1], hip: [2] } },
  ]);
});

test('nothing told is nothing known', () => {
  expect(gaitFeedOf([])).toEqual({
    strides: [],
    cycles: [],
    turns: [],
    notices: [],
    summary: null,
    committed: [],
  });
});

test('committed windows are joined where they touch, and end before their end', () => {
  const { committed } = gaitFeedOf([
    message('committed', { windows: [{ startUs: 10, endUs: 20, revision: 1 }] }),
    message('committed', {
      windows: [
        { startUs: 30, endUs: 40, revision: 1 },
        { startUs: 0, endUs: 10, revision: 2 },
      ],
    }),
  ]);
  expect(committed).toEqual([
    { startUs: 0, endUs: 20 },
    { startUs: 30, endUs: 40 },
  ]);
  expect([0, 19, 20, 29, 30, 40].map((us) => isCommitted(committed, us))).toEqual([
    true,
    true,
    false,
    false,
    true,
    false,
  ]);
  expect(
    mergeSpans([
      { startUs: 0, endUs: 9 },
      { startUs: 2, endUs: 3 },
    ]),
  ).toEqual([{ startUs: 0, endUs: 9 }]);
});

test('a turn belongs to the strides that it touches', () => {
  const turns = [{ startUs: 10, endUs: 20, angleDeg: 180 }];
  expect(turnDuring(turns, { startUs: 15, endUs: 30 })?.angleDeg).toBe(180);
  expect(turnDuring(turns, { startUs: 20, endUs: 30 })).toBe(null);
});
