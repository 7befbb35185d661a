/**
 * Every route there is, from the OpenAPI document that the server makes of them, passes the same chain: request id,
 * overload, limits, authentication, validation, audit. A new route is covered by itself; one that is for everybody, or about
 * nobody, has to be put into a list below by whoever means it to be.
 */

import fc from 'fast-check';
import type { LightMyRequestResponse as Answer } from 'fastify';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { systemClock } from '#base/clock.ts';
import type { Api } from '#api/api-options.ts';
import type { Served } from '#api/overload.ts';
import { createRequestLimits, type RequestLimits } from '#api/request-limits.ts';
import type { Principal } from '#contract/principal.ts';
import { createRecordedAudit } from '#test/support/recorded-audit.ts';
import { principalNamed } from '#test/support/channel-api.ts';
import { createDescribedApi } from '../../scripts/generate.ts';

/** For anyone: documents and health, ways to sign in, and addresses that are WebSockets and say so. */
const publicRoutes = [
  /^GET \/(?:asyncapi|openapi|openapi-3\.2)\.json$/,
  /^GET \/(?:healthz|readyz|metrics)$/,
  /^GET \/v1\/about$/,
  /^POST \/v1\/account\/(?:invitations\/(?:accept|look)|links|password\/(?:forgot|reset)|second-factor|set-up|sign-in)$/,
  /^GET \/v1\/account\/options$/,
  /^POST \/v1\/demo\/sign-in$/,
  /^GET \/v1\/(?:device|live)$/,
];

/** For whoever shows who they are: the route's own rule does the rest. What of it is about a session is recorded by the channels. */
const anyonesRoutes = [
  /^GET \/v1\/account(?:\/sign-ins)?$/,
  /^[A-Z]+ \/v1\/channels\//,
  /^GET \/v1\/(?:events|poll)$/,
  /^POST \/v1\/tickets$/,
];

/** Devices send readings, which are stored with the device; people may not call these. */
const deviceRoutes = [/^POST \/v1\/readings$/];

interface Schema {
  readonly $ref?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly minItems?: number;
  readonly minProperties?: number;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
}

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly schema: Schema;
}

interface Operation {
  readonly 'x-kymo-access': string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  /** `GET /v1/sessions/{id}`. */
  readonly name: string;
  readonly access: string;
  readonly operation: Operation;
}

/** A hundred schemas are compiled. */
const START_MS = 30_000;

const owner: Principal = { ...principalNamed('anna'), kind: 'user', role: 'owner', permissions: null };
const device: Principal = { ...owner, kind: 'device', role: 'device' };

/** What the one server of these tests is given, as each test wants it. */
const audit = createRecordedAudit();
let limits: RequestLimits | null = null;
let served: Served = 'all';
let api: Api;
let document: Document;
let routes: Route[];

beforeAll(async () => {
  api = await createDescribedApi('1', {
    principals: {
      authenticate: async (key) => (key === 'device' ? device : key === 'owner' ? owner : null),
      authenticateSignIn: async () => null,
      channelGrant: async () => null,
    },
    audit,
    limits: {
      take: (kind, key) => limits?.take(kind, key) ?? null,
      sizeOf: () => 0,
      refused: { address: 0, user: 0, device: 0, organisation: 0 },
      counters: { untold: 0 },
      stop: () => undefined,
    },
    overload: {
      get served() {
        return served;
      },
      counters: { people: 0, devices: 0 },
      lateMs: 0,
      shed: () => undefined,
      stop: () => undefined,
    },
  });
  document = (await api.inject('/openapi.json')).json<Document>();
  routes = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase() as Route['method'],
      path,
      name: `${method.toUpperCase()} ${path}`,
      access: operation['x-kymo-access'],
      operation,
    })),
  );
}, START_MS);

beforeEach(() => {
  limits = null;
  served = 'all';
  audit.failure = null;
  audit.entries.length = 0;
});

afterAll(() => api.close());

const isOf = (patterns: readonly RegExp[], { name }: Route): boolean =>
  patterns.some((pattern) => pattern.test(name));

