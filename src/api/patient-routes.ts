/**
 * Owns patients over HTTP: list, overview, progress, changes, consent, search, and what names a patient, which has an address
 * of its own so that reading it is told apart in the audit log. Answers come as the JSON that the database wrote.
 */

import { Type } from 'typebox';

import {
  clinicLimits,
  ConsentPurpose,
  ConsentRecord,
  ConsentRequest,
  IdentifiersRequest,
  Patient,
  PatientChange,
  PatientIdentifiers,
  PatientOverview,
  PatientPage,
  PatientRequest,
  ProgressPage,
  SearchFindings,
} from '#contract/clinic.ts';
import { Id } from '#contract/rest.ts';
import { principalOf } from '#api/access.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import { answers, security } from '#api/route-schemas.ts';
import { pageLimits, pageQuery } from '#api/session-routes.ts';

const tags = ['patients'];
const json = 'application/json';
const params = Type.Object({ id: Id });
const listed = { access: 'patient.read', subject: 'own' } as const;
const made = { access: 'patient.write' } as const;
const read = { access: 'patient.read', subject: 'patient' } as const;
const written = { access: 'patient.write', subject: 'patient' } as const;
const searched = { access: 'patient.read' } as const;

const PatientsQuery = Type.Object(
  {
    ...pageQuery,
    state: Type.Optional(Type.Enum(['active', 'archived', 'all'], { description: 'default active' })),
    code: Type.Optional(
      Type.String({
        maxLength: clinicLimits.codeCharacters,
        pattern: '^[A-Za-z0-9._-]*$',
        description: 'beginning of the code; the list is then in the order of codes',
      }),
    ),
    consent: Type.Optional(ConsentPurpose),
    affectedSide: Type.Optional(Type.Enum(['left', 'right', 'both', 'none'])),
  },
  { additionalProperties: false },
);

const ProgressQuery = Type.Object(
  {
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: clinicLimits.progressSessions, description: 'default 100' }),
    ),
    cursor: pageQuery.cursor,
    metric: Type.Optional(
      Type.Array(Type.String({ maxLength: 64, pattern: '^[a-z0-9-]+$' }), {
        maxItems: clinicLimits.metrics,
        description: 'which figures; those of the overview when left out',
      }),
    ),
  },
  { additionalProperties: false },
);
const PROGRESS_SESSIONS = 100;

const SearchRequest = Type.Object(
  { text: Type.String({ maxLength: clinicLimits.searchCharacters }) },
  { additionalProperties: false, $id: 'SearchRequest' },
);

export function addPatientRoutes(api: Api, options: Pick<ApiOptions, 'records'>): void {
  addListRoutes(api, options);
  addRecordRoutes(api, options);
  addIdentifierRoutes(api, options);
  addConsentRoutes(api, options);
}

function addListRoutes(api: Api, { records }: Pick<ApiOptions, 'records'>): void {
  api.get('/v1/patients', {
    config: listed,
    schema: {
      tags,
      operationId: 'listPatients',
      summary: 'Patients, newest first, or by the beginning of their code',
      security: security('patient.read'),
      querystring: PatientsQuery,
      response: answers({ 200: PatientPage }, { ...listed, refusals: [400] }),
    },
    handler: async (request, reply) => {
      const { limit = pageLimits.defaultItems, cursor = null, state = 'active' } = request.query;
      const { code = '', consent = null, affectedSide = null } = request.query;
      const filter = { state, code: code === '' ? null : code, consent, affectedSide };
      const page = await records.patients.list(principalOf(request), filter, { limit, cursor });
      return reply.type(json).send(page);
    },
  });

  api.post('/v1/patients', {
    config: made,
    schema: {
      tags,
      operationId: 'createPatient',
      summary: 'A new patient; asking again with the same id makes no second one',
      security: security('patient.write'),
      body: PatientRequest,
      response: answers({ 201: Patient }, { ...made, refusals: [400, 409, 413, 415] }),
    },
    handler: async (request, reply) => {
      const body = await records.patients.create(principalOf(request), request.body);
      return reply.code(201).type(json).send(body);
    },
  });

  api.post('/v1/search', {
    config: searched,
    schema: {
      tags,
      operationId: 'search',
      summary: 'Patients, sessions and notes that a text finds',
      description:
        'Patients whose code begins with it or of whom it is an identifier, sessions whose label begins with it, notes ' +
        'that have every word of it. It may be a name, so it is sent in the body and is in no address and no log.',
      security: security('patient.read'),
      body: SearchRequest,
      response: answers({ 200: SearchFindings }, { ...searched, refusals: [400, 413, 415] }),
    },
    handler: async (request, reply) => {
      const found = await records.search.find(principalOf(request), request.body.text);
      request.auditedPatients = found.patientIds;
      return reply.type(json).send(found.body);
    },
  });
}

