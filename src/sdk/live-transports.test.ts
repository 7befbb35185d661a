import { expect, test } from 'vitest';

import { closeCodes } from '#protocol/codes.ts';
import { allTransports, createTransportChoice, isOfNetwork } from '#sdk/live-transports.ts';

const MINUTE_MS = 60_000;

test('the next is taken when one cannot be opened, and the first between the others', () => {
  const choice = createTransportChoice(allTransports);
  const taken: string[] = [];
  for (let i = 0; i < 8; i++) {
    choice.begin(0);
    taken.push(choice.current);
    choice.failed('soon');
  }
  expect(taken).toEqual([
    'websocket',
    'websocket',
    'sse',
    'websocket',
    'sse',
    'poll',
    'websocket',
    'websocket',
  ]);
});

test('an attempt that took all its time counts twice', () => {
  const choice = createTransportChoice(allTransports);
  choice.begin(0);
  choice.failed('slow');
  choice.begin(0);
  expect(choice.current).toBe('sse');
});

test('what is not allowed is not taken', () => {
  const choice = createTransportChoice(['poll']);
  for (let i = 0; i < 3; i++) {
    choice.begin(0);
    expect(choice.current).toBe('poll');
    choice.failed('soon');
  }
});

function onSse(nowMs: number) {
  const choice = createTransportChoice(allTransports);
  for (let i = 0; i < 2; i++) {
    choice.begin(0);
    choice.failed('soon');
  }
  choice.begin(nowMs);
  choice.opened(nowMs);
  return choice;
}

test('what worked is begun with for five minutes', () => {
  const choice = onSse(0);
  choice.lasted();
  choice.begin(4 * MINUTE_MS);
  expect(choice.current).toBe('sse');
  choice.begin(5 * MINUTE_MS);
  expect(choice.current).toBe('websocket');
});

test('when what worked fails, all begins anew', () => {
  const choice = onSse(0);
  choice.failed('soon');
  choice.begin(0);
  expect(choice.current).toBe('websocket');
});

test('what opens and carries nothing is followed by the next at once', () => {
  const choice = onSse(0);
  choice.unusable(0);
  choice.begin(0);
  expect(choice.current).toBe('poll');
});

test('while another is in use the first is looked at, ever more rarely', () => {
  const choice = onSse(0);
  const waits: number[] = [];
  let nowMs = 0;
  for (let i = 0; i < 8; i++) {
    waits.push((choice.lookAtMs - nowMs) / MINUTE_MS);
    nowMs = choice.lookAtMs;
    choice.looks();
    expect(choice.lookAtMs).toBe(Number.POSITIVE_INFINITY);
    choice.looked(false, nowMs);
  }
  expect(waits).toEqual([1, 2, 4, 8, 16, 30, 30, 30]);
  choice.looked(true, nowMs);
  choice.begin(nowMs);
  expect(choice.current).toBe('websocket');
});

test('a server that closes with a reason is no broken way to it', () => {
  expect([1000, 1002, 1005, 1006, 1011, 1015].filter((code) => !isOfNetwork(code))).toEqual([]);
  expect([1001, ...Object.values(closeCodes)].filter(isOfNetwork)).toEqual([]);
});
