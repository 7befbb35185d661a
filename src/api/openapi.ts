/**
 * Owns the OpenAPI 3.1 document: made from the very schemas that requests are checked against, collected as routes are
 * added, so it cannot say what the server does not do. Schemas with an `$id` become components and are referred to.
 */

import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify';

import { assert } from '#base/assert.ts';
import { isAction } from '#api/access.ts';

/** What a route's schema says beside what Fastify checks. */
declare module 'fastify' {
  interface FastifySchema {
    readonly tags?: readonly string[];
    readonly operationId?: string;
    readonly summary?: string;
    readonly description?: string;
    readonly security?: readonly Readonly<Record<string, readonly string[]>>[];
    /** Media types of the success, where it is not JSON alone. */
    readonly produces?: readonly string[];
    /** Of an event stream: what its `data` is. */
    readonly events?: object;
    /** Of a WebSocket: its subprotocol, and the messages of the client and of the server. */
    readonly socket?: { readonly subprotocol: string; readonly sends: object; readonly receives: object };
  }
}

export interface JsonSchema {
  readonly [key: string]: unknown;
}

type Documented = RouteOptions & { readonly method: string };

export interface OpenApi {
  /** The document as it stands; whole once all routes are added. 3.2 says what the events of a stream look like. */
  document(version?: SpecificationVersion): JsonSchema;
}

type SpecificationVersion = '3.1.0' | '3.2.0';

/** Follows the routes that are added to `app` from now on. Routes without an operationId (the web page) are left out. */
export function describeRoutes(app: FastifyInstance, version: string): OpenApi {
  const routes: Documented[] = [];
  app.addHook('onRoute', (route) => {
    // Fastify adds a HEAD for every GET; it says nothing new.
    if (
      route.schema?.operationId !== undefined &&
      typeof route.method === 'string' &&
      route.method !== 'HEAD'
    )
      routes.push(route as Documented);
  });
  return { document: (specification = '3.1.0') => buildDocument(routes, { version, specification }) };
}

const securitySchemes = {
  signIn: {
    type: 'apiKey',
    in: 'cookie',
    name: 'kymo.session',
    description:
      'The cookie of a person who signed in (docs/accounts.md); behind TLS its name begins with `__Host-`. What changes something also needs an Origin of this server.',
  },
  accessKey: {
    type: 'http',
    scheme: 'bearer',
    description:
      'A key of a person or program that reads (`ka_...`); scope `admin` also manages devices and keys, scope `server` publishes and vouches for users.',
  },
  deviceKey: { type: 'http', scheme: 'bearer', description: 'The key of a device (`kd_...`).' },
  ticket: {
    type: 'apiKey',
    in: 'query',
    name: 'ticket',
    description: 'A ticket of POST /v1/tickets, used once; for what can send no header.',
  },
  token: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'A token of a back end that this server trusts (docs/tokens.md).',
  },
};

interface DocumentOptions {
  /** Of the server. */
  readonly version: string;
  readonly specification: SpecificationVersion;
}

function buildDocument(
  routes: readonly Documented[],
  { version, specification }: DocumentOptions,
): JsonSchema {
  const schemas = new Map<string, JsonSchema>();
  const paths: Record<string, Record<string, JsonSchema>> = {};
  for (const route of routes.toSorted((a, b) => compareTexts(a.url, b.url))) {
    const path = route.url.replaceAll(/:(\w+)/g, '{$1}');
    const operations = (paths[path] ??= {});
    operations[route.method.toLowerCase()] = describeOperation(route, {
      specification,
      byName: (schema) => refer(schema, schemas),
    });
  }
  return {
    openapi: specification,
    info: {
      title: 'Kymo',
      version,
      description:
        'Sessions, streams and readings over HTTP. Devices stream over the WebSocket /v1/device, viewers watch over ' +
        '/v1/live (docs/protocol.md). Failures are problem details (RFC 9457) with a stable `code`.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    paths,
    components: {
      schemas: Object.fromEntries([...schemas].toSorted(([a], [b]) => compareTexts(a, b))),
      securitySchemes,
    },
  };
}

/** Which permission a route takes, and what its `id` names (contract/permissions.ts). */
function permissionOf({ config }: Documented): JsonSchema {
  const { access, subject = 'organisation' } = config ?? {};
  assert(access !== undefined, 'a route says who may call it');
  return { 'x-kymo-access': access, ...(isAction(access) ? { 'x-kymo-subject': subject } : {}) };
}

interface OperationContext {
  readonly specification: SpecificationVersion;
  readonly byName: (schema: JsonSchema) => JsonSchema;
}

function describeOperation(route: Documented, { byName, specification }: OperationContext): JsonSchema {
  const { schema } = route;
  assert(schema !== undefined, 'a documented route has a schema');
  const parameters = [
    ...describeParameters(schema.params as JsonSchema | undefined, 'path'),
    ...describeParameters(schema.querystring as JsonSchema | undefined, 'query'),
    ...describeParameters(schema.headers as JsonSchema | undefined, 'header'),
  ];
  const responses = Object.entries(schema.response as Record<string, JsonSchema>).map(([status, answer]) => [
    status,
    describeAnswer(answer, {
      byName,
      specification,
      events: schema.events as JsonSchema | undefined,
      types: typesOf(answer, Number(status) < 400 ? schema.produces : undefined),
    }),
  ]);
  return {
    tags: schema.tags,
    operationId: schema.operationId,
    summary: schema.summary,
    ...(schema.description === undefined ? {} : { description: schema.description }),
    security: schema.security ?? [],
    ...permissionOf(route),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(schema.body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: byName(schema.body as JsonSchema) } },
          },
        }),
    responses: Object.fromEntries(responses) as JsonSchema,
    ...(schema.socket === undefined ? {} : { 'x-websocket': describeSocket(schema.socket, byName) }),
  };
}