function addRecordRoutes(api: Api, { records }: Pick<ApiOptions, 'records'>): void {
  api.get('/v1/patients/:id', {
    config: read,
    schema: {
      tags,
      operationId: 'getPatient',
      summary: 'One patient with the newest sessions and how the headline figures have changed',
      security: security('patient.read'),
      params,
      response: answers({ 200: PatientOverview }, { ...read, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const id = request.params.id.toLowerCase();
      return reply.type(json).send(await records.patients.overview(principalOf(request), id));
    },
  });

  api.patch('/v1/patients/:id', {
    config: written,
    schema: {
      tags,
      operationId: 'changePatient',
      summary: 'Change a patient, archive one or bring one back; `revision` is of what was read',
      security: security('patient.write'),
      params,
      body: PatientChange,
      response: answers({ 200: Patient }, { ...written, refusals: [400, 404, 409, 413, 415] }),
    },
    handler: async (request, reply) => {
      const id = request.params.id.toLowerCase();
      return reply.type(json).send(await records.patients.change(principalOf(request), id, request.body));
    },
  });

  api.get('/v1/patients/:id/progress', {
    config: read,
    schema: {
      tags,
      operationId: 'getProgress',
      summary: 'Figures of the analysed sessions of a patient, newest first',
      security: security('patient.read'),
      params,
      querystring: ProgressQuery,
      response: answers({ 200: ProgressPage }, { ...read, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const { limit = PROGRESS_SESSIONS, cursor = null, metric = null } = request.query;
      const id = request.params.id.toLowerCase();
      const wanted = { limit, cursor, metrics: metric };
      return reply.type(json).send(await records.patients.progress(principalOf(request), id, wanted));
    },
  });
}

function addIdentifierRoutes(api: Api, { records }: Pick<ApiOptions, 'records'>): void {
  api.get('/v1/patients/:id/identifiers', {
    config: read,
    schema: {
      tags,
      operationId: 'getIdentifiers',
      summary: 'Who the patient is',
      security: security('patient.read'),
      params,
      response: answers({ 200: PatientIdentifiers }, { ...read, refusals: [400, 404, 409] }),
    },
    handler: async (request) =>
      records.identifiers.read(principalOf(request), request.params.id.toLowerCase()),
  });

  api.patch('/v1/patients/:id/identifiers', {
    config: written,
    schema: {
      tags,
      operationId: 'changeIdentifiers',
      summary: 'Put down or remove what names the patient',
      security: security('patient.write'),
      params,
      body: IdentifiersRequest,
      response: answers({ 200: PatientIdentifiers }, { ...written, refusals: [400, 404, 409, 413, 415] }),
    },
    handler: async (request) =>
      records.identifiers.change(principalOf(request), request.params.id.toLowerCase(), request.body),
  });
}

function addConsentRoutes(api: Api, { records }: Pick<ApiOptions, 'records'>): void {
  api.get('/v1/patients/:id/consents', {
    config: read,
    schema: {
      tags,
      operationId: 'getConsents',
      summary: 'What the patient has agreed to, and every decision',
      security: security('patient.read'),
      params,
      response: answers({ 200: ConsentRecord }, { ...read, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const id = request.params.id.toLowerCase();
      return reply.type(json).send(await records.consents.read(principalOf(request), id));
    },
  });

  api.post('/v1/patients/:id/consents', {
    config: written,
    schema: {
      tags,
      operationId: 'decideConsent',
      summary: 'Put down that a consent was granted or withdrawn',
      security: security('patient.write'),
      params,
      body: ConsentRequest,
      response: answers({ 201: ConsentRecord }, { ...written, refusals: [400, 404, 413, 415] }),
    },
    handler: async (request, reply) => {
      const id = request.params.id.toLowerCase();
      const body = await records.consents.decide(principalOf(request), id, request.body);
      return reply.code(201).type(json).send(body);
    },
  });
}
