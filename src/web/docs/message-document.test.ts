import { expect, test } from 'vitest';

import { fieldRows, type Schema } from '#web/docs/message-document.ts';

const schemas: Record<string, Schema> = {
  Position: {
    type: 'object',
    required: ['offset'],
    properties: { offset: { type: 'integer', minimum: 0 }, epoch: { type: 'string', pattern: '^[a-z]+$' } },
  },
  Loop: { type: 'object', properties: { next: { $ref: '#/components/schemas/Loop' } } },
};

test('fields are listed with their parents, types and limits', () => {
  const rows = fieldRows(
    {
      type: 'object',
      required: ['type'],
      properties: {
        type: { const: 'subscribe' },
        position: { $ref: '#/components/schemas/Position' },
        many: { type: 'array', items: { $ref: '#/components/schemas/Position' } },
        state: { enum: ['on', 'off'], description: 'whether it is' },
      },
    },
    schemas,
  );
  expect(rows.map(({ path, type, isRequired }) => `${path}${isRequired ? '!' : ''} ${type}`)).toEqual([
    'type! "subscribe"',
    'position object',
    'position.offset! integer',
    'position.epoch string',
    'many object[]',
    'many[].offset! integer',
    'many[].epoch string',
    'state "on" | "off"',
  ]);
  expect(rows[2]?.text).toBe('from 0');
  expect(rows.at(-1)?.text).toBe('whether it is');
});

test('a schema that refers to itself ends', () => {
  expect(fieldRows({ $ref: '#/components/schemas/Loop' }, schemas).length).toBeLessThan(10);
});

test('a payload that is no object is one row', () => {
  expect(fieldRows({ type: 'string' }, schemas)).toEqual([
    { path: '(value)', type: 'string', text: '', isRequired: true },
  ]);
});
