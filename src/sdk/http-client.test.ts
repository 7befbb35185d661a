import { afterEach, expect, test, vi } from 'vitest';

import { encodeEnvelope } from '#contract/envelope-codec.ts';
import type { EnvelopeData } from '#contract/envelope.ts';
import { createHttpClient } from '#sdk/http-client.ts';

const requests: { url: string; init: RequestInit }[] = [];

/** Answers every request with `answer`, and remembers what was asked. */
function answerWith(answer: () => Response): ReturnType<typeof createHttpClient> {
  vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
    requests.push({ url, init });
    return Promise.resolve().then(answer);
  });
  return createHttpClient({ origin: 'http://server', key: () => 'ka_1' });
}

const problem = (status: number, body: unknown) => () =>
  new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/problem+json' } });

afterEach(() => {
  vi.unstubAllGlobals();
  requests.length = 0;
});

test('a call carries the key in a header, and only the fields that have a value', async () => {
  const http = answerWith(() => Response.json({ stream: 's', axes: [], rows: [], runs: [], next: null }));
  await http.readings({ streamId: 'a/b', fromUs: -5, toUs: null, limit: 10, cursor: null });
  expect(requests[0]?.url).toBe('http://server/v1/streams/a%2Fb/readings?fromUs=-5&limit=10');
  expect(requests[0]?.init.headers).toMatchObject({ authorization: 'Bearer ka_1' });
});

test('an envelope is asked for and read in its binary form', async () => {
  const envelope: EnvelopeData = {
    stream: 's',
    axes: [{ name: 'x', unit: '1' }],
    fromUs: 0,
    toUs: 10,
    firstUs: 3,
    lastUs: 3,
    bucketUs: 0,
    rawDropped: false,
    unrolled: 0,
    gaps: [],
    startUs: Float64Array.of(3),
    endUs: Float64Array.of(4),
    count: Float64Array.of(1),
    lateUs: Float64Array.of(0),
    min: [Float64Array.of(-0.5)],
    max: [Float64Array.of(0.5)],
    mean: [Float64Array.of(Number.NaN)],
  };
  const http = answerWith(() => new Response(encodeEnvelope(envelope)));
  expect(await http.envelope({ streamId: 's', fromUs: 0, toUs: null, width: 100 })).toEqual(envelope);
  expect(requests[0]?.url).toBe('http://server/v1/streams/s/envelope?fromUs=0&width=100');
  expect(requests[0]?.init.headers).toMatchObject({ accept: 'application/octet-stream' });
});

test("a problem becomes an error with the server's code", async () => {
  const http = answerWith(problem(404, { code: 'not-found', detail: 'there is no such session' }));
  await expect(http.session('x')).rejects.toMatchObject({
    code: 'not-found',
    message: 'there is no such session',
    temporary: false,
  });
});

test('what is not a problem still has a code, by its status', async () => {
  for (const [status, code, temporary] of [
    [401, 'unauthenticated', false],
    [502, 'internal', true],
    [503, 'overloaded', true],
  ] as const) {
    const http = answerWith(() => new Response('<html>', { status }));
    await expect(http.about()).rejects.toMatchObject({ code, temporary });
  }
});

test('no answer is an error that passes', async () => {
  const http = answerWith(() => {
    throw new TypeError('connection refused');
  });
  await expect(http.ticket()).rejects.toMatchObject({ code: 'unreachable', temporary: true });
});

test('a call that was given up is not told as unreachable', async () => {
  const given = new AbortController();
  given.abort(new Error('no longer wanted'));
  const http = answerWith(() => {
    throw given.signal.reason;
  });
  await expect(http.session('x', given.signal)).rejects.toThrow('no longer wanted');
});

test('a download says how many readings come, and takes as long as it takes', async () => {
  const http = answerWith(() => new Response('time_us', { headers: { 'kymo-readings': '12' } }));
  const leave = new AbortController();
  const query = { streamId: 'a', format: 'csv', fromUs: 3, toUs: null } as const;
  const { readings, body } = await http.exportStream(query, leave.signal);
  expect(requests[0]?.url).toBe('http://server/v1/streams/a/export?format=csv&fromUs=3');
  expect(readings).toBe(12);
  expect(await new Response(body).text()).toBe('time_us');
  expect(requests[0]?.init.signal?.aborted).toBe(false);
  leave.abort();
  expect(requests[0]?.init.signal?.aborted).toBe(true);
});

test('a body model is put as JSON, and a refusal names the field', async () => {
  const http = answerWith(
    problem(400, {
      code: 'invalid-field',
      detail: 'no such segment',
      field: '/bodyModel/placements/0/segment',
    }),
  );
  const request = { bodyModel: { heightM: 1.8, placements: [] }, revision: 2 };
  await expect(http.setBodyModel('s', request)).rejects.toMatchObject({
    code: 'invalid-field',
    field: '/bodyModel/placements/0/segment',
  });
  expect(requests[0]?.url).toBe('http://server/v1/sessions/s/body-model');
  expect(requests[0]?.init).toMatchObject({ method: 'PUT', body: JSON.stringify(request) });
});

test('the analysis of motion is asked for with as many cycles as are wanted', async () => {
  const http = answerWith(() => Response.json({ cycles: [] }));
  await http.motion({ sessionId: 's', cycles: 40 });
  expect(requests[0]?.url).toBe('http://server/v1/sessions/s/motion?cycles=40');
});