/** OpenAPI has no words for what flows after an upgrade; AsyncAPI has. */
function describeSocket(
  { subprotocol, sends, receives }: NonNullable<FastifySchema['socket']>,
  byName: OperationContext['byName'],
): JsonSchema {
  return {
    subprotocol,
    clientMessages: byName(sends as JsonSchema),
    serverMessages: byName(receives as JsonSchema),
  };
}

function typesOf(answer: JsonSchema, produces: readonly string[] | undefined): readonly string[] {
  return produces ?? [answer['$id'] === 'Problem' ? 'application/problem+json' : 'application/json'];
}

interface AnswerContext extends OperationContext {
  readonly types: readonly string[];
  readonly events: JsonSchema | undefined;
}

function describeAnswer(answer: JsonSchema, context: AnswerContext): JsonSchema {
  const { description, ...schema } = answer;
  if (schema['type'] === 'null') return { description };
  const describeContent = (type: string): JsonSchema => {
    if (type === binaryType) return { schema: { type: 'string', format: 'binary' } };
    if (type === eventStreamType) return describeEvents(context);
    return { schema: context.byName(schema) };
  };
  const content = context.types.map((type) => [type, describeContent(type)]);
  return { description: description ?? 'Success.', content: Object.fromEntries(content) as JsonSchema };
}

export const binaryType = 'application/octet-stream';
export const eventStreamType = 'text/event-stream';

/** 3.2 describes one event; 3.1 has words for a whole text only, so the schema says what the data of an event is. */
function describeEvents({ events, byName, specification }: AnswerContext): JsonSchema {
  assert(events !== undefined, 'an event stream says what its events are');
  const data = { type: 'string', contentMediaType: 'application/json', contentSchema: byName(events) };
  if (specification === '3.1.0') return { schema: data };
  const properties = {
    id: { type: 'string', description: 'the cursor' },
    event: { type: 'string', description: 'the type of the message' },
    data,
    retry: { type: 'integer', minimum: 0 },
  };
  return { itemSchema: { type: 'object', required: ['data'], properties } };
}

function describeParameters(
  schema: JsonSchema | undefined,
  place: 'path' | 'query' | 'header',
): JsonSchema[] {
  const required = (schema?.['required'] ?? []) as readonly string[];
  return Object.entries((schema?.['properties'] ?? {}) as Record<string, JsonSchema>).map(
    ([name, { description, ...property }]) => ({
      name,
      in: place,
      required: required.includes(name),
      ...(description === undefined ? {} : { description }),
      schema: property,
    }),
  );
}

/** A copy of `schema` in which every part with an `$id` is a component. */
export function refer(schema: JsonSchema, schemas: Map<string, JsonSchema>): JsonSchema {
  const { $id, ...rest } = schema;
  const copied = Object.entries(rest).map(([key, value]) => [key, referValue(value, schemas)]);
  const whole = describeTuple(Object.fromEntries(copied));
  if (typeof $id !== 'string') return whole;
  schemas.set($id, whole);
  return { $ref: `#/components/schemas/${$id}` };
}

function referValue(value: unknown, schemas: Map<string, JsonSchema>): unknown {
  if (Array.isArray(value)) return value.map((item: unknown) => referValue(item, schemas));
  return typeof value === 'object' && value !== null ? refer(value as JsonSchema, schemas) : value;
}

/** TypeBox writes tuples as JSON Schema draft 7 did; OpenAPI 3.1 speaks 2020-12. */
function describeTuple(schema: JsonSchema): JsonSchema {
  const { items, additionalItems, ...rest } = schema;
  if (!Array.isArray(items)) return schema;
  assert(additionalItems === false, 'a tuple is closed');
  return { ...rest, prefixItems: items as unknown, items: false };
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
