import { expect, test } from 'vitest';

import { decodeCursor, encodeCursor } from '#protocol/channel-cursor.ts';
import { encodeControl, encodeTick } from '#live/outgoing.ts';
import { createEventEncoder } from '#live/sse-encoding.ts';
import { eventItem, subscribedItem, testEpoch } from '#test/support/outgoing-messages.ts';

const encoder = (
  channels: string[],
  idSuffix = '',
  positions: [string, { epoch: string; offset: number }][] = [],
) => createEventEncoder({ channels, positions, idSuffix });
const at = (offset: number) => ({ epoch: testEpoch, offset });

test('an event is id, event and data, each on its line, and a blank line', () => {
  const text = encoder(['a'])
    .encode([eventItem('a', 7, 'é\n😀')])
    .toString();
  expect(text.split('\n')).toEqual([
    `id: ${encodeCursor([['a', at(7)]])}`,
    'event: message',
    `data: {"type":"message","channel":"a","offset":7,"timeUs":1700000000000007,"event":"said","data":"é\\n😀"}`,
    '',
    '',
  ]);
});

test('a line break in a body that came from elsewhere stays within the event', () => {
  const item = eventItem('a', 1, 0);
  const spaced = Buffer.from('{"a":1,\n"b":2,\r\n"c":3,\r"d":4}');
  const text = encoder(['a'])
    .encode([{ ...item, message: spaced }])
    .toString();
  expect(text).not.toContain('\r');
  const data = text.split('\n').filter((line) => line.startsWith('data: '));
  expect(JSON.parse(data.map((line) => line.slice(6)).join('\n'))).toEqual({ a: 1, b: 2, c: 3, d: 4 });
  expect(text.endsWith('\n\n')).toBe(true);
  expect(text.match(/\n\n/g)).toHaveLength(1);
});

test('the id covers all channels, and what is known of those that are silent', () => {
  const many = encoder(['a', 'b', 'c'], '', [['b', at(40)]]);
  const ids = many
    .encode([eventItem('a', 1, 0), eventItem('c', 5, 0)])
    .toString()
    .split('\n')
    .flatMap((line) => (line.startsWith('id: ') ? [decodeCursor(line.slice(4))] : []));
  expect(ids.map((id) => ['a', 'b', 'c'].map((name) => id?.positionOf(name)?.offset ?? null))).toEqual([
    [1, 40, null],
    [1, 40, 5],
  ]);
});

test('what moves nobody on has no id', () => {
  const text = encoder(['a'])
    .encode([encodeControl({ type: 'bye', afterMs: 5 })])
    .toString();
  expect(text).toBe('event: bye\ndata: {"type":"bye","afterMs":5}\n\n');
});

test('a message to one channel is encoded once for all who follow only that', () => {
  const item = eventItem('a', 1, 0);
  expect(encoder(['a']).encode([item])).toBe(encoder(['a']).encode([item]));
  // ... and never shared with who follows more, or whose ids carry a proof.
  expect(encoder(['a', 'b'], '', [['b', at(3)]]).encode([item])).not.toEqual(encoder(['a']).encode([item]));
  const proven = encoder(['a'], '.proof').encode([item]).toString();
  expect(proven).toContain(`id: ${encodeCursor([['a', at(1)]])}.proof\n`);
});

test('errors do not take the name of an event of EventSource itself', () => {
  const error = encodeControl({ type: 'error', code: 'forbidden', message: 'no' });
  expect(encoder(['a']).encode([error]).toString()).toMatch(/^event: problem\n/);
});

test('binary readings are base64 in events of their own name', () => {
  const item = encodeTick('a', { channel: 3, offset: 1, publishedUs: 5 }, [Uint8Array.of(1, 2, 3)]);
  const lines = encoder(['a']).encode([item]).toString().split('\n');
  expect(lines[0]).toBe('event: binary');
  expect(Buffer.from(lines[1]!.slice(6), 'base64')).toEqual(Buffer.from(item.message));
});

test('heartbeats are comments', () => {
  expect(
    encoder(['a'])
      .encode([encodeControl({ type: 'heartbeat' })])
      .toString(),
  ).toBe(':\n\n');
});

test('a stream begins with when to come back, and an id where there is something to remember', () => {
  expect(encoder(['a']).begin(1500).toString()).toBe('retry: 1500\n\n');
  const id = encodeCursor([['a', at(9)]]);
  expect(
    encoder(['a'], '', [['a', at(9)]])
      .begin(1)
      .toString(),
  ).toBe(`retry: 1\nid: ${id}\n\n`);
  expect(encoder(['a'], '.p').begin(1).toString()).toBe(`retry: 1\nid: ${encodeCursor([])}.p\n\n`);
});

test('where a subscription begins is remembered too', () => {
  const text = encoder(['a'])
    .encode([subscribedItem('a', { position: at(12), recovered: false })])
    .toString();
  expect(text).toContain(`id: ${encodeCursor([['a', at(12)]])}\n`);
});
