import { expect, test } from 'vitest';

import { gaitFeedOf, type GaitFeed } from '#web/motion/gait-feed.ts';
import { motionWords, type MotionState } from '#web/motion/motion-words.ts';

const nothing = gaitFeedOf([]);
const say = (over: Partial<MotionState>): string =>
  motionWords({ connection: 'following', refusal: null, feed: nothing, hasAngles: false, newestUs: null, ...over }).text;
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

test('a notice is said while it is fresh', () => {
  expect(say({ feed: withNotice(5_000_000), newestUs: 10_000_000 })).toBe('The left foot was silent for 2 s');
  expect(say({ feed: withNotice(5_000_000), newestUs: 36_000_000, hasAngles: true })).toMatch(/^No stride yet/);
});

test('a session without motion says why for good', () => {
  expect(say({ feed: withNotice(0, 'off'), newestUs: 1e12 })).toBe('The left foot was silent for 2 s');
  expect(say({ connection: 'refused', refusal: 'no such channel' })).toBe(
    'Motion is not shown here: no such channel',
  );
});
