/**
 * Owns what records of a patient have in common over HTTP (history, notes, goals, programmes): listed newest first, added,
 * replaced by whoever read the newest revision, removed. All of it is below the patient's address, so that the guard and the
 * audit log know whose it is.
 */

import { Type, type Static, type TSchema } from 'typebox';

import type { RecordPlace, RevisedRecords } from '#clinic/revised-records.ts';
import { Id } from '#contract/rest.ts';
import { principalOf } from '#api/access.ts';
import type { Api } from '#api/api-options.ts';
import { answers, NoContent, security } from '#api/route-schemas.ts';
import { pageOf, pageQuery } from '#api/session-routes.ts';

export const tags = ['care'];
export const json = 'application/json';
export const read = { access: 'patient.read', subject: 'patient' } as const;
export const written = { access: 'patient.write', subject: 'patient' } as const;
export const pageQuerystring = Type.Object(pageQuery, { additionalProperties: false });

/** Operations as the API names them, and what they do in a line. */
interface Operation {
  readonly id: string;
  readonly summary: string;
}

interface RecordRoutes<Request extends TSchema> {
  /** Of the address, `/v1/patients/{id}/{path}/{param}`. */
  readonly path: string;
  readonly param: string;
  readonly list: Operation;
  readonly add: Operation;
  readonly replace: Operation;
  readonly schemas: { readonly page: TSchema; readonly record: TSchema; readonly request: Request };
  readonly service: Pick<RevisedRecords<Static<Request>>, 'list' | 'add' | 'replace'>;
}

/** Whose record, and which. */
export function placeOf({ params }: { readonly params: unknown }, param: string): RecordPlace {
  const { id, [param]: record } = params as Readonly<Record<string, string>>;
  return { patientId: id!.toLowerCase(), id: record!.toLowerCase() };
}

export function recordParams(param: string): TSchema {
  return Type.Object({ id: Id, [param]: Id });
}

const describe = ({ id, summary }: Operation, { access }: typeof read | typeof written) => ({
  tags,
  operationId: id,
  summary,
  security: security(access),
});

export function addRecordRoutes<Request extends TSchema>(api: Api, records: RecordRoutes<Request>): void {
  const { path, param, list, add, replace, schemas, service } = records;
  const params = Type.Object({ id: Id });
  const address = `/v1/patients/:id/${path}`;
  const refusals = [400, 404, 409, 413, 415] as const;

  api.get(address, {
    config: read,
    schema: {
      ...describe(list, read),
      params,
      querystring: pageQuerystring,
      response: answers({ 200: schemas.page }, { ...read, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const id = request.params.id.toLowerCase();
      return reply.type(json).send(await service.list(principalOf(request), id, pageOf(request.query)));
    },
  });

  api.post(address, {
    config: written,
    schema: {
      ...describe(add, written),
      params,
      body: schemas.request,
      response: answers({ 201: schemas.record }, { ...written, refusals }),
    },
    handler: async (request, reply) => {
      const id = request.params.id.toLowerCase();
      const body = await service.add(principalOf(request), id, request.body as Static<Request>);
      return reply.code(201).type(json).send(body);
    },
  });

  api.put(`${address}/:${param}`, {
    config: written,
    schema: {
      ...describe(replace, written),
      params: recordParams(param),
      body: schemas.request,
      response: answers({ 200: schemas.record }, { ...written, refusals }),
    },
    handler: async (request, reply) => {
      const body = request.body as Static<Request>;
      return reply
        .type(json)
        .send(await service.replace(principalOf(request), placeOf(request, param), body));
    },
  });
}

export function addRecordRemoval(
  api: Api,
  records: {
    readonly path: string;
    readonly param: string;
    readonly remove: Operation;
    readonly service: Pick<RevisedRecords<never>, 'remove'>;
  },
): void {
  const { path, param, remove, service } = records;
  api.delete(`/v1/patients/:id/${path}/:${param}`, {
    config: written,
    schema: {
      ...describe(remove, written),
      params: recordParams(param),
      response: answers({ 204: NoContent }, { ...written, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      await service.remove(principalOf(request), placeOf(request, param));
      return reply.code(204).send(null);
    },
  });
}