/** The smallest value of a schema that a server takes. */
function sampleOf(schema: Schema): unknown {
  if (schema.$ref !== undefined)
    return sampleOf(document.components.schemas[schema.$ref.split('/').at(-1)!]!);
  if (schema.const !== undefined) return schema.const;
  const first = schema.enum?.[0];
  if (first !== undefined) return first;
  const choice = (schema.anyOf ?? schema.oneOf)?.[0];
  if (choice !== undefined) return sampleOf(choice);
  switch ([schema.type].flat()[0]) {
    case 'object': {
      const named = Object.keys(schema.properties ?? {});
      const wanted = schema.required ?? [];
      const names =
        wanted.length >= (schema.minProperties ?? 0) ? wanted : named.slice(0, schema.minProperties);
      return Object.fromEntries(names.map((name) => [name, sampleOf(schema.properties![name]!)]));
    }
    case 'array':
      return Array.from({ length: schema.minItems ?? 0 }, () => sampleOf(schema.items!));
    case 'integer':
    case 'number':
      return Math.max(schema.minimum ?? 1, (schema.exclusiveMinimum ?? 0) + 1);
    case 'boolean':
      return true;
    case 'null':
      return null;
    default:
      return textOf(schema);
  }
}

/** Finding one takes milliseconds. */
const matching = new Map<string, string>();

function textOf({ format, pattern, minLength = 1, maxLength = 200 }: Schema): string {
  if (format === 'uuid') return '01900000-0000-7000-8000-0000000000c2';
  if (format === 'date-time') return '2026-01-02T03:04:05Z';
  if (format === 'date') return '2026-01-02';
  if (format === 'email') return 'a@example.org';
  if (format === 'uri' || format === 'url') return 'https://example.org/';
  if (pattern !== undefined) {
    const known = matching.get(pattern);
    if (known !== undefined) return known;
    const arbitrary = fc.stringMatching(new RegExp(pattern), { maxLength });
    const text = fc.sample(arbitrary, { numRuns: 1, seed: 7 })[0]!;
    matching.set(pattern, text);
    return text;
  }
  return 'a'.repeat(minLength);
}

interface CallOptions {
  readonly key?: string;
  readonly from?: string;
  /** Instead of a value that the schema allows. */
  readonly body?: unknown;
  readonly badPath?: boolean;
}

