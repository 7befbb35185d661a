import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

import { expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { postWebhook } from '#jobs/webhooks/post-webhook.ts';

test('a receiver that switches protocols is given up like any other that does not answer', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () =>
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: kymo\r\n\r\n'),
    );
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const posted = await postWebhook(
    {
      url: `http://127.0.0.1:${port}/`,
      eventId: 'event',
      payload: '{}',
      secrets: [`whsec_${Buffer.alloc(32).toString('base64')}`],
    },
    {
      rules: { allowPrivate: true },
      resolve: () => Promise.resolve([]),
      // The time for an answer is over soon.
      clock: { ...systemClock, after: (_ms, run) => systemClock.after(200, run) },
      program: 'kymo test',
    },
  );
  expect(posted).toMatchObject({ status: null, error: 'no answer within 5 s' });
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
});
