/**
 * Owns sessions as visits over HTTP: planning, whose recording it is, which device is worn where, starting, ending, signing
 * off, and the figures that came of it.
 */

import { Type } from 'typebox';

import { Id } from '#contract/rest.ts';
import {
  DevicePlacementPage,
  EndRequest,
  PatientBinding,
  PlacementsChange,
  PlanChange,
  PlanRequest,
  SealRequest,
  SessionFigures,
  Visit,
  VisitAsked,
} from '#contract/visit.ts';
import { principalOf } from '#api/access.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import { jsonText } from '#api/json-text.ts';
import { answers, NoContent, security } from '#api/route-schemas.ts';
import { pageLimits, pageQuery } from '#api/session-routes.ts';

const readConfig = { access: 'session.read', subject: 'session' } as const;
const config = { access: 'session.write', subject: 'session' } as const;
const planConfig = { access: 'session.write' } as const;
const sealConfig = { access: 'session.seal', subject: 'session' } as const;
const deviceConfig = { access: 'device.read', subject: 'device' } as const;
const tags = ['visits'];
const params = Type.Object({ id: Id });
const refusals = [400, 404, 409, 413, 415] as const;

export function addVisitRoutes(api: Api, options: ApiOptions): void {
  addReadingOfVisits(api, options);
  addPlanRoutes(api, options);
  addWearingRoutes(api, options);
  addProgressRoutes(api, options);
}

function addReadingOfVisits(api: Api, { visits: { visits, summaries } }: ApiOptions): void {
  api.get('/v1/sessions/:id/visit', {
    config: readConfig,
    schema: {
      tags,
      operationId: 'getVisit',
      summary:
        'A session as it was planned: patient, protocol, devices, and what to look at before it starts',
      security: security('session.read'),
      params,
      response: answers({ 200: Visit }, { ...readConfig, refusals: [400, 404] }),
    },
    handler: (request) => visits.read(principalOf(request), request.params.id.toLowerCase()),
  });

  api.get('/v1/sessions/:id/summary', {
    config: readConfig,
    schema: {
      tags,
      operationId: 'getSessionFigures',
      summary: 'The figures of an ended session; 404 until they were computed',
      security: security('session.read'),
      params,
      response: answers({ 200: SessionFigures }, { ...readConfig, refusals: [400, 404] }),
    },
    handler: async (request, reply) =>
      jsonText(reply, await summaries.read(principalOf(request), request.params.id.toLowerCase())),
  });
}

function addPlanRoutes(api: Api, { visits: { visits } }: ApiOptions): void {
  api.post('/v1/sessions', {
    config: planConfig,
    schema: {
      tags,
      operationId: 'planSession',
      summary: 'Plan a session',
      description:
        'It is `planned` until a device opens a stream in it. A device gets its id with the command `start`, or by any other way.',
      security: security('session.write'),
      body: PlanRequest,
      response: answers({ 201: Visit }, { ...planConfig, refusals: [400, 409, 413, 415] }),
    },
    handler: async (request, reply) => {
      request.auditedPatient = request.body.patientId;
      return reply.code(201).send(await visits.plan(principalOf(request), request.body));
    },
  });

  api.put('/v1/sessions/:id/plan', {
    config,
    schema: {
      tags,
      operationId: 'changePlan',
      summary: 'Plan the session of this id, or change its plan',
      description:
        'With `revision` null for a session that was not planned before, also for one that a device has begun already: then it ' +
        'gets patient, protocol and label. The same again answers the same. 409 `outdated` when somebody changed it meanwhile.',
      security: security('session.write'),
      params,
      body: PlanChange,
      response: answers({ 200: Visit }, { ...config, refusals }),
    },
    handler: (request) => {
      request.auditedPatient = request.body.patientId;
      return visits.change(principalOf(request), request.params.id.toLowerCase(), request.body);
    },
  });

  api.delete('/v1/sessions/:id/plan', {
    config,
    schema: {
      tags,
      operationId: 'cancelPlan',
      summary: 'Remove a session that was planned and never recorded',
      security: security('session.write'),
      params,
      querystring: Type.Object(
        { revision: Type.Integer({ minimum: 1, maximum: 2_147_483_647 }) },
        { additionalProperties: false },
      ),
      response: answers({ 204: NoContent }, { ...config, refusals: [400, 404, 409] }),
    },
    handler: async (request, reply) => {
      await visits.cancel(principalOf(request), request.params.id.toLowerCase(), request.query.revision);
      return reply.code(204).send(null);
    },
  });

  api.put('/v1/sessions/:id/patient', {
    config,
    schema: {
      tags,
      operationId: 'bindSession',
      summary: 'Say whose recording it is, or that it is nobody’s yet',
      security: security('session.write'),
      params,
      body: PatientBinding,
      response: answers({ 200: Visit }, { ...config, refusals }),
    },
    handler: (request) => {
      request.auditedPatient = request.body.patientId;
      return visits.bind(principalOf(request), request.params.id.toLowerCase(), request.body);
    },
  });
}

