import { expect, test } from 'vitest';

import { checkDefinition, packedBytes } from '#store/stream-definition.ts';
import { streamDefinition } from '#test/support/tenants.ts';

test('a whole definition passes', () => {
  expect(checkDefinition(streamDefinition())).toEqual({ ok: true, value: null });
  expect(checkDefinition(streamDefinition({ encoding: 'int16', scale: [1, 2, 3] })).ok).toBe(true);
});

test('what the schema cannot say is refused with the field', () => {
  const axis = { name: 'acc_x', unit: 'm/s^2' };
  const cases = {
    '/definition/scale': streamDefinition({ encoding: 'int16', scale: [1, 2] }),
    '/definition/axes/1/name': streamDefinition({ axes: [axis, axis] }),
    '/definition/axes/0/unit': streamDefinition({ axes: [{ name: 'x', unit: 'a\u0000' }] }),
    '/definition/segment': streamDefinition({ segment: '\ud800' }),
    '/definition/axes/0/name': streamDefinition({ axes: [{ name: 'x'.repeat(65), unit: '1' }] }),
    '/definition/sensor': streamDefinition({ sensor: '' }),
    '/definition/label': streamDefinition({ label: 'two\nlines' }),
  };
  for (const [field, definition] of Object.entries(cases))
    expect(checkDefinition(definition)).toMatchObject({
      ok: false,
      error: { code: 'invalid-field', field },
    });
  expect(checkDefinition(streamDefinition({ encoding: 'int16' })).ok).toBe(false);
  expect(checkDefinition(streamDefinition({ scale: [1, 1, 1] })).ok).toBe(false);
  expect(checkDefinition(streamDefinition({ encoding: 'int16', scale: [1, 0, 1] })).ok).toBe(false);
});

test('a packed reading takes four or two bytes an axis', () => {
  expect(packedBytes(streamDefinition())).toBe(12);
  expect(packedBytes(streamDefinition({ encoding: 'int16', scale: [1, 1, 1] }))).toBe(6);
});
