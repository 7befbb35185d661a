import { expect, test } from 'vitest';

import { testBusConformance } from '#bus/conformance.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';

testBusConformance(async () => {
  const bus = createMemoryBus();
  return { publisher: bus, listener: bus };
});

test('delivery is a call in the turn of the publisher, and the payload is not copied', () => {
  const bus = createMemoryBus();
  const payload = new Uint8Array([1]);
  const heard: Uint8Array[] = [];
  bus.subscribe('now', (bytes) => heard.push(bytes));
  bus.publish('now', payload);
  expect(heard[0]).toBe(payload);
});

test('hasListeners is certain: false before the first and after the last', () => {
  const bus = createMemoryBus();
  expect(bus.hasListeners('x')).toBe(false);
  const stops = [bus.subscribe('x', () => undefined), bus.subscribe('x', () => undefined)];
  stops[0]!();
  expect(bus.hasListeners('x')).toBe(true);
  stops[1]!();
  expect(bus.hasListeners('x')).toBe(false);
});
