import { expect, test } from 'vitest';

import { gaitFeedOf, type GaitFeed } from '#web/motion/gait-feed.ts';
import { motionWords, type MotionState } from '#web/motion/motion-words.ts';

const nothing = gaitFeedOf([]);
const words = (over: Partial<MotionState>) =>
  motionWords({
    connection: 'following',
    refusal: null,
    feed: nothing,
    hasAngles: false,
    newestUs: null,
    ...over,
  });
const say = (over: Partial<MotionState>): string => words(over).text;
const withNotice = (timeUs: number, code = 'gap'): GaitFeed => ({
  ...nothing,
  notices: [{ timeUs, code, segment: null, text: 'The left foot was silent for 2 s' }],
});

test('before the first stride it says what is waited for', () => {
  expect(say({ connection: 'waiting' })).toBe('Asking for motion');
  expect(say({})).toBe('Waiting for the sensors to move');
  expect(say({ hasAngles: true })).toBe('No stride yet: it appears when a step has ended');
});

test('it counts all strides of the session, not those it happens to have', () => {
  expect(say({ feed: { ...nothing, summary: { metrics: [], strides: 1234 } } })).toBe('1,234 strides so far');
  expect(say({ feed: { ...nothing, summary: { metrics: [], strides: 1 } } })).toBe('1 stride so far');
});

test('a notice is said beside it while it is fresh', () => {
  expect(words({ feed: withNotice(5_000_000), newestUs: 10_000_000 })).toEqual({
    text: 'Waiting for the sensors to move',
    notice: 'The left foot was silent for 2 s',
  });
  expect(words({ feed: withNotice(5_000_000), newestUs: 36_000_000 }).notice).toBe(null);
});

test('a session without motion says why for good', () => {
  const off = words({ feed: withNotice(0, 'off'), newestUs: 1e12 });
  expect(off).toEqual({ text: 'The left foot was silent for 2 s', notice: null });
  expect(words({ connection: 'refused', refusal: 'no such channel' })).toEqual({
    text: 'Not shown here',
    notice: 'no such channel',
  });
});
