import { isDeepStrictEqual } from 'node:util';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { hubMessageSchemas, viewerMessageSchemas } from '#contract/live-messages.ts';
import { createMessageParser } from '#contract/validation.ts';
import { errorCodes } from '#protocol/codes.ts';
import { limits } from '#protocol/limits.ts';
import { deviceMessageSchemas, serverMessageSchemas } from '#protocol/messages.ts';
import { arbitraryOf } from '#test/support/schema-arbitrary.ts';

interface AnyMessage {
  type: string;
}

const families = {
  device: deviceMessageSchemas,
  server: serverMessageSchemas,
  viewer: viewerMessageSchemas,
  hub: hubMessageSchemas,
};
const parsers = Object.entries(families).map(([name, schemas]) => ({
  name,
  schemas,
  parse: createMessageParser<AnyMessage>(schemas, limits.controlBytes),
}));
const parseServerMessage = createMessageParser<AnyMessage>(serverMessageSchemas, 1e9);
const deviceParser = createMessageParser<AnyMessage>(deviceMessageSchemas, limits.controlBytes);

/**
 * What is wrong with how a text is parsed, if anything. Right is the value of the text, or an error that can be sent:
 * coded, and within the error message's own limits.
 */
function parsingFault(parse: typeof deviceParser, text: string): string | null {
  const result = parse(text);
  if (result.ok) return isDeepStrictEqual(result.value, JSON.parse(text)) ? null : 'parsed to something else';
  if (!(result.error.code in errorCodes)) return `unknown code ${result.error.code}`;
  const sent = parseServerMessage(JSON.stringify({ type: 'error', ...result.error }));
  return sent.ok ? null : `cannot be sent: ${sent.error.message}`;
}

for (const { name, schemas, parse } of parsers) {
  for (const [type, schema] of Object.entries(schemas)) {
    test(`every valid ${name} message ${type} is parsed to itself`, () => {
      fc.assert(
        fc.property(arbitraryOf(schema), (message) => {
          const text = JSON.stringify(message);
          fc.pre(text.length <= limits.controlBytes);
          expect(parse(text)).toEqual({ ok: true, value: JSON.parse(text) });
        }),
        { numRuns: 50 },
      );
    });
  }

  test(`a damaged ${name} message gives a coded error or another valid message`, () => {
    const valid = fc
      .oneof(...Object.values(schemas).map(arbitraryOf))
      .map((message) => JSON.stringify(message));
    const damaged = fc
      .tuple(valid, fc.nat(), fc.nat(40), fc.string({ maxLength: 10 }))
      .map(([text, at, length, insert]) => {
        const start = at % (text.length + 1);
        return text.slice(0, start) + insert + text.slice(start + length);
      });
    fc.assert(
      fc.property(damaged, (text) => {
        expect(parsingFault(parse, text)).toBeNull();
      }),
      { numRuns: 500 },
    );
  });

  test(`a ${name} message with one field replaced by anything gives a coded error or a valid message`, () => {
    const replaced = fc
      .tuple(fc.oneof(...Object.values(schemas).map(arbitraryOf)), fc.nat(), fc.jsonValue(), fc.string())
      .map(([message, which, value, key]) => {
        const fields = Object.keys(message as object);
        return JSON.stringify({
          ...(message as object),
          [[...fields, key][which % (fields.length + 1)]!]: value,
        });
      });
    fc.assert(
      fc.property(replaced, (text) => {
        expect(parsingFault(parse, text)).toBeNull();
      }),
      { numRuns: 500 },
    );
  });

  test(`any text at all gives a coded error from the ${name} parser`, () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), fc.string({ unit: 'binary' })), (text) => {
        expect(parsingFault(parse, text)).toBeNull();
      }),
      { numRuns: 300 },
    );
  });
}

test('a text beyond the limit is refused before it is parsed', () => {
  const text = `{"type":"heartbeat"${' '.repeat(limits.controlBytes)}}`;
  expect(deviceParser(text)).toMatchObject({ ok: false, error: { code: 'message-too-large' } });
});

test('nesting as deep as the limit allows is an error like any other', () => {
  const depth = limits.controlBytes / 2;
  for (const text of ['['.repeat(depth), '{"a":'.repeat(depth / 4), '['.repeat(depth) + ']'.repeat(depth)])
    expect(parsingFault(deviceParser, text)).toBeNull();
  const inField = `{"type":"bye","x":${'['.repeat(depth - 20)}${']'.repeat(depth - 20)}}`;
  expect(deviceParser(inField)).toMatchObject({ ok: false, error: { code: 'invalid-field', field: '/x' } });
});

test('a field name that the peer made up does not make the error too long to send', () => {
  const text = JSON.stringify({ type: 'heartbeat', ['x'.repeat(10_000)]: 1 });
  expect(deviceParser(text)).toMatchObject({ error: { field: `/${'x'.repeat(255)}` } });
  expect(parsingFault(deviceParser, text)).toBeNull();
});

test('names of JavaScript itself are no types, and __proto__ changes nothing', () => {
  for (const type of ['toString', '__proto__', 'constructor', 'hasOwnProperty'])
    expect(deviceParser(JSON.stringify({ type }))).toMatchObject({
      ok: false,
      error: { code: 'invalid-field', field: '/type' },
    });
  expect(deviceParser('{"type":"heartbeat","__proto__":{"x":1}}').ok).toBe(false);
  expect(({} as { x?: number }).x).toBeUndefined();
});

test('the error names the field that is wrong, missing or unknown', () => {
  const open = {
    type: 'open',
    ref: 1,
    epoch: '00000000000000aa',
    definition: {
      stream: '01890000-0000-7000-8000-00000000000a',
      session: '01890000-0000-7000-8000-00000000000b',
      segment: 'left-foot',
      sensor: 'imu',
      axes: [{ name: 'acc-x', unit: 'm/s2' }],
      rateHz: 200,
      encoding: 'float32',
      clock: 'device',
    },
  };
  const { definition } = open;
  const cases: [unknown, string][] = [
    [{ ...open, ref: 65_536 }, '/ref'],
    [{ ...open, epoch: 'AA' }, '/epoch'],
    [{ ...open, definition: { ...definition, axes: [{ name: 'acc-x' }] } }, '/definition/axes/0/unit'],
    [{ ...open, definition: { ...definition, axes: [] } }, '/definition/axes'],
    [{ ...open, definition: { ...definition, encoding: 'text' } }, '/definition/encoding'],
    [{ ...open, definition: { ...definition, rateHz: 0 } }, '/definition/rateHz'],
    [{ ...open, definition: undefined }, '/definition'],
    [{ ...open, extra: 1 }, '/extra'],
    [{ ...open, type: 'opens' }, '/type'],
  ];
  expect(deviceParser(JSON.stringify(open)).ok).toBe(true);
  for (const [message, field] of cases)
    expect(deviceParser(JSON.stringify(message))).toMatchObject({
      ok: false,
      error: { code: 'invalid-field', field },
    });
});
