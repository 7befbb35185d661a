import { expect, test } from 'vitest';

import { encodeClose, encodePong } from '#live/control-frames.ts';

test('a close frame has its code and reason, or neither', () => {
  expect(encodeClose(1012, 'restarting').toString('latin1')).toBe('\x88\x0c\x03\xf4restarting');
  expect(encodeClose(null, '').toString('latin1')).toBe('\x88\x00');
});

test('a pong gives back what the ping said, up to what a control frame holds', () => {
  expect(encodePong(Buffer.from('still there?')).toString('latin1')).toBe('\x8a\x0cstill there?');
  expect(encodePong(Buffer.alloc(125))).toHaveLength(127);
  expect(() => encodePong(Buffer.alloc(126))).toThrow('a control frame is short');
});
