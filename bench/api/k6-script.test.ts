import vm from 'node:vm';

import { expect, test } from 'vitest';

import { seededRandom } from '#base/random.ts';
import { k6Script } from '#bench/api/k6-script.ts';
import { drawWork, readScenario } from '#bench/api/scenario.ts';

const scenario = readScenario();

/** Runs the script's iterations as k6 does, on `random`. */
function playK6(random: { next(): number }, iterations: number): { asked: string[]; options: unknown } {
  const asked: string[] = [];
  const request = (
    method: string,
    address: string,
    body: string | undefined,
    { headers }: { headers: object },
  ) => {
    asked.push([method, address, body ?? '', JSON.stringify(headers)].join(' '));
    return { status: 200 };
  };
  const script = k6Script(scenario)
    .replace("import { check } from 'k6';", '')
    .replace("import http from 'k6/http';", '')
    .replace('export const options', 'const options')
    .replace('export default function ()', 'function iterate()');
  const keys = Array.from({ length: scenario.clinicians }, (_, c) => `ka_${c}`).join('\n');
  const play = vm.runInNewContext(`${script}; ({ iterate, options })`, {
    __ENV: { KYMO_URL: '' },
    Math: Object.assign(Object.create(Math) as Math, { random: () => random.next() }),
    check: () => true,
    http: { request },
    open: () => keys,
  }) as { iterate(): void; options: unknown };
  for (let i = 0; i < iterations; i++) play.iterate();
  return { asked, options: play.options };
}

test('k6 asks what our own generator asks', () => {
  const [ours, k6] = [seededRandom(3), seededRandom(3)];
  const { asked } = playK6(k6, 500);
  const drawn = Array.from({ length: 500 }, () => drawWork(scenario, ours)).map(
    ({ method, path, body, clinician }) =>
      [
        method,
        `http://127.0.0.1:7900${path}`,
        body,
        JSON.stringify({
          Authorization: `Bearer ka_${clinician}`,
          ...(body === '' ? {} : { 'Content-Type': 'application/json' }),
        }),
      ].join(' '),
  );
  expect(asked).toEqual(drawn);
});

test('requests arrive at the rate that is asked for, whatever was answered', () => {
  expect(playK6(seededRandom(1), 0).options).toMatchObject({
    scenarios: { clinic: { executor: 'constant-arrival-rate', rate: 1_300, timeUnit: '1s' } },
  });
});
