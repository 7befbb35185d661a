/** The test vectors of control messages: every type of every direction, valid and invalid. */

import { readFileSync } from 'node:fs';

import { describe, expect, test } from 'vitest';

import { hubMessageSchemas, viewerMessageSchemas } from '#contract/live-messages.ts';
import { createMessageParser } from '#contract/validation.ts';
import { limits } from '#protocol/limits.ts';
import { deviceMessageSchemas, serverMessageSchemas } from '#protocol/messages.ts';

interface Family {
  readonly valid: { readonly name: string; readonly text: string; readonly message: { type: string } }[];
  readonly invalid: {
    readonly name: string;
    readonly text: string;
    readonly error: { code: string; field?: string };
  }[];
}

const schemas = {
  device: deviceMessageSchemas,
  server: serverMessageSchemas,
  viewer: viewerMessageSchemas,
  hub: hubMessageSchemas,
};
const vectors = JSON.parse(
  readFileSync(new URL('../protocol/vectors/control-messages.json', import.meta.url), 'utf8'),
) as Record<keyof typeof schemas, Family>;

/** Every field of an object schema that must be there. */
const requiredFields = (schema: object): string[] => [
  ...((schema as { required?: string[] }).required ?? []),
];

for (const name of Object.keys(schemas) as (keyof typeof schemas)[])
  describe(`${name} messages`, () => {
    const parse = createMessageParser<{ type: string }>(schemas[name], limits.controlBytes);
    const { valid, invalid } = vectors[name];

    test.each(valid)('$name is parsed to its meaning', ({ text, message }) => {
      expect(parse(text)).toEqual({ ok: true, value: message });
    });

    test.each(valid)('$name is written as its text', ({ text, message }) => {
      expect(JSON.stringify(message)).toBe(text);
    });

    test.each(invalid)('$name is refused with its code and field', ({ text, error }) => {
      const parsed = parse(text);
      expect(parsed.ok ? null : { ...parsed.error, message: '' }).toEqual({ ...error, message: '' });
    });

    test('every type is there, and for each of its fields a message without it', () => {
      const types = new Set(valid.map(({ message }) => message.type));
      expect([...types].toSorted()).toEqual(Object.keys(schemas[name]).toSorted());
      const missing = Object.entries(schemas[name]).flatMap(([type, schema]) =>
        requiredFields(schema)
          .filter((field) => field !== 'type')
          .filter(
            (field) =>
              !invalid.some((one) => one.text.includes(`"${type}"`) && one.error.field === `/${field}`),
          )
          .map((field) => `${type}.${field}`),
      );
      expect(missing).toEqual([]);
    });
  });
