/** Owns goals, and programmes of exercises with what was done of them, over HTTP. */

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
import { addRecordRemoval, addRecordRoutes, json, pageQuerystring, read, tags } from '#api/record-routes.ts';
import { pageOf } from '#api/session-routes.ts';

// What was done is the patient's to say too; what shall be done is not.
const recorded = { access: 'programme.record', subject: 'patient' } as const;

type Options = Pick<ApiOptions, 'records'>;

export function addProgrammeRoutes(api: Api, options: Options): void {
  addGoalRoutes(api, options);
  addPlanRoutes(api, options);
  addEntryRoutes(api, options);
}

function addGoalRoutes(api: Api, { records }: Options): void {
  const of = { path: 'goals', param: 'goal', service: records.goals };
  addRecordRoutes(api, {
    ...of,
    schemas: { page: GoalPage, record: Goal, request: GoalRequest },
    list: { id: 'listGoals', summary: 'Goals, newest first' },
    add: { id: 'addGoal', summary: 'A new goal' },
    replace: { id: 'replaceGoal', summary: 'Replace a goal; `revision` is of the one that was read' },
  });
  addRecordRemoval(api, { ...of, remove: { id: 'removeGoal', summary: 'Remove a goal' } });
}

function addPlanRoutes(api: Api, { records }: Options): void {
  const of = { path: 'programmes', param: 'programme', service: records.programmes };
  addRecordRoutes(api, {
    ...of,
    schemas: { page: ProgrammePage, record: Programme, request: ProgrammeRequest },
    list: { id: 'listProgrammes', summary: 'Programmes of exercises with adherence, newest first' },
    add: { id: 'addProgramme', summary: 'A new programme' },
    replace: {
      id: 'replaceProgramme',
      summary: 'Replace a programme; `revision` is of the one that was read',
    },
  });
  addRecordRemoval(api, { ...of, remove: { id: 'removeProgramme', summary: 'Remove a programme' } });
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
      querystring: pageQuerystring,
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
