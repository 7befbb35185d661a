/** Owns readings over HTTP: taking them from programs without a device store, and giving a stream's by device time. */

import { setImmediate as nextTurn } from 'node:timers/promises';

import { Type } from 'typebox';

import { AppError } from '#base/errors.ts';
import { invalidCursor } from '#clinic/json-pages.ts';
import { Id, ReadingPage, ReadingsAccepted, ReadingsRequest } from '#contract/rest.ts';
import { limits } from '#protocol/limits.ts';
import { readingLimits, type Readings } from '#store/reading-queries.ts';
import { deviceOf, principalOf } from '#api/access.ts';
import { apiLimits, type Api, type ApiOptions } from '#api/api-options.ts';
import { binaryType } from '#api/openapi.ts';
import { answers, described, security } from '#api/route-schemas.ts';
import { pageLimits } from '#api/session-routes.ts';

const tags = ['readings'];
/** About 3 ms of work with six axes. */
const rowsPerTurn = 500;
const TimeUs = Type.Integer({ minimum: -(limits.timeUsExclusive - 1), maximum: limits.timeUsExclusive - 1 });

const ReadingsQuery = Type.Object(
  {
    fromUs: Type.Optional(described(TimeUs, 'device time in microseconds; default the beginning')),
    toUs: Type.Optional(described(TimeUs, 'device time in microseconds, exclusive; default the end')),
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: readingLimits.maxRows,
        description: `readings; default ${readingLimits.defaultRows}`,
      }),
    ),
    cursor: Type.Optional(
      Type.String({ maxLength: pageLimits.cursorCharacters, description: '`next` of the page before' }),
    ),
  },
  { additionalProperties: false },
);

export function addReadingRoutes(api: Api, options: ApiOptions): void {
  const submitConfig = { access: 'device' } as const;
  api.post('/v1/readings', {
    config: submitConfig,
    bodyLimit: apiLimits.readingsBodyBytes,
    schema: {
      tags,
      operationId: 'submitReadings',
      summary: 'Store readings of one segment, without a device store',
      description:
        'Answered after COMMIT. The server numbers the readings, so a request that is repeated is stored twice: what ' +
        'must be stored exactly once uses a device client.',
      security: security('device'),
      body: ReadingsRequest,
      response: answers({ 201: ReadingsAccepted }, { ...submitConfig, refusals: [400, 409, 413, 415] }),
    },
    handler: async (request, reply) =>
      reply.code(201).send(await options.submitReadings(deviceOf(request), request.body)),
  });

  const readConfig = { access: 'session.read', subject: 'stream' } as const;
  api.get('/v1/streams/:id/readings', {
    config: readConfig,
    schema: {
      tags,
      operationId: 'getReadings',
      summary: "A stream's readings in a range of device time",
      description:
        `JSON, or with \`Accept: ${binaryType}\` the same rows as little-endian float64: device time in microseconds, ` +
        'then one value an axis. The cursor of the next page is then in the header `kymo-next`, which is absent at ' +
        'the end; axes and reading numbers are in the JSON form only.',
      security: security('session.read'),
      produces: ['application/json', binaryType],
      params: Type.Object({ id: Id }),
      querystring: ReadingsQuery,
      response: answers({ 200: ReadingPage }, { ...readConfig, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const { fromUs, toUs, limit = readingLimits.defaultRows, cursor = null } = request.query;
      const streamId = request.params.id;
      const answer = await options.readings.read(principalOf(request).orgId, {
        streamId,
        fromUs: fromUs ?? -limits.timeUsExclusive,
        toUs: toUs ?? limits.timeUsExclusive,
        limit,
        cursor,
      });
      if (answer === 'unknown-stream') throw new AppError('not-found', 'there is no such stream');
      if (answer === 'invalid-cursor') throw invalidCursor();
      reply.header('vary', 'accept');
      if (request.headers.accept === binaryType) {
        if (answer.next !== null) reply.header('kymo-next', answer.next);
        return reply.type(binaryType).send(asBytes(answer.rows));
      }
      return reply.type('application/json').send(await writePage(streamId, answer));
    },
  });
}

/** ReadingPage as JSON. Pieces of it are written in turns of the event loop, so that no one waits for a large page. */
async function writePage(stream: string, readings: Readings): Promise<string> {
  const { axes, runs, next, rowCount } = readings;
  const width = 1 + axes.length;
  const head = JSON.stringify({ stream, axes, runs, next });
  const pieces: string[] = [];
  for (let from = 0; from < rowCount; from += rowsPerTurn) {
    if (from > 0) await nextTurn();
    const rows = Array.from({ length: Math.min(rowsPerTurn, rowCount - from) }, (_, i) =>
      // JSON.stringify writes what is not finite as null, as the schema says.
      Array.from(readings.rows.subarray((from + i) * width, (from + i + 1) * width)),
    );
    pieces.push(JSON.stringify(rows).slice(1, -1));
  }
  return `${head.slice(0, -1)},"rows":[${pieces.join(',')}]}`;
}

// Typed arrays are in the machine's order; every platform that Node runs on is little endian.
function asBytes(rows: Float64Array): Buffer {
  return Buffer.from(rows.buffer, rows.byteOffset, rows.byteLength);
}
