import { expect, test } from 'vitest';

import { createTrace } from '#test/simulation/trace.ts';

test('the newest notes are kept, in their order, and the hash is of all of them', () => {
  const trace = createTrace(2);
  for (let i = 0; i < 5; i++) trace.note(i, ['device 0', 'hello'], [i]);
  expect(trace.lines()).toEqual(['   0.0030 s  device 0 hello  3', '   0.0040 s  device 0 hello  4']);
  expect(trace.count).toBe(5);

  const other = createTrace(2);
  for (let i = 0; i < 5; i++) other.note(i, ['device 0', 'hello'], [i === 0 ? 7 : i]);
  expect(other.lines()).toEqual(trace.lines());
  expect(other.hash).not.toBe(trace.hash);
});

test('a detail is put into few words', () => {
  const trace = createTrace(4);
  trace.note(1500, ['device 0 says', 'data'], [], { frames: [{ payload: new Uint8Array(12) }] });
  expect(trace.lines()).toEqual(['   1.5000 s  device 0 says data  {"frames":[{"payload":"12 bytes"}]}']);
});
