import { expect, test } from 'vitest';

import type { BodyModel } from '#contract/motion.ts';
import type { StreamDetail } from '#contract/rest.ts';
import { draftOf, modelOf, problemAt, problemsOf, type BodyDraft } from '#web/motion/body-model-form.ts';

const axes = ['acc', 'gyr'].flatMap((quantity) =>
  ['x', 'y', 'z'].map((axis) => ({
    name: `${quantity}_${axis}`,
    unit: quantity === 'acc' ? 'm/s2' : 'rad/s',
  })),
);
const stream = (id: string, segment: string, over: object = {}): StreamDetail =>
  ({
    definition: {
      stream: id,
      session: 's',
      segment,
      sensor: 'imu',
      axes,
      rateHz: 200,
      clock: 'device',
      ...over,
    },
  }) as unknown as StreamDetail;
const streams = [
  stream('a', 'left-foot'),
  stream('b', 'wrist'),
  stream('c', 'thermometer', { axes: [{ name: 'temp', unit: 'degC' }] }),
];
const model: BodyModel = {
  heightM: 1.785,
  placements: [
    {
      stream: 'a',
      segment: 'left-foot',
      rateHz: 200,
      acc: { axes: [0, 1, 2], scale: 1 },
      gyr: { axes: [3, 4, 5], scale: 1 },
      mag: null,
      alignment: { kind: 'calibrated', quaternion: [1, 0, 0, 0], method: 'pose', quality: 0.9, reason: null },
    },
  ],
};
const change = (draft: BodyDraft, id: string, over: Partial<BodyDraft['placements'][number]>): BodyDraft => ({
  ...draft,
  placements: draft.placements.map((row) => (row.stream === id ? { ...row, ...over } : row)),
});

test('a draft of a model gives the same model back', () => {
  const draft = draftOf(model, streams);
  expect(draft.height).toBe('178.5');
  expect(draft.placements.map(({ stream: id, segment, name }) => [id, segment, name])).toEqual([
    ['a', 'left-foot', 'Left foot, imu'],
    ['b', '', 'Wrist, imu'],
    ['c', '', 'Thermometer, imu'],
  ]);
  expect(problemsOf(draft)).toBe(null);
  expect(modelOf(draft)).toEqual(model);
});

test('placements keep the order of the model, whatever the order of the streams', () => {
  const second = { ...model.placements[0]!, stream: 'b', segment: 'right-forearm' };
  const turned = { ...model, placements: [second, ...model.placements] };
  expect(modelOf(draftOf(turned, streams))).toEqual(turned);
});

test('a stream that was left out can be worn, with the axes that it names', () => {
  const draft = change(draftOf(model, streams), 'b', { segment: 'right-forearm' });
  expect(modelOf(draft).placements[1]).toEqual({
    stream: 'b',
    segment: 'right-forearm',
    rateHz: 200,
    acc: { axes: [0, 1, 2], scale: 1 },
    gyr: { axes: [3, 4, 5], scale: 1 },
    mag: null,
    alignment: { kind: 'from-movement' },
  });
});

test('a calibration can be given up, and a height forgotten', () => {
  const draft = { ...change(draftOf(model, streams), 'a', { alignment: 'from-movement' }), height: ' ' };
  expect(modelOf(draft)).toMatchObject({
    heightM: null,
    placements: [{ alignment: { kind: 'from-movement' } }],
  });
});

test('what is wrong is said at its field', () => {
  const draft = draftOf(model, streams);
  expect(problemsOf({ ...draft, height: '1.78' })?.height).toBe('A height from 40 to 260 cm, or nothing');
  expect(problemsOf({ ...draft, height: 'tall' })?.height).not.toBe(null);
  expect(problemsOf({ ...draft, height: '178,5' })).toBe(null);
  expect(problemsOf(change(draft, 'b', { segment: 'left-foot' }))?.placements).toEqual({
    b: 'Left foot is worn by “Left foot, imu” already',
  });
  expect(problemsOf(change(draft, 'c', { segment: 'head' }))?.placements).toEqual({
    c: 'It has no accelerometer and gyroscope with a clock',
  });
});

test('the complaint of the server finds its field', () => {
  const draft = change(change(draftOf(model, streams), 'a', { segment: '' }), 'b', { segment: 'head' });
  expect(problemAt(draft, '/bodyModel/placements/0/segment', 'no')).toEqual({
    height: null,
    placements: { b: 'no' },
  });
  expect(problemAt(draft, '/bodyModel/heightM', 'no')?.height).toBe('no');
  expect(problemAt(draft, '/bodyModel/placements/7', 'no')).toBe(null);
  expect(problemAt(draft, undefined, 'no')).toBe(null);
});
