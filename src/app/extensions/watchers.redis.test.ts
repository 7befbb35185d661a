import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { Type } from 'typebox';
import { afterEach, expect, test } from 'vitest';

import { systemClock as clock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { systemRandom as random } from '#base/random.ts';
import { connectRedis } from '#bus/redis.ts';
import { defineChannel, type ChannelServices } from '#contract/channel-definition.ts';
import { createChannels } from '#live/create-channels.ts';
import { startWatchers } from '#app/extensions/watchers.ts';
import { startRedis } from '#test/support/redis.ts';

const MESSAGES = 300;
const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

/** Gives all messages behind Last-Event-ID, and breaks off after some of them, each time elsewhere. */
async function startFeed(): Promise<string> {
  let connections = 0;
  const server = createServer((request, response) => {
    const first = Number(request.headers['last-event-id'] ?? 0) + 1;
    const last = Math.min(MESSAGES, first + 20 + ((connections++ * 7) % 60));
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('retry: 1\n');
    for (let id = first; id <= last; id++) response.write(`id: ${id}\ndata: ${id}\n\n`);
    if (last < MESSAGES) response.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  endings.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const feed = defineChannel({
  name: 'feed',
  summary: 'What the feed says',
  params: {},
  lossClass: 'event',
  history: { messages: 1_000, seconds: 60 },
  out: { said: Type.Integer() },
  allow: () => true,
});

test('two instances that follow one feed publish each of its messages once and in order', async () => {
  const redis = await startRedis();
  endings.push(() => redis.close());
  const url = await startFeed();
  const instances = await Promise.all(
    [1, 2].map(async () => {
      const link = await connectRedis({ url: redis.url, clock, log: silentLog });
      endings.push(() => link.close());
      const services = { clock, log: silentLog } as ChannelServices;
      const channels = createChannels({
        definitions: [feed],
        bus: link.bus,
        brokers: { volatile: link.broker, durable: null },
        presence: link.presence,
        services,
        clock,
        onFailure: (cause) => expect.unreachable(String(cause)),
      });
      const watchers = startWatchers({
        extensions: [
          {
            name: 'x',
            summary: 'x',
            watchers: [
              {
                name: 'feed',
                summary: 'x',
                run: (context) =>
                  context.followFeed({
                    url,
                    async onMessage({ data, id }) {
                      const target = { orgId: 'org', params: {} };
                      await context.services.publish(feed, target, {
                        event: 'said',
                        data: Number(data),
                        key: id,
                      });
                    },
                  }),
              },
            ],
          },
        ],
        services: { ...services, publish: channels.publishAs },
        databaseUrl: '',
        clock,
        random: { next: () => random.next() * 0.01 },
        log: silentLog,
      });
      endings.push(() => watchers.stop());
      return { channels, link, watchers };
    }),
  );
  await expect
    .poll(() => instances.map(({ watchers }) => watchers.counters.feedMessages), { timeout: 10_000 })
    .toEqual([MESSAGES, MESSAGES]);
  const said: number[] = [];
  const broker = instances[0]!.link.broker;
  for (let after = 0; ;) {
    const { publications } = await broker.history('org/feed', { after, limit: 256 });
    if (publications.length === 0) break;
    for (const { payload } of publications)
      said.push((JSON.parse(new TextDecoder().decode(payload)) as { data: number }).data);
    after = publications.at(-1)!.offset;
  }
  expect(said).toEqual(Array.from({ length: MESSAGES }, (_, i) => i + 1));
  expect(instances.every(({ watchers }) => watchers.counters.disconnects > 2)).toBe(true);
});
