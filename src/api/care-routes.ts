/** Owns what is written down of a patient over HTTP: medical history and notes. */

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
import { principalOf } from '#api/access.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import {
  addRecordRemoval,
  addRecordRoutes,
  json,
  placeOf,
  recordParams,
  tags,
  written,
} from '#api/record-routes.ts';
import { answers, security } from '#api/route-schemas.ts';

type Options = Pick<ApiOptions, 'records'>;

export function addCareRoutes(api: Api, options: Options): void {
  addHistoryRoutes(api, options);
  addNoteRoutes(api, options);
}

function addHistoryRoutes(api: Api, { records }: Options): void {
  const of = { path: 'history', param: 'entry', service: records.history };
  addRecordRoutes(api, {
    ...of,
    schemas: { page: HistoryPage, record: HistoryEntry, request: HistoryRequest },
    list: { id: 'listHistory', summary: 'Medical history, newest first' },
    add: { id: 'addHistoryEntry', summary: 'A new entry of the medical history' },
    replace: {
      id: 'replaceHistoryEntry',
      summary: 'Replace an entry of the medical history; `revision` is of the one that was read',
    },
  });
  addRecordRemoval(api, {
    ...of,
    remove: { id: 'removeHistoryEntry', summary: 'Remove an entry of the medical history' },
  });
}

// A note is taken back and not removed.
function addNoteRoutes(api: Api, { records }: Options): void {
  addRecordRoutes(api, {
    path: 'notes',
    param: 'note',
    service: records.notes,
    schemas: { page: NotePage, record: Note, request: NoteRequest },
    list: { id: 'listNotes', summary: 'Notes, newest first' },
    add: { id: 'addNote', summary: 'A new note' },
    replace: { id: 'replaceNote', summary: 'Replace a note; `revision` is of the one that was read' },
  });

  api.delete('/v1/patients/:id/notes/:note', {
    config: written,
    schema: {
      tags,
      operationId: 'withdrawNote',
      summary: 'Take a note back; its text stays in its revisions',
      security: security(written.access),
      params: recordParams('note'),
      querystring: Type.Object(
        { revision: Type.Integer({ minimum: 1, description: 'of the note that was read' }) },
        { additionalProperties: false },
      ),
      response: answers({ 200: Note }, { ...written, refusals: [400, 404, 409] }),
    },
    handler: async (request, reply) => {
      const { revision } = request.query;
      const body = await records.notes.withdraw(principalOf(request), placeOf(request, 'note'), revision);
      return reply.type(json).send(body);
    },
  });

  api.get('/v1/patients/:id/notes/:note/revisions', {
    config: written,
    schema: {
      tags,
      operationId: 'listNoteRevisions',
      summary: 'Every text that a note has had, newest first',
      security: security(written.access),
      params: recordParams('note'),
      response: answers({ 200: NoteRevisions }, { ...written, refusals: [400, 404] }),
    },
    handler: async (request, reply) =>
      reply.type(json).send(await records.notes.revisions(principalOf(request), placeOf(request, 'note'))),
  });
}
