import { expect, test } from 'vitest';

import { newsOf, type NewsMessage } from '#web/news-words.ts';

const about = { channel: 'notifications', timeUs: 1, by: null, skipped: 0 };
const SESSION = '01900000-0000-7000-8000-0000000000a1';
const DEVICE = '01900000-0000-7000-8000-0000000000d1';

test('what happened is told in words, the newest first, and what this page does not know is left out', () => {
  const messages: NewsMessage[] = [
    { ...about, event: 'session-started', data: { session: SESSION, device: DEVICE }, offset: 1 },
    { ...about, event: 'device-lost', data: { device: DEVICE }, offset: 2 },
    { ...about, event: 'of-the-future', data: {}, offset: 3 },
    {
      ...about,
      event: 'command-refused',
      data: { device: DEVICE, command: 'cue', message: 'no motor' },
      offset: 4,
    },
    { ...about, event: 'command-expired', data: { device: DEVICE, command: 'stop' }, offset: 5 },
    { ...about, event: 'session-ended', data: { session: SESSION }, offset: 6 },
  ];
  const news = newsOf(messages);
  expect(news.map(({ words }) => words)).toEqual([
    'Session 000000a1 ended',
    'Device 000000d1 gave no answer to stop',
    'Device 000000d1 did not do cue: no motor',
    'Device 000000d1 lost its connection; what it measures waits on it',
    'Session 000000a1 began',
  ]);
  expect(news.map(({ session }) => session !== null)).toEqual([true, false, false, false, true]);
  expect(news.map(({ needsAttention }) => needsAttention)).toEqual([false, true, true, true, false]);
});
