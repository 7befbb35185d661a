import fc from 'fast-check';
import { expect, test } from 'vitest';

import { createEventStreamReader, MAX_EVENT_CHARACTERS } from '#sdk/event-stream.ts';

function read(...parts: readonly string[]): string[] {
  const told: string[] = [];
  const reader = createEventStreamReader({
    event: ({ name, data }) => told.push(`${name}=${data}`),
    comment: () => told.push('comment'),
  });
  for (const part of parts) expect(reader.read(part)).toBe(true);
  return told;
}

test('the examples of the standard', () => {
  expect(
    read(': test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n'),
  ).toEqual(['comment', 'message=first event', 'message=second event', 'message= third event']);
  expect(read('data\n\ndata\ndata\n\ndata:')).toEqual(['message=', 'message=\n']);
  expect(read('data:test\n\ndata: test\n\n')).toEqual(['message=test', 'message=test']);
  expect(read('event: subscribed\ndata: {"a":1}\nretry: 5\n\nevent: lost\n\ndata: x\n\n')).toEqual([
    'subscribed={"a":1}',
    'message=x',
  ]);
});

test('it is the same however the text is cut, and whichever line end it has', () => {
  const events = [
    'retry: 10',
    '',
    ':',
    '',
    'event: message',
    'data: a',
    'data: b',
    '',
    'data: {"x":"y: z"}',
    '',
    '',
  ];
  const whole = read(events.join('\n'));
  expect(whole).toEqual(['comment', 'message=a\nb', 'message={"x":"y: z"}']);
  fc.assert(
    fc.property(
      fc.constantFrom('\n', '\r', '\r\n'),
      fc.array(fc.nat(200), { maxLength: 20 }),
      (end, cuts) => {
        const text = events.join(end);
        const places = [0, ...cuts.map((cut) => cut % text.length), text.length].sort((a, b) => a - b);
        const parts = places.slice(1).map((place, i) => text.slice(places[i], place));
        expect(read(...parts)).toEqual(whole);
      },
    ),
  );
});

test('an event that is too long ends it', () => {
  const reader = createEventStreamReader({ event: () => undefined, comment: () => undefined });
  expect(reader.read(`data: ${'x'.repeat(MAX_EVENT_CHARACTERS - 6)}`)).toBe(true);
  expect(reader.read('\ndata: more')).toBe(false);
});
