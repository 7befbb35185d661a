/**
 * Owns the channels that are tortured: rooms of class event to which numbers are published, one by one by a client, or
 * many at once by the server on request. Under its number as key, each is published once however often it is asked for.
 */

import { defineChannel, defineExtension, Type } from '#extension';

const n = Type.Integer({ minimum: 1 });
const Position = Type.Object({ epoch: Type.String(), offset: Type.Integer() });

const room = defineChannel({
  name: 'torture/{room}',
  summary: 'Numbers, each once and in order',
  params: { room: Type.String({ pattern: '^[a-z0-9]{1,20}$' }) },
  lossClass: 'event',
  history: { messages: 1_000, seconds: 3_600 },
  out: { number: Type.Object({ n }) },
  in: { number: Type.Object({ n }) },
  presence: 'members',
  allow: () => true,
  requests: {
    burst: {
      summary: 'Publishes so many numbers from one on',
      input: Type.Object({ from: n, count: Type.Integer({ minimum: 1, maximum: 256 }) }),
      output: Type.Object({ positions: Type.Array(Position) }),
      async handle({ publish }, { from, count }: { from: number; count: number }) {
        const numbers = Array.from({ length: count }, (_, i) => from + i);
        const published = await Promise.allSettled(
          numbers.map((number) => publish('number', { n: number }, { key: String(number) })),
        );
        return {
          positions: published.map((outcome) => {
            if (outcome.status === 'rejected') throw outcome.reason;
            return outcome.value!;
          }),
        };
      },
    },
  },
});

export const extension = defineExtension({
  name: 'rooms',
  summary: 'Rooms for the torture of channels',
  channels: [room],
});