function addWearingRoutes(api: Api, { visits: { placements } }: ApiOptions): void {
  api.put('/v1/sessions/:id/placements', {
    config,
    schema: {
      tags,
      operationId: 'assignDevices',
      summary: 'Say which device is worn on which segment',
      description:
        'Replaces what was assigned before. 409 `conflict` names the session that uses a device at this moment. What may be a ' +
        'mistake, such as left and right, is in `warnings` of the answer.',
      security: security('session.write'),
      params,
      body: PlacementsChange,
      response: answers({ 200: Visit }, { ...config, refusals }),
    },
    handler: (request) =>
      placements.assign(principalOf(request), request.params.id.toLowerCase(), request.body),
  });

  api.get('/v1/devices/:id/placements', {
    config: deviceConfig,
    schema: {
      tags,
      operationId: 'listPlacements',
      summary: 'Where a device was worn, newest first',
      security: security('device.read'),
      params,
      querystring: Type.Object(
        // Of segments with names in any script.
        { ...pageQuery, cursor: Type.Optional(Type.String({ maxLength: 500 })) },
        { additionalProperties: false },
      ),
      response: answers({ 200: DevicePlacementPage }, { ...deviceConfig, refusals: [400, 404] }),
    },
    handler: (request) => {
      const { limit = pageLimits.defaultItems, cursor = null } = request.query;
      return placements.history(principalOf(request), request.params.id.toLowerCase(), { limit, cursor });
    },
  });
}

function addProgressRoutes(api: Api, { visits: { progress } }: ApiOptions): void {
  api.post('/v1/sessions/:id/start', {
    config,
    schema: {
      tags,
      operationId: 'startSession',
      summary: 'Ask the assigned devices to start recording',
      description:
        'Those that do not record it yet; it begins with the first stream. What becomes of each command is told in ' +
        '`device/{device}/commands`. 409 `conflict` names the session that uses a device at this moment.',
      security: security('session.write'),
      params,
      response: answers({ 202: VisitAsked }, { ...config, refusals: [400, 404, 409] }),
    },
    handler: async (request, reply) =>
      reply.code(202).send(await progress.start(principalOf(request), request.params.id.toLowerCase())),
  });

  api.post('/v1/sessions/:id/end', {
    config,
    schema: {
      tags,
      operationId: 'endSession',
      summary: 'Ask the devices of a session to stop; it ends with its last stream',
      description:
        'With `now` it ends at once. What its devices still hold comes late, and is stored like all else.',
      security: security('session.write'),
      params,
      body: EndRequest,
      response: answers({ 202: VisitAsked }, { ...config, refusals }),
    },
    handler: async (request, reply) => {
      const { now = false } = request.body;
      return reply
        .code(202)
        .send(await progress.end(principalOf(request), request.params.id.toLowerCase(), { now }));
    },
  });

  api.post('/v1/sessions/:id/seal', {
    config: sealConfig,
    schema: {
      tags,
      operationId: 'sealSession',
      summary: 'Sign a session off: what comes or is changed later makes it amended',
      security: security('session.seal'),
      params,
      body: SealRequest,
      response: answers({ 200: Visit }, { ...sealConfig, refusals }),
    },
    handler: (request) =>
      progress.seal(principalOf(request), request.params.id.toLowerCase(), request.body.revision),
  });
}
