import fc from 'fast-check';
import { expect, test } from 'vitest';

import { createEventStreamReader, createLineReader } from '#base/event-stream.ts';

const read = (text: string): unknown => createEventStreamReader(1000).push(text);

test('the examples of the standard', () => {
  expect(read('data: YHOO\ndata: +2\ndata: 10\n\n')).toEqual([
    { event: 'message', data: 'YHOO\n+2\n10', id: '' },
  ]);
  expect(
    read(': test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n'),
  ).toEqual([
    { event: 'message', data: 'first event', id: '1' },
    { event: 'message', data: 'second event', id: '' },
    { event: 'message', data: ' third event', id: '' },
  ]);
  expect(read('data\n\ndata\ndata\n\ndata:')).toEqual([
    { event: 'message', data: '', id: '' },
    { event: 'message', data: '\n', id: '' },
  ]);
});

test('an id lasts, an event name does not, and a mark of byte order is no data', () => {
  expect(read('\uFEFFid: 7\nevent: add\ndata: a\n\ndata: b\n\nid: x\0y\ndata: c\n\n')).toEqual([
    { event: 'add', data: 'a', id: '7' },
    { event: 'message', data: 'b', id: '7' },
    { event: 'message', data: 'c', id: '7' },
  ]);
});

test('retry is read when it is a number', () => {
  const reader = createEventStreamReader(1000);
  reader.push('retry: 1500\n');
  reader.push('retry: soon\n');
  expect(reader.retryMs).toBe(1500);
});

test('pieces of any size, and any line end, give the same events', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('data: x', 'data: ä', 'id: 3', 'event: e', '', ':c'), { maxLength: 20 }),
      fc.constantFrom('\n', '\r\n', '\r'),
      fc.integer({ min: 1, max: 5 }),
      (lines, end, size) => {
        const text = [...lines, 'data: last', '', ''].join(end);
        const whole = createEventStreamReader(1000).push(`${text}\n`);
        const reader = createEventStreamReader(1000);
        const pieces = Array.from(`${text}\n`, (_, i) =>
          i % size === 0 ? `${text}\n`.slice(i, i + size) : '',
        );
        expect(pieces.flatMap((piece) => reader.push(piece))).toEqual(whole);
        expect(whole.at(-1)?.data.endsWith('last')).toBe(true);
      },
    ),
  );
});

test('a line or an event without end is refused at its bound', () => {
  const reader = createLineReader(10);
  expect(reader.push('0123456789')).toEqual([]);
  expect(() => reader.push('x')).toThrow('more than 10 characters');
  const events = createEventStreamReader(10);
  expect(() => events.push('data:1234\ndata:1234\ndata:1234\n')).toThrow('more than 10 characters');
});