async function call(route: Route, options: CallOptions = {}): Promise<Answer> {
  const { parameters = [], requestBody } = route.operation;
  const value = ({ schema }: Parameter): string => encodeURIComponent(String(sampleOf(schema)));
  const inPath = parameters.filter((one) => one.in === 'path');
  const path = inPath.reduce(
    (text, one) => text.replace(`{${one.name}}`, options.badPath === true ? '%21%20!' : value(one)),
    route.path,
  );
  const query = parameters.filter((one) => one.in === 'query' && one.required === true);
  const schema = requestBody?.content['application/json']?.schema;
  const body = options.body ?? (schema === undefined ? undefined : sampleOf(schema));
  return api.inject({
    method: route.method,
    url: `${path}${query.length === 0 ? '' : `?${query.map((one) => `${one.name}=${value(one)}`).join('&')}`}`,
    ...(options.from === undefined ? {} : { remoteAddress: options.from }),
    headers: {
      ...(options.key === undefined ? {} : { authorization: `Bearer ${options.key}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
  });
}

const keyOf = ({ access }: Route): string => (access === 'device' ? 'device' : 'owner');

/** What came out, a line a route, to compare with what should have. */
async function outcomes(some: readonly Route[], act: (route: Route) => Promise<unknown>): Promise<string[]> {
  const lines: string[] = [];
  for (const route of some) lines.push(`${route.name}: ${String(await act(route))}`);
  return lines;
}

const all = (some: readonly Route[], outcome: string): string[] =>
  some.map(({ name }) => `${name}: ${outcome}`);

test('every route has a request id, and all but the listed ask who calls', async () => {
  expect(routes.length).toBeGreaterThan(100);
  const [open, closed] = [
    routes.filter((route) => isOf(publicRoutes, route)),
    routes.filter((route) => !isOf(publicRoutes, route)),
  ];
  expect(await outcomes(open, async ({ access }) => access)).toEqual(all(open, 'public'));
  const hasId = ({ headers }: Answer): boolean => /^[0-9a-f-]{36}$/.test(String(headers['x-request-id']));
  expect(await outcomes(open, async (route) => hasId(await call(route, { body: 'none' })))).toEqual(
    all(open, 'true'),
  );
  const asked = await outcomes(closed, async (route) => {
    const answer = await call(route);
    return `${answer.statusCode} ${hasId(answer)}`;
  });
  expect(asked).toEqual(all(closed, '401 true'));
});

test('every route that is not public is limited by who asks, and all but health and metrics by address', async () => {
  const numbers = { address: 1, user: 1, device: 1, organisation: 0 };
  limits = createRequestLimits({ numbers, clock: systemClock, shared: null });
  limits.take('user', `${owner.orgId}/${owner.subject}`);
  limits.take('device', device.subject);
  limits.take('address', '192.0.2.7');
  const refused = async (answer: Answer): Promise<string> =>
    `${answer.statusCode} ${Number(answer.headers['retry-after']) > 0}`;
  const closed = routes.filter(({ access }) => access !== 'public');
  expect(await outcomes(closed, async (route) => refused(await call(route, { key: keyOf(route) })))).toEqual(
    all(closed, '429 true'),
  );
  const counted = routes.filter(({ name }) => !/^GET \/(?:healthz|readyz|metrics)$/.test(name));
  expect(await outcomes(counted, async (route) => refused(await call(route, { from: '192.0.2.7' })))).toEqual(
    all(counted, '429 true'),
  );
});

test('every route that is not public gives way when there is too much to do, devices last', async () => {
  const closed = routes.filter(({ access }) => access !== 'public');
  const status = async (route: Route): Promise<number> => (await call(route, { key: 'nobody' })).statusCode;
  served = 'devices';
  expect(await outcomes(closed, status)).toEqual(
    closed.map(({ name, access }) => `${name}: ${access === 'device' ? 401 : 503}`),
  );
  served = 'none';
  expect(await outcomes(closed, status)).toEqual(all(closed, '503'));
});

test('every route checks what it is given', async () => {
  const named = await outcomes(routes, async ({ operation: { parameters = [] } }) =>
    parameters.filter((one) => one.in === 'path').map(({ name }) => name),
  );
  expect(named).toEqual(
    routes.map(
      ({ name, path }) => `${name}: ${[...path.matchAll(/\{([^}]+)\}/g)].map(([, one]) => one).join(',')}`,
    ),
  );
  const withId = routes.filter(({ path }) => path.includes('{id}'));
  const badIds = await outcomes(withId, async (route) => {
    const answer = await call(route, { key: keyOf(route), badPath: true });
    return answer.statusCode;
  });
  expect(badIds).toEqual(all(withId, '400'));
  const withBody = routes.filter(({ operation }) => operation.requestBody !== undefined);
  const badBodies = await outcomes(withBody, async (route) => {
    const answer = await call(route, { key: keyOf(route), body: 'neither object nor list' });
    return answer.statusCode;
  });
  expect(badBodies).toEqual(all(withBody, '400'));
});

/** Whose use says nothing about a patient: lists of devices, keys, people, rules and webhooks. */
const isAboutNobody = ({ method, access }: Route): boolean =>
  method === 'GET' && /^(?:organisation|device|key|retention|channel)\./.test(access);
const isChange = ({ method, access }: Route): boolean => method !== 'GET' && !access.endsWith('.read');
const listed = [...publicRoutes, ...anyonesRoutes, ...deviceRoutes];

test('every route about a patient’s data, and every one that changes something, is in the audit log', async () => {
  const first = async (route: Route): Promise<string> => {
    audit.entries.length = 0;
    const answer = await call(route, { key: keyOf(route) });
    const [entry] = audit.entries;
    if (entry === undefined) return `nothing (${answer.statusCode} ${answer.body.slice(0, 200)})`;
    const isWhole = entry.orgId === owner.orgId && entry.requestId === answer.headers['x-request-id'];
    return `${entry.route} ${entry.status === null ? 'before' : 'after'} ${isWhole}`;
  };
  const recorded = routes.filter((route) => !isOf(listed, route) && !isAboutNobody(route));
  expect(await outcomes(recorded, first)).toEqual(
    recorded.map((route) => {
      const pattern = route.name.replaceAll(/\{([^}]+)\}/g, ':$1');
      // What changes something is recorded before it begins.
      return `${route.name}: ${pattern} ${isChange(route) ? 'before' : 'after'} true`;
    }),
  );
});

test('no route changes anything that cannot be recorded', async () => {
  audit.failure = new AppError('store-unavailable', 'away', { temporary: true });
  const changing = routes.filter((route) => !isOf(listed, route) && isChange(route));
  const refused = await outcomes(changing, async (route) => {
    const answer = await call(route, { key: keyOf(route) });
    return answer.statusCode;
  });
  expect(refused).toEqual(all(changing, '503'));
});
