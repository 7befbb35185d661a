/** Owns a server in this process with rooms to talk in, for tests of those who follow channels: its definitions, and a key. */

import { Type } from 'typebox';

import { AppError } from '#base/errors.ts';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { defineChannel } from '#contract/channel-definition.ts';
import { defineExtension } from '#contract/extension.ts';
import { readConfig } from '#app/config.ts';
import { createLifecycle } from '#app/lifecycle.ts';
import { startServer } from '#app/server.ts';
import { createTestDatabase } from '#test/support/database.ts';
import { createTenant } from '#test/support/tenants.ts';

const Said = Type.Object({ n: Type.Integer() });
export const room = defineChannel({
  name: 'room/{room}',
  summary: 'a room',
  params: { room: Type.String({ pattern: '^[a-z0-9]+$' }) },
  lossClass: 'event',
  history: { messages: 200, seconds: 600 },
  presence: 'members',
  out: { said: Said },
  in: { said: Said },
  allow: ({ params }) => params.room !== 'closed',
  list: async () => [{ room: 'p1' }, { room: 'p2' }],
  requests: {
    sum: {
      summary: 'adds',
      input: Type.Array(Type.Number()),
      output: Type.Object({ total: Type.Number() }),
      handle: async (_context, data) => {
        const numbers = data as number[];
        if (numbers.length === 0) throw new AppError('invalid-field', 'nothing to add');
        return { total: numbers.reduce((a, b) => a + b) };
      },
    },
  },
});
const forgetful = defineChannel({
  name: 'forgetful/{room}',
  summary: 'a room that remembers little',
  params: { room: Type.String({ pattern: '^[a-z0-9]+$' }) },
  lossClass: 'event',
  history: { messages: 5, seconds: 600 },
  out: { said: Said },
  in: { said: Said },
  allow: () => true,
});
const light = defineChannel({
  name: 'light/{room}',
  summary: 'whether a lamp is on',
  params: { room: Type.String({ pattern: '^[a-z0-9]+$' }) },
  lossClass: 'state',
  out: { is: Type.Boolean() },
  in: { is: Type.Boolean() },
  allow: () => true,
});

export interface ChannelServer {
  /** `http://...` */
  readonly url: string;
  /** Of the live endpoint. */
  readonly liveUrl: string;
  readonly key: string;
  stop(): Promise<void>;
}

export async function startChannelServer(): Promise<ChannelServer> {
  const database = await createTestDatabase();
  const lifecycle = createLifecycle(systemClock, silentLog);
  const extension = defineExtension({ name: 'rooms', summary: 'rooms', channels: [room, forgetful, light] });
  const server = await startServer({
    config: readConfig({ args: ['--port', '0'], env: {} }),
    ownerUrl: database.ownerUrl,
    clock: systemClock,
    log: silentLog,
    lifecycle,
    extensions: [{ file: 'rooms.ts', extension }],
    demoKey: null,
    tls: null,
    mayMovePort: false,
  });
  const tenant = await createTenant(database.ownerUrl, server.pools, 'A');
  return {
    url: server.url,
    liveUrl: `${server.url.replace('http', 'ws')}/v1/live`,
    key: tenant.readKey,
    async stop() {
      await lifecycle.stop();
      await database.drop();
    },
  };
}
