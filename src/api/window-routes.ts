/**
 * Owns what a processor in any language needs, over HTTP: windows of committed readings in the order in which they changed,
 * with a wait for the next, the readings of one, and results, which may be sent as often as one likes (docs/processors.md).
 */

import { Type } from 'typebox';

import { AppError } from '#base/errors.ts';
import { invalidCursor } from '#clinic/json-pages.ts';
import { Id } from '#contract/rest.ts';
import {
  algorithmName,
  ResultPage,
  ResultRequest,
  WindowPage,
  WindowReadings,
  WindowResult,
  windowLimits,
} from '#contract/windows.ts';
import { limits } from '#protocol/limits.ts';
import { WINDOW_US } from '#store/window-grid.ts';
import type { WindowQueries, WindowStream } from '#store/window-queries.ts';
import { principalOf } from '#api/access.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import { answers, security } from '#api/route-schemas.ts';
import { createWindowFollower } from '#api/window-follower.ts';

const readConfig = { access: 'session.read', subject: 'session' } as const;
const listConfig = { access: 'session.read' } as const;
const writeConfig = { access: 'window.write', subject: 'session' } as const;
const tags = ['windows'];

const TimeUs = Type.Integer({ minimum: -limits.timeUsExclusive, maximum: limits.timeUsExclusive });
const Algorithm = Type.String({ pattern: algorithmName, description: 'lower-case letters, digits and `-`' });
const windowParams = Type.Object({ id: Id, startUs: TimeUs });

export function addWindowRoutes(api: Api, options: ApiOptions): void {
  addFollowing(api, options);
  addReadings(api, options);
  addResultRoutes(api, options);
}

function addFollowing(api: Api, { windows, clock }: ApiOptions): void {
  const follower = createWindowFollower(windows, clock);
  api.addHook('preClose', async () => follower.stop());
  api.get('/v1/windows', {
    config: listConfig,
    schema: {
      tags,
      operationId: 'followWindows',
      summary: 'Windows of committed readings, in the order in which they were closed or changed',
      description:
        `A window is ${WINDOW_US / 1e6} s of device time of one session. It comes when it is closed, and again with a ` +
        'higher revision whenever its committed readings change, or with the same when it becomes settled. Give the ' +
        '`next` of a page as `after` of the next request; with `wait` an empty page is held back for so many seconds ' +
        'while nothing new is there.',
      security: security('session.read'),
      querystring: Type.Object(
        {
          after: Type.Optional(Type.String({ maxLength: 64, description: '`next` of the page before' })),
          limit: Type.Optional(
            Type.Integer({ minimum: 1, maximum: windowLimits.pageWindows, description: 'default 50' }),
          ),
          wait: Type.Optional(
            Type.Integer({ minimum: 0, maximum: windowLimits.waitS, description: 'seconds; default 0' }),
          ),
          session: Type.Optional(Id),
        },
        { additionalProperties: false },
      ),
      response: answers({ 200: WindowPage }, { ...listConfig, refusals: [400] }),
    },
    handler: async (request, reply) => {
      const { orgId } = principalOf(request);
      const gone = new AbortController();
      reply.raw.once('close', () => gone.abort());
      const { after = null, limit = 50, wait = 0, session: sessionId = null } = request.query;
      const endMs = clock.monotonicMs() + wait * 1000;
      for (;;) {
        // Before the page, so that what changes behind it ends the wait.
        const newest = wait === 0 ? 0 : await windows.newest(orgId);
        const page = await windows.page(orgId, { after, limit, sessionId });
        if (page === null) throw invalidCursor();
        const leftMs = endMs - clock.monotonicMs();
        if (page.windows.length > 0 || page.isReset || leftMs <= 0 || gone.signal.aborted) return page;
        await follower.wait(orgId, newest, { waitMs: leftMs, gone: gone.signal });
        if (follower.isStopped) return page;
      }
    },
  });
}

function addReadings(api: Api, { windows }: ApiOptions): void {
  api.get('/v1/sessions/:id/windows/:startUs/readings', {
    config: readConfig,
    schema: {
      tags,
      operationId: 'getWindowReadings',
      summary: 'The committed readings of all streams of a session in one window',
      description: 'Of one state: the readings are those of the revision that is told with them.',
      security: security('session.read'),
      params: windowParams,
      response: answers({ 200: WindowReadings }, { ...readConfig, refusals: [400, 404, 409] }),
    },
    handler: async (request, reply) => {
      const { id: sessionId, startUs } = request.params;
      const answer = await windows.readings(
        principalOf(request).orgId,
        { sessionId, startUs },
        windowLimits.readingValues,
      );
      if (answer === null) throw noWindow();
      if (answer === 'too-many')
        throw new AppError(
          'limit-exceeded',
          `the window has more than ${windowLimits.readingValues} values: read its streams by GET /v1/streams/:id/readings`,
        );
      if (answer === 'dropped')
        throw new AppError('conflict', 'readings of this window are stored no longer');
      const streams = answer.streams.map(({ readings, ...stream }) => ({
        ...stream,
        rows: rowsOf(readings),
      }));
      return reply.type('application/json').send(JSON.stringify({ window: answer.window, streams }));
    },
  });
}

