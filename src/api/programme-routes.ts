/**
 * Owns goals, and programmes of exercises with what was done of them, over HTTP. All of it is below the patient's address, so
 * that the guard and the audit log know whose it is.
 */

import { Type } from 'typebox';

import {
  EntryPage,
  EntryRequest,
  Goal,
  GoalPage,
  GoalRequest,
  Programme,
  ProgrammeEntry,
  ProgrammePage,
  ProgrammeRequest,
} from '#contract/care.ts';
import { Day } from '#contract/clinic.ts';
import { Id } from '#contract/rest.ts';
import { principalOf } from '#api/access.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import { answers, NoContent, security } from '#api/route-schemas.ts';
import { pageOf, pageQuery } from '#api/session-routes.ts';

const tags = ['care'];
const json = 'application/json';
const read = { access: 'patient.read', subject: 'patient' } as const;
const written = { access: 'patient.write', subject: 'patient' } as const;
// What was done is the patient's to say too; what shall be done is not.
const recorded = { access: 'programme.record', subject: 'patient' } as const;
const params = Type.Object({ id: Id });
const querystring = Type.Object(pageQuery, { additionalProperties: false });

type Options = Pick<ApiOptions, 'records'>;

export function addProgrammeRoutes(api: Api, options: Options): void {
  addGoalRoutes(api, options);
  addPlanRoutes(api, options);
  addEntryRoutes(api, options);
}

