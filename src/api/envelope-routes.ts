/** Owns envelopes over HTTP: a stream's range of device time at a width, as JSON or as columns of float64. */

import { Type } from 'typebox';

import { AppError } from '#base/errors.ts';
import { encodeEnvelope, envelopeJson } from '#contract/envelope-codec.ts';
import { Envelope, envelopeLimits } from '#contract/envelope.ts';
import { Id } from '#contract/rest.ts';
import { limits } from '#protocol/limits.ts';
import { principalOf } from '#api/access.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import { binaryType } from '#api/openapi.ts';
import { answers, described, security } from '#api/route-schemas.ts';

const config = { access: 'session.read', subject: 'stream' } as const;
const TimeUs = Type.Integer({ minimum: 1 - limits.timeUsExclusive, maximum: limits.timeUsExclusive - 1 });

const EnvelopeQuery = Type.Object(
  {
    fromUs: Type.Optional(described(TimeUs, 'device time in microseconds; default the first reading')),
    toUs: Type.Optional(
      described(TimeUs, 'device time in microseconds, exclusive; default the last reading'),
    ),
    width: Type.Optional(
      Type.Integer({
        minimum: envelopeLimits.minWidth,
        maximum: envelopeLimits.maxWidth,
        description: `columns to be drawn; at most twice as many come; default ${envelopeLimits.defaultWidth}`,
      }),
    ),
  },
  { additionalProperties: false },
);

export function addEnvelopeRoutes(api: Api, { envelopes }: ApiOptions): void {
  api.get('/v1/streams/:id/envelope', {
    config,
    schema: {
      tags: ['readings'],
      operationId: 'getEnvelope',
      summary: 'What a range of a stream looks like: least, largest and mean values in columns',
      description:
        `JSON, or with \`Accept: ${binaryType}\` a JSON head and the columns as little-endian float64 (docs/rest.md). ` +
        'No reading of the range is left out, so a curve between the least and the largest values hides no peak.',
      security: security('session.read'),
      produces: ['application/json', binaryType],
      params: Type.Object({ id: Id }),
      querystring: EnvelopeQuery,
      response: answers({ 200: Envelope }, { ...config, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const { fromUs = null, toUs = null, width = envelopeLimits.defaultWidth } = request.query;
      if (fromUs !== null && toUs !== null && fromUs >= toUs)
        throw new AppError('invalid-field', 'querystring /toUs must be later than /fromUs', {
          field: '/toUs',
        });
      const answer = await envelopes.read(principalOf(request).orgId, {
        streamId: request.params.id,
        fromUs,
        toUs,
        width,
      });
      if (answer === 'unknown-stream') throw new AppError('not-found', 'there is no such stream');
      reply.header('vary', 'accept');
      if (request.headers.accept === binaryType)
        return reply.type(binaryType).send(Buffer.from(encodeEnvelope(answer).buffer));
      return reply.type('application/json').send(envelopeJson(answer));
    },
  });
}
