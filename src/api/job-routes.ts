/** Owns jobs over HTTP: asking for one answers at once, and what came of it is fetched when it is done. */

import { Readable } from 'node:stream';

import { Type } from 'typebox';

import { invalidCursor } from '#clinic/json-pages.ts';
import { Job, JobPage, JobRequest, JobState } from '#contract/jobs.ts';
import { Id } from '#contract/rest.ts';
import { principalOf } from '#api/access.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import { answers, described, security } from '#api/route-schemas.ts';
import { pageLimits, pageQuery } from '#api/session-routes.ts';

const run = { access: 'job.run' } as const;
const read = { access: 'job.read' } as const;
const runOne = { access: 'job.run', subject: 'job' } as const;
const readOne = { access: 'job.read', subject: 'job' } as const;
const tags = ['jobs'];
const params = Type.Object({ id: Id });

export function addJobRoutes(api: Api, options: ApiOptions): void {
  addListRoutes(api, options);
  addJobActions(api, options);
  addFileRoute(api, options);
}

function addListRoutes(api: Api, { jobs }: ApiOptions): void {
  api.post('/v1/jobs', {
    config: run,
    schema: {
      tags,
      operationId: 'startJob',
      summary: 'Ask for something that takes longer than a request',
      description:
        'The job is queued and this answers at once; watch the channel `organisation/jobs` or ask again. Each kind ' +
        'needs the permission of what it does as well, such as patient.export.',
      security: security('job.run'),
      body: JobRequest,
      response: answers({ 202: Job }, { ...run, refusals: [400, 404, 409, 413, 415] }),
    },
    handler: async (request, reply) =>
      reply.code(202).send(await jobs.start(principalOf(request), request.body)),
  });

  api.get('/v1/jobs', {
    config: read,
    schema: {
      tags,
      operationId: 'listJobs',
      summary: 'Jobs, newest first',
      security: security('job.read'),
      querystring: Type.Object(
        {
          ...pageQuery,
          state: Type.Optional(JobState),
          patient: Type.Optional(Id),
          session: Type.Optional(Id),
        },
        { additionalProperties: false },
      ),
      response: answers({ 200: JobPage }, { ...read, refusals: [400] }),
    },
    handler: async (request) => {
      const { limit = pageLimits.defaultItems, cursor = null, state, patient, session } = request.query;
      const page = await jobs.list(principalOf(request), {
        limit,
        cursor,
        filter: {
          ...(state === undefined ? {} : { state }),
          ...(patient === undefined ? {} : { patientId: patient.toLowerCase() }),
          ...(session === undefined ? {} : { sessionId: session.toLowerCase() }),
        },
      });
      if (page === null) throw invalidCursor();
      return page;
    },
  });

  api.get('/v1/jobs/:id', {
    config: readOne,
    schema: {
      tags,
      operationId: 'getJob',
      summary: 'One job: how far it is, why it failed, what came of it',
      security: security('job.read'),
      params,
      response: answers({ 200: Job }, { ...readOne, refusals: [400, 404] }),
    },
    handler: (request) => jobs.get(principalOf(request), request.params.id.toLowerCase()),
  });
}

function addJobActions(api: Api, { jobs }: ApiOptions): void {
  api.post('/v1/jobs/:id/cancel', {
    config: runOne,
    schema: {
      tags,
      operationId: 'cancelJob',
      summary: 'Cancel a job: one that waits at once, one under way within seconds',
      security: security('job.run'),
      params,
      response: answers({ 200: Job }, { ...runOne, refusals: [400, 404, 409] }),
    },
    handler: (request) => jobs.cancel(principalOf(request), request.params.id.toLowerCase()),
  });

  api.post('/v1/jobs/:id/retry', {
    config: runOne,
    schema: {
      tags,
      operationId: 'retryJob',
      summary: 'Try again what failed or was cancelled, or at once what waits for its next attempt',
      security: security('job.run'),
      params,
      response: answers({ 200: Job }, { ...runOne, refusals: [400, 404, 409] }),
    },
    handler: (request) => jobs.retry(principalOf(request), request.params.id.toLowerCase()),
  });
}

function addFileRoute(api: Api, { jobs }: ApiOptions): void {
  api.get('/v1/jobs/:id/file', {
    config: readOne,
    // Fastify's own answer to HEAD would read the whole file to throw it away.
    exposeHeadRoute: false,
    schema: {
      tags,
      operationId: 'getJobFile',
      summary: 'The file that a job made',
      description: 'There for 7 days. A download that could not be completed is broken off.',
      security: security('job.read'),
      produces: ['application/octet-stream'],
      params,
      response: answers(
        { 200: described(Type.String(), 'The file, of the type that the job says.') },
        { ...readOne, refusals: [400, 404] },
      ),
    },
    handler: async (request, reply) => {
      const file = await jobs.file(principalOf(request), request.params.id.toLowerCase());
      return reply
        .type(file.type)
        .header('content-length', file.bytes)
        .header('content-disposition', `attachment; filename="${file.name.replaceAll(/[^\w.-]+/g, '-')}"`)
        .header('cache-control', 'private, no-store')
        .send(Readable.from(file.parts, { objectMode: false }));
    },
  });
}