function addGoalRoutes(api: Api, { records }: Options): void {
  api.get('/v1/patients/:id/goals', {
    config: read,
    schema: {
      tags,
      operationId: 'listGoals',
      summary: 'Goals, newest first',
      security: security(read.access),
      params,
      querystring,
      response: answers({ 200: GoalPage }, { ...read, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const id = request.params.id.toLowerCase();
      const page = await records.goals.list(principalOf(request), id, pageOf(request.query));
      return reply.type(json).send(page);
    },
  });

  api.post('/v1/patients/:id/goals', {
    config: written,
    schema: {
      tags,
      operationId: 'addGoal',
      summary: 'A new goal',
      security: security(written.access),
      params,
      body: GoalRequest,
      response: answers({ 201: Goal }, { ...written, refusals: [400, 404, 409, 413, 415] }),
    },
    handler: async (request, reply) => {
      const id = request.params.id.toLowerCase();
      const body = await records.goals.add(principalOf(request), id, request.body);
      return reply.code(201).type(json).send(body);
    },
  });

  api.put('/v1/patients/:id/goals/:goal', {
    config: written,
    schema: {
      tags,
      operationId: 'replaceGoal',
      summary: 'Replace a goal; `revision` is of the one that was read',
      security: security(written.access),
      params: Type.Object({ id: Id, goal: Id }),
      body: GoalRequest,
      response: answers({ 200: Goal }, { ...written, refusals: [400, 404, 409, 413, 415] }),
    },
    handler: async (request, reply) => {
      const place = { patientId: request.params.id.toLowerCase(), id: request.params.goal.toLowerCase() };
      return reply.type(json).send(await records.goals.replace(principalOf(request), place, request.body));
    },
  });

  api.delete('/v1/patients/:id/goals/:goal', {
    config: written,
    schema: {
      tags,
      operationId: 'removeGoal',
      summary: 'Remove a goal',
      security: security(written.access),
      params: Type.Object({ id: Id, goal: Id }),
      response: answers({ 204: NoContent }, { ...written, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const place = { patientId: request.params.id.toLowerCase(), id: request.params.goal.toLowerCase() };
      await records.goals.remove(principalOf(request), place);
      return reply.code(204).send(null);
    },
  });
}

function addPlanRoutes(api: Api, { records }: Options): void {
  api.get('/v1/patients/:id/programmes', {
    config: read,
    schema: {
      tags,
      operationId: 'listProgrammes',
      summary: 'Programmes of exercises with adherence, newest first',
      security: security(read.access),
      params,
      querystring,
      response: answers({ 200: ProgrammePage }, { ...read, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const id = request.params.id.toLowerCase();
      const page = await records.programmes.list(principalOf(request), id, pageOf(request.query));
      return reply.type(json).send(page);
    },
  });

  api.post('/v1/patients/:id/programmes', {
    config: written,
    schema: {
      tags,
      operationId: 'addProgramme',
      summary: 'A new programme',
      security: security(written.access),
      params,
      body: ProgrammeRequest,
      response: answers({ 201: Programme }, { ...written, refusals: [400, 404, 409, 413, 415] }),
    },
    handler: async (request, reply) => {
      const id = request.params.id.toLowerCase();
      const body = await records.programmes.add(principalOf(request), id, request.body);
      return reply.code(201).type(json).send(body);
    },
  });

  api.put('/v1/patients/:id/programmes/:programme', {
    config: written,
    schema: {
      tags,
      operationId: 'replaceProgramme',
      summary: 'Replace a programme; `revision` is of the one that was read',
      security: security(written.access),
      params: Type.Object({ id: Id, programme: Id }),
      body: ProgrammeRequest,
      response: answers({ 200: Programme }, { ...written, refusals: [400, 404, 409, 413, 415] }),
    },
    handler: async (request, reply) => {
      const place = {
        patientId: request.params.id.toLowerCase(),
        id: request.params.programme.toLowerCase(),
      };
      return reply
        .type(json)
        .send(await records.programmes.replace(principalOf(request), place, request.body));
    },
  });

  api.delete('/v1/patients/:id/programmes/:programme', {
    config: written,
    schema: {
      tags,
      operationId: 'removeProgramme',
      summary: 'Remove a programme',
      security: security(written.access),
      params: Type.Object({ id: Id, programme: Id }),
      response: answers({ 204: NoContent }, { ...written, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const place = {
        patientId: request.params.id.toLowerCase(),
        id: request.params.programme.toLowerCase(),
      };
      await records.programmes.remove(principalOf(request), place);
      return reply.code(204).send(null);
    },
  });
}

const entryParams = Type.Object({
  id: Id,
  programme: Id,
  day: Day,
  exercise: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
});

function addEntryRoutes(api: Api, { records }: Options): void {
  api.get('/v1/patients/:id/programmes/:programme/entries', {
    config: read,
    schema: {
      tags,
      operationId: 'listEntries',
      summary: 'What was done of a programme, newest day first',
      security: security(read.access),
      params: Type.Object({ id: Id, programme: Id }),
      querystring,
      response: answers({ 200: EntryPage }, { ...read, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const place = {
        patientId: request.params.id.toLowerCase(),
        programmeId: request.params.programme.toLowerCase(),
      };
      const page = await records.entries.list(principalOf(request), place, pageOf(request.query));
      return reply.type(json).send(page);
    },
  });

  api.put('/v1/patients/:id/programmes/:programme/entries/:day/:exercise', {
    config: recorded,
    schema: {
      tags,
      operationId: 'putEntry',
      summary: 'What was done of an exercise on a day',
      description:
        'Sent again, it replaces what stands there. A patient’s account changes what it put down itself: over an entry of ' +
        'the clinic it is answered 409.',
      security: security(recorded.access),
      params: entryParams,
      body: EntryRequest,
      response: answers({ 200: ProgrammeEntry }, { ...recorded, refusals: [400, 404, 409, 413, 415] }),
    },
    handler: async (request, reply) => {
      const { id, programme, day, exercise } = request.params;
      const place = { patientId: id.toLowerCase(), programmeId: programme.toLowerCase(), day, exercise };
      return reply.type(json).send(await records.entries.put(principalOf(request), place, request.body));
    },
  });

  api.delete('/v1/patients/:id/programmes/:programme/entries/:day/:exercise', {
    config: recorded,
    schema: {
      tags,
      operationId: 'removeEntry',
      summary: 'Remove what was put down of a day',
      security: security(recorded.access),
      params: entryParams,
      response: answers({ 204: NoContent }, { ...recorded, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const { id, programme, day, exercise } = request.params;
      const place = { patientId: id.toLowerCase(), programmeId: programme.toLowerCase(), day, exercise };
      await records.entries.remove(principalOf(request), place);
      return reply.code(204).send(null);
    },
  });
}
