import fc from 'fast-check';
import { expect, test } from 'vitest';

import { serverMessageSchemas, type ServerMessage } from '#protocol/messages.ts';
import { parseServerMessage } from '#sdk/device-parse.ts';
import { arbitraryOf } from '#test/support/schema-arbitrary.ts';

const types = Object.keys(serverMessageSchemas) as ServerMessage['type'][];

test.each(types)('every %s that the schema allows is taken as it is', (type) => {
  fc.assert(
    fc.property(arbitraryOf(serverMessageSchemas[type]), (message) => {
      expect(parseServerMessage(JSON.stringify(message))).toEqual({ ok: true, value: message });
    }),
  );
});

/** Wrong for every field of every message, in its kind. */
const wrong: readonly unknown[] = [null, 'x'.repeat(10_000), -1.5, [], [[3, 1, 2]], { a: 1 }, 2 ** 53];

test.each(types)('a %s with a wrong field is refused', (type) => {
  fc.assert(
    fc.property(
      arbitraryOf(serverMessageSchemas[type]),
      fc.nat(),
      fc.constantFrom(...wrong),
      (message, n, value) => {
        const fields = Object.keys(message as object).filter((field) => field !== 'type');
        const field = fields[n % Math.max(1, fields.length)];
        if (field === undefined || isAllowed(field, value)) return;
        const broken = { ...(message as object), [field]: value };
        expect(parseServerMessage(JSON.stringify(broken))).toMatchObject({ ok: false });
      },
    ),
  );
});

/** An empty list of streams is a message. */
function isAllowed(field: string, value: unknown): boolean {
  return field === 'streams' && Array.isArray(value) && value.length === 0;
}

test('what is no message is refused, what a newer server says is ignored', () => {
  for (const text of ['', '{', '[]', 'null', '7', '{"typ":"welcome"}', '{"type":7}'])
    expect(parseServerMessage(text).ok).toBe(false);
  expect(parseServerMessage('{"type":"weather"}')).toEqual({ ok: true, value: null });
  expect(parseServerMessage('{"type":"constructor"}')).toEqual({ ok: true, value: null });
});
