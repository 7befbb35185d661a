/**
 * Owns the example of an extension: an external feed of prices becomes a channel for each symbol, and a page draws it. The
 * feed is a program of its own (feed-process.ts); `TICKER_FEED_URL` names another one.
 */

import { readFileSync } from 'node:fs';

import {
  AppError,
  defineChannel,
  defineExtension,
  defineRoute,
  Type,
  type Static,
  type WatcherDefinition,
} from '#extension';

import { startFeed } from './feed.ts';
import { symbols } from './random-walk.ts';

const PriceMessage = Type.Object(
  { symbol: Type.String(), price: Type.Number() },
  { additionalProperties: false },
);
type PriceMessage = Static<typeof PriceMessage>;

const ticker = defineChannel({
  name: 'ticker/{symbol}',
  summary: 'Prices of one company, each once and in order',
  params: { symbol: Type.String({ pattern: '^[a-z]{1,8}$' }) },
  lossClass: 'event',
  history: { messages: 240, seconds: 3_600 },
  audience: 'shared',
  out: { price: PriceMessage },
  // Everybody reads, the feed alone writes.
  allow: ({ params }, operation) => operation !== 'publish' && symbols.includes(params.symbol),
  list: async () => symbols.map((symbol) => ({ symbol })),
});

const prices: WatcherDefinition = {
  name: 'prices',
  summary: 'Publishes what the feed says',
  async run({ signal, services, followFeed }) {
    const given = process.env['TICKER_FEED_URL'] ?? '';
    const { url, ended } = given === '' ? await startFeed(signal) : { url: given, ended: null };
    const following = followFeed({
      url,
      async onMessage({ data, id }) {
        const price = parsePrice(data);
        const target = { orgId: '-', params: { symbol: price.symbol } };
        // Under the key, several instances that follow the same feed publish each price once.
        await services.publish(ticker, target, { event: 'price', data: price, key: `${url} ${id}` });
      },
    });
    await (ended === null ? following : Promise.race([following, ended]));
  },
};

function parsePrice(text: string): PriceMessage {
  const { symbol, price } = JSON.parse(text) as Partial<PriceMessage>;
  if (typeof symbol !== 'string' || typeof price !== 'number')
    throw new AppError('invalid-field', 'the feed sent something else than a price');
  return { symbol, price };
}

const file = (name: string): string => readFileSync(new URL(name, import.meta.url), 'utf8');
const [page, script, style] = [file('page.html'), file('page.js'), file('page.css')];

export const extension = defineExtension({
  name: 'stock-ticker',
  summary: 'An external feed as channels, and a page that draws them',
  channels: [ticker],
  watchers: [prices],
  routes: [
    defineRoute({
      method: 'GET',
      path: '/',
      summary: 'The page',
      access: 'public',
      type: 'text/html',
      handle: () => page,
    }),
    defineRoute({
      method: 'GET',
      path: '/page.js',
      summary: 'Its script',
      access: 'public',
      type: 'text/javascript',
      handle: () => script,
    }),
    defineRoute({
      method: 'GET',
      path: '/page.css',
      summary: 'Its looks',
      access: 'public',
      type: 'text/css',
      handle: () => style,
    }),
    defineRoute({
      method: 'GET',
      path: '/symbols',
      summary: 'The companies that have a channel',
      access: 'any',
      response: Type.Object({ symbols: Type.Array(Type.String()) }),
      handle: () => ({ symbols: [...symbols] }),
    }),
  ],
});
