import { expect, test } from 'vitest';

import { silentLog } from '#base/log.ts';
import { createChannelServices } from '#app/channel-services.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

function start(answer: (id: string) => Promise<boolean>) {
  const clock = createManualClock();
  const asked: string[] = [];
  const services = createChannelServices({
    sessions: {
      exists: (orgId, id) => {
        asked.push(typeof orgId === 'string' ? `${orgId}/${id}` : `${orgId.orgId}:${orgId.patientId}/${id}`);
        return answer(id);
      },
      list: async () => null,
    },
    devices: { exists: async () => false },
    clock,
    log: silentLog,
  });
  return { services, asked, clock };
}

test('what exists is asked once in ten seconds, also by many at once, and for each organisation', async () => {
  const { services, asked, clock } = start(async () => true);
  expect(await Promise.all([services.sessionExists('a', 's'), services.sessionExists('a', 's')])).toEqual([
    true,
    true,
  ]);
  expect(await services.sessionExists('b', 's')).toBe(true);
  // What a patient may see is remembered apart.
  for (const patientId of ['p', 'q', 'p']) await services.sessionExists({ orgId: 'a', patientId }, 's');
  expect(asked.splice(2)).toEqual(['a:p/s', 'a:q/s']);
  clock.advance(9_999);
  await services.sessionExists('a', 's');
  expect(asked).toEqual(['a/s', 'b/s']);
  clock.advance(2);
  await services.sessionExists('a', 's');
  expect(asked).toHaveLength(3);
});

test('what does not exist, or could not be asked, is asked again', async () => {
  let outcome = Promise.resolve(false);
  const { services, asked } = start(() => outcome);
  expect(await services.sessionExists('a', 's')).toBe(false);
  outcome = Promise.reject(new Error('no database'));
  await expect(services.sessionExists('a', 's')).rejects.toThrow('no database');
  outcome = Promise.resolve(true);
  expect(await services.sessionExists('a', 's')).toBe(true);
  expect(asked).toHaveLength(3);
});