function rowsOf({ count, timesUs, values, axisCount }: WindowStream['readings']): number[][] {
  return Array.from({ length: count }, (_, i) => [
    timesUs[i]!,
    ...values.subarray(i * axisCount, (i + 1) * axisCount),
  ]);
}

function addResultRoutes(api: Api, { windows }: ApiOptions): void {
  api.put('/v1/sessions/:id/windows/:startUs/results/:algorithm', {
    config: writeConfig,
    schema: {
      tags,
      operationId: 'putResult',
      summary: 'Store what was derived from a window',
      description:
        'For the revision that the window has: the same again changes nothing, so a processor may repeat what it is not ' +
        'sure of. 409 `outdated`: the window, or a stored result, has a newer revision; read it again. 409 `conflict`: ' +
        'another result is stored for this revision. A back end uses a server key, a person one of scope admin.',
      security: security('window.write'),
      params: Type.Object({ id: Id, startUs: TimeUs, algorithm: Algorithm }),
      body: ResultRequest,
      response: answers({ 200: WindowResult }, { ...writeConfig, refusals: [400, 404, 409, 413, 415] }),
    },
    handler: async (request) => {
      const { id: sessionId, startUs, algorithm } = request.params;
      const { version, revision, result } = request.body;
      assertOwnName(algorithm);
      if (algorithm.includes('.'))
        throw new AppError('invalid-field', 'names with a dot are of the processors of extensions', {
          field: '/algorithm',
        });
      const payload = payloadOf(result);
      await storeResult(windows, principalOf(request).orgId, {
        sessionId,
        startUs,
        algorithm,
        version,
        revision,
        payload,
      });
      const [stored] = await windows.results(principalOf(request).orgId, {
        sessionId,
        algorithm,
        version,
        fromUs: startUs,
        limit: 1,
      });
      if (stored?.startUs !== startUs) throw noWindow();
      return stored;
    },
  });

  api.get('/v1/sessions/:id/results/:algorithm', {
    config: readConfig,
    schema: {
      tags,
      operationId: 'getResults',
      summary: 'What an algorithm found in the windows of a session, in the order of time',
      security: security('session.read'),
      params: Type.Object({ id: Id, algorithm: Algorithm }),
      querystring: Type.Object(
        {
          version: Type.Optional(Type.Integer({ minimum: 1, description: "default: each window's newest" })),
          limit: Type.Optional(
            Type.Integer({ minimum: 1, maximum: windowLimits.pageResults, description: 'default 20' }),
          ),
          fromUs: Type.Optional(TimeUs),
          cursor: Type.Optional(Type.String({ maxLength: 20, pattern: '^-?[0-9]{1,16}$' })),
        },
        { additionalProperties: false },
      ),
      response: answers({ 200: ResultPage }, { ...readConfig, refusals: [400] }),
    },
    handler: async (request) => {
      const { id: sessionId, algorithm } = request.params;
      const { version = null, limit = 20, fromUs = -limits.timeUsExclusive, cursor } = request.query;
      assertOwnName(algorithm);
      const results = await windows.results(principalOf(request).orgId, {
        sessionId,
        algorithm,
        version,
        fromUs: cursor === undefined ? fromUs : Number(cursor),
        limit: limit + 1,
      });
      const next = results[limit];
      return { results: results.slice(0, limit), next: next === undefined ? null : String(next.startUs) };
    },
  });
}

/** Throws AppError for all but `stored` and `same`. */
async function storeResult(
  windows: WindowQueries,
  orgId: string,
  result: Parameters<WindowQueries['store']>[1],
): Promise<void> {
  const outcome = await windows.store(orgId, result);
  switch (outcome) {
    case 'not-found':
      throw noWindow();
    case 'outdated':
      throw new AppError('outdated', 'the window has a newer revision: read it again');
    case 'newer':
      throw new AppError('invalid-field', 'body /revision is of no revision that the window has had', {
        field: '/revision',
      });
    case 'other':
      throw new AppError(
        'conflict',
        'another result is stored for this revision: one version gives one result of the same readings',
      );
    case 'stored':
    case 'same':
  }
}

function payloadOf(result: unknown): string {
  if (!isShallow(result, windowLimits.resultDepth))
    throw new AppError('invalid-field', `a result is nested at most ${windowLimits.resultDepth} deep`, {
      field: '/result',
    });
  const payload = JSON.stringify(result);
  if (Buffer.byteLength(payload) > windowLimits.resultBytes)
    throw new AppError('invalid-field', `a result has at most ${windowLimits.resultBytes} bytes`, {
      field: '/result',
    });
  return payload;
}

/** JSON that is nested by thousands can be read, but not be written again: it ends the stack. */
function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depth > 0 && Object.values(value).every((one) => isShallow(one, depth - 1));
}

/** `motion` is the server's own, and its results have an address of their own. */
function assertOwnName(algorithm: string): void {
  if (algorithm === 'motion')
    throw new AppError('invalid-field', 'motion is analysed by the server: GET /v1/sessions/:id/motion', {
      field: '/algorithm',
    });
}

function noWindow(): AppError {
  return new AppError('not-found', 'there is no such window of such a session');
}
