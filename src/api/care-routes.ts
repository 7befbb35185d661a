/**
 * Owns what is written down of a patient over HTTP: medical history and notes. All of it is below the patient's address, so that the guard and the audit log know whose it is.
 */

import { Type } from 'typebox';

import {
  HistoryEntry,
  HistoryPage,
  HistoryRequest,
  Note,
  NotePage,
  NoteRequest,
  NoteRevisions,
} from '#contract/care.ts';
import { Id } from '#contract/rest.ts';
import { principalOf } from '#api/access.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import { answers, NoContent, security } from '#api/route-schemas.ts';
import { pageOf, pageQuery } from '#api/session-routes.ts';

const tags = ['care'];
const json = 'application/json';
const read = { access: 'patient.read', subject: 'patient' } as const;
const written = { access: 'patient.write', subject: 'patient' } as const;
const params = Type.Object({ id: Id });
const querystring = Type.Object(pageQuery, { additionalProperties: false });

type Options = Pick<ApiOptions, 'records'>;

export function addCareRoutes(api: Api, options: Options): void {
  addHistoryRoutes(api, options);
  addNoteRoutes(api, options);
}

function addHistoryRoutes(api: Api, { records }: Options): void {
  api.get('/v1/patients/:id/history', {
    config: read,
    schema: {
      tags,
      operationId: 'listHistory',
      summary: 'Medical history, newest first',
      security: security(read.access),
      params,
      querystring,
      response: answers({ 200: HistoryPage }, { ...read, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const id = request.params.id.toLowerCase();
      const page = await records.history.list(principalOf(request), id, pageOf(request.query));
      return reply.type(json).send(page);
    },
  });

  api.post('/v1/patients/:id/history', {
    config: written,
    schema: {
      tags,
      operationId: 'addHistoryEntry',
      summary: 'A new entry of the medical history',
      security: security(written.access),
      params,
      body: HistoryRequest,
      response: answers({ 201: HistoryEntry }, { ...written, refusals: [400, 404, 409, 413, 415] }),
    },
    handler: async (request, reply) => {
      const id = request.params.id.toLowerCase();
      const body = await records.history.add(principalOf(request), id, request.body);
      return reply.code(201).type(json).send(body);
    },
  });

  api.put('/v1/patients/:id/history/:entry', {
    config: written,
    schema: {
      tags,
      operationId: 'replaceHistoryEntry',
      summary: 'Replace an entry of the medical history; `revision` is of the one that was read',
      security: security(written.access),
      params: Type.Object({ id: Id, entry: Id }),
      body: HistoryRequest,
      response: answers({ 200: HistoryEntry }, { ...written, refusals: [400, 404, 409, 413, 415] }),
    },
    handler: async (request, reply) => {
      const place = { patientId: request.params.id.toLowerCase(), id: request.params.entry.toLowerCase() };
      return reply.type(json).send(await records.history.replace(principalOf(request), place, request.body));
    },
  });

  api.delete('/v1/patients/:id/history/:entry', {
    config: written,
    schema: {
      tags,
      operationId: 'removeHistoryEntry',
      summary: 'Remove an entry of the medical history',
      security: security(written.access),
      params: Type.Object({ id: Id, entry: Id }),
      response: answers({ 204: NoContent }, { ...written, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const place = { patientId: request.params.id.toLowerCase(), id: request.params.entry.toLowerCase() };
      await records.history.remove(principalOf(request), place);
      return reply.code(204).send(null);
    },
  });
}

function addNoteRoutes(api: Api, { records }: Options): void {
  api.get('/v1/patients/:id/notes', {
    config: read,
    schema: {
      tags,
      operationId: 'listNotes',
      summary: 'Notes, newest first',
      security: security(read.access),
      params,
      querystring,
      response: answers({ 200: NotePage }, { ...read, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const id = request.params.id.toLowerCase();
      const page = await records.notes.list(principalOf(request), id, pageOf(request.query));
      return reply.type(json).send(page);
    },
  });

  api.post('/v1/patients/:id/notes', {
    config: written,
    schema: {
      tags,
      operationId: 'addNote',
      summary: 'A new note',
      security: security(written.access),
      params,
      body: NoteRequest,
      response: answers({ 201: Note }, { ...written, refusals: [400, 404, 409, 413, 415] }),
    },
    handler: async (request, reply) => {
      const id = request.params.id.toLowerCase();
      const body = await records.notes.add(principalOf(request), id, request.body);
      return reply.code(201).type(json).send(body);
    },
  });

  api.put('/v1/patients/:id/notes/:note', {
    config: written,
    schema: {
      tags,
      operationId: 'replaceNote',
      summary: 'Replace a note; `revision` is of the one that was read',
      security: security(written.access),
      params: Type.Object({ id: Id, note: Id }),
      body: NoteRequest,
      response: answers({ 200: Note }, { ...written, refusals: [400, 404, 409, 413, 415] }),
    },
    handler: async (request, reply) => {
      const place = { patientId: request.params.id.toLowerCase(), id: request.params.note.toLowerCase() };
      return reply.type(json).send(await records.notes.replace(principalOf(request), place, request.body));
    },
  });

  api.delete('/v1/patients/:id/notes/:note', {
    config: written,
    schema: {
      tags,
      operationId: 'withdrawNote',
      summary: 'Take a note back; its text stays in its revisions',
      security: security(written.access),
      params: Type.Object({ id: Id, note: Id }),
      querystring: Type.Object(
        { revision: Type.Integer({ minimum: 1, description: 'of the note that was read' }) },
        { additionalProperties: false },
      ),
      response: answers({ 200: Note }, { ...written, refusals: [400, 404, 409] }),
    },
    handler: async (request, reply) => {
      const place = { patientId: request.params.id.toLowerCase(), id: request.params.note.toLowerCase() };
      const { revision } = request.query;
      return reply.type(json).send(await records.notes.withdraw(principalOf(request), place, revision));
    },
  });

  api.get('/v1/patients/:id/notes/:note/revisions', {
    config: written,
    schema: {
      tags,
      operationId: 'listNoteRevisions',
      summary: 'Every text that a note has had, newest first',
      security: security(written.access),
      params: Type.Object({ id: Id, note: Id }),
      response: answers({ 200: NoteRevisions }, { ...written, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const place = { patientId: request.params.id.toLowerCase(), id: request.params.note.toLowerCase() };
      return reply.type(json).send(await records.notes.revisions(principalOf(request), place));
    },
  });
}
