import { Parser } from '@asyncapi/parser';
import { Type } from 'typebox';
import { expect, test } from 'vitest';

import { defineChannel } from '#contract/channel-definition.ts';
import { describeMessages } from '#api/asyncapi.ts';

/** The parser's diagnostics count from the worst. */
const isError = ({ severity }: { readonly severity: number }): boolean => severity === 0;
const ticker = defineChannel({
  name: 'ticker/{symbol}',
  summary: 'Prices of one share',
  params: { symbol: Type.String({ pattern: '^[a-z]+$', description: 'the share' }) },
  lossClass: 'event',
  history: { messages: 100, seconds: 60 },
  out: { price: Type.Object({ price: Type.Number({ minimum: 0 }) }) },
  in: { order: Type.Object({ amount: Type.Integer() }) },
  message: { order: () => undefined },
  requests: {
    average: {
      summary: 'Mean price',
      input: Type.Object({}),
      output: Type.Object({ price: Type.Number() }),
      handle: async () => ({ price: 1 }),
    },
  },
  allow: () => true,
});

test('an independent parser takes the document, without an error', async () => {
  const { document, diagnostics } = await new Parser().parse(
    JSON.stringify(describeMessages([ticker], '1.2.3')),
  );
  expect(diagnostics.filter(isError)).toEqual([]);
  const channels = document?.channels().all() ?? [];
  expect(channels.map((channel) => channel.address())).toEqual(['/v1/live', '/v1/device', 'ticker/{symbol}']);
  const messages = channels.at(-1)?.messages().all() ?? [];
  expect(messages.map((message) => message.id()).toSorted()).toEqual([
    'from-price',
    'from-response-average',
    'to-order',
    'to-request-average',
  ]);
});

test('what subscribers get and what clients send is described by the schemas that check it', () => {
  const { channels } = describeMessages([ticker], '1.2.3') as {
    channels: Record<
      string,
      { messages: Record<string, { payload: { properties?: Record<string, unknown> } }> }
    >;
  };
  const messages = channels['ticker-symbol']!.messages;
  expect(messages['from-price']!.payload.properties).toMatchObject({
    event: { const: 'price' },
    data: { required: ['price'], properties: { price: { type: 'number', minimum: 0 } } },
  });
  expect(messages['to-order']!.payload.properties).toMatchObject({ amount: { type: 'integer' } });
  expect(Object.keys(channels['live']!.messages)).toContain('to-subscribe');
});
