/**
 * Owns a second process of a durable broker for tests: it publishes to one address and passes its announcements to the
 * process that started it. `--die` ends it by SIGKILL where a message is committed and not yet announced.
 */

import { systemClock } from '#base/clock.ts';
import { createDurableBroker } from '#bus/durable-broker.ts';
import { createChannelLog } from '#store/channel-log.ts';
import { openPools } from '#store/pools.ts';

const [ownerUrl, address, label, count, die] = process.argv.slice(2);
const pools = await openPools(ownerUrl!);
const broker = createDurableBroker({
  log: createChannelLog(pools.app),
  clock: systemClock,
  bus: {
    publish(topic, payload) {
      if (die === '--die') process.kill(process.pid, 'SIGKILL');
      process.send?.({ topic, payload: Buffer.from(payload).toString('base64') });
    },
    hasListeners: () => true,
    subscribe: () => () => undefined,
    close: async () => undefined,
  },
});
const numbers = Array.from({ length: Number(count) }, (_, i) => i);
await Promise.all(
  numbers.map((n) =>
    broker.publish({
      address: address!,
      payload: new TextEncoder().encode(`${label} ${n}`),
      history: { messages: 0, seconds: 0 },
      key: `${label} ${n}`,
    }),
  ),
);
await pools.close();
process.disconnect();
