/**
 * A comparison server: node:http and pg, without a framework, that answers the routes of bench/api/scenario.json by the same
 * number of queries. What it does: keys are looked up (and known for ten seconds), every statement names the organisation,
 * bodies are parsed and their fields checked by hand, every access is written to an audit table before its answer leaves, many
 * at once. With `--cache` answers are kept for a minute in this process and dropped by their patient. What it leaves out:
 * request limits, row-level security, revocation, security headers, metrics, problem details, a chain over the audit rows.
 *
 * Started by the benchmark: answers {"type": "ready", "port": N} on standard output, ends when standard input does.
 */

import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import pg from 'pg';

import { onCommand, say } from '#bench/support/control-channel.ts';
import { argumentOf } from '#bench/channels/peer-process.ts';

const file = new URL('./clinic-statements.json', import.meta.url);
const statements = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string | string[]>;
const KNOWN_MS = 10_000;
const KEPT_MS = 60_000;
const MAX_KEPT = 20_000;
const id = '([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})';

interface Person {
  readonly id: string;
  readonly orgId: string;
}

interface Asked {
  readonly person: Person;
  readonly id: string;
  readonly query: URLSearchParams;
  readonly body: Record<string, unknown>;
}

/** One row: the answer's text, and whose data is in it. */
type Row = { readonly body: string; readonly patients?: string[]; readonly patient_id?: string };

interface Route {
  readonly name: string;
  readonly method: string;
  readonly path: RegExp;
  readonly values: (asked: Asked) => unknown[] | null;
  /** Of what the answer is made; null: not kept. */
  readonly tag: ((asked: Asked) => string) | null;
  /** What the answer ends. */
  readonly ends?: (asked: Asked) => string;
  readonly about: (asked: Asked, row: Row) => string;
}

const words = (text: string): string[] =>
  [...new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu))].slice(0, 64);
const limitOf = (query: URLSearchParams): number =>
  Math.min(200, Math.max(1, Number(query.get('limit') ?? 50)));
const isText = (value: unknown, most: number): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= most;

const routes: Route[] = [
  {
    name: 'patient-page',
    method: 'GET',
    path: new RegExp(`^/v1/patients/${id}$`),
    values: ({ id: patient, person }) => [patient, person.orgId],
    tag: ({ id: patient }) => patient,
    about: ({ id: patient }) => patient,
  },
  {
    name: 'progress',
    method: 'GET',
    path: new RegExp(`^/v1/patients/${id}/progress$`),
    values: ({ id: patient, person, query }) => [
      patient,
      person.orgId,
      query.getAll('metric'),
      limitOf(query),
    ],
    tag: ({ id: patient }) => patient,
    about: ({ id: patient }) => patient,
  },
  {
    name: 'session-summary',
    method: 'GET',
    path: new RegExp(`^/v1/sessions/${id}/summary$`),
    values: ({ id: session, person }) => [session, person.orgId],
    tag: ({ id: session }) => session,
    about: (_asked, row) => row.patient_id ?? '',
  },
  {
    name: 'patient-list',
    method: 'GET',
    path: /^\/v1\/patients$/,
    values: ({ person, query }) => [person.orgId, limitOf(query)],
    tag: ({ person }) => `patients ${person.orgId}`,
    about: (_asked, row) => (row.patients ?? []).join(),
  },
  {
    name: 'session-list',
    method: 'GET',
    path: /^\/v1\/sessions$/,
    values: ({ person, query }) => [person.orgId, limitOf(query)],
    tag: ({ person }) => `sessions ${person.orgId}`,
    about: (_asked, row) => (row.patients ?? []).join(),
  },
  {
    name: 'search',
    method: 'POST',
    path: /^\/v1\/search$/,
    values: ({ person, body: { text } }) => (isText(text, 120) ? [person.orgId, text.toLowerCase()] : null),
    tag: null,
    about: () => '',
  },
  {
    name: 'note',
    method: 'POST',
    path: new RegExp(`^/v1/patients/${id}/notes$`),
    values: ({ id: patient, person, body: { text } }) =>
      isText(text, 20_000) ? [patient, person.orgId, randomUUID(), text, person.id, words(text)] : null,
    tag: null,
    about: ({ id: patient }) => patient,
  },
  {
    name: 'annotation',
    method: 'POST',
    path: new RegExp(`^/v1/sessions/${id}/annotations$`),
    values: ({ id: session, person, body: { kind, fromUs, toUs, text } }) =>
      isText(kind, 16) && Number.isSafeInteger(fromUs) && isText(text, 2_000)
        ? [session, person.orgId, randomUUID(), kind, fromUs, toUs ?? null, text, person.id]
        : null,
    tag: null,
    about: (_asked, row) => row.patient_id ?? '',
  },
  {
    name: 'consent',
    method: 'POST',
    path: new RegExp(`^/v1/patients/${id}/consents$`),
    values: ({ id: patient, person, body: { purpose, decision } }) =>
      isText(purpose, 16) && isText(decision, 16)
        ? [patient, person.orgId, randomUUID(), purpose, decision, person.id]
        : null,
    tag: null,
    ends: ({ id: patient }) => patient,
    about: ({ id: patient }) => patient,
  },
];

const pool = new pg.Pool({ connectionString: argumentOf('--database'), max: 6 });
const run = async (name: string, values: unknown[]): Promise<Row | undefined> => {
  const text = statements[name]!;
  const { rows } = await pool.query<Row>({
    name,
    text: Array.isArray(text) ? text.join('\n') : text,
    values,
  });
  return rows[0];
};

const known = new Map<string, { readonly person: Promise<Person | null>; readonly atMs: number }>();
async function personOf(authorization: string | undefined): Promise<Person | null> {
  const key = authorization?.startsWith('Bearer ') === true ? authorization.slice(7) : '';
  if (key === '') return null;
  const found = known.get(key);
  if (found !== undefined && performance.now() - found.atMs < KNOWN_MS) return found.person;
  const hash = createHash('sha256').update(key).digest();
  const person = run('sign-in', [hash]).then((row) => {
    const { id: subject, org_id: orgId } = (row ?? {}) as unknown as { id?: string; org_id?: string };
    return subject === undefined || orgId === undefined ? null : { id: subject, orgId };
  });
  known.set(key, { person, atMs: performance.now() });
  return person;
}

// Audit rows are collected while the insert before is under way.
type AuditRow = readonly [string, string, string, string, string, number, string];
let collected: { row: AuditRow; done: () => void; failed: (error: unknown) => void }[] = [];
let isWriting = false;
function audit(row: AuditRow): Promise<void> {
  return new Promise((done, failed) => {
    collected.push({ row, done, failed });
    if (!isWriting) void writeAudit();
  });
}
async function writeAudit(): Promise<void> {
  isWriting = true;
  await new Promise(setImmediate);
  while (collected.length > 0) {
    const batch = collected;
    collected = [];
    try {
      await run(
        'audit',
        [0, 1, 2, 3, 4, 5, 6].map((column) => batch.map(({ row }) => row[column])),
      );
      for (const { done } of batch) done();
    } catch (error) {
      for (const { failed } of batch) failed(error);
    }
  }
  isWriting = false;
}

const isCaching = process.argv.includes('--cache');
interface Kept {
  readonly row: Row;
  readonly tag: string;
  readonly change: number;
  readonly atMs: number;
}
const kept = new Map<string, Kept>();
const changes = new Map<string, number>();
async function answer(route: Route, path: string, asked: Asked): Promise<Row | undefined | null> {
  const values = route.values(asked);
  if (values === null) return null;
  if (!isCaching || route.tag === null) {
    const row = await run(route.name, values);
    const ended = route.ends?.(asked);
    if (ended !== undefined) {
      changes.set(ended, (changes.get(ended) ?? 0) + 1);
      changes.set(`patients ${asked.person.orgId}`, (changes.get(`patients ${asked.person.orgId}`) ?? 0) + 1);
    }
    return row;
  }
  const tag = route.tag(asked);
  const key = `${asked.person.orgId} ${path}`;
  const change = changes.get(tag) ?? 0;
  const found = kept.get(key);
  if (found !== undefined && found.change === change && performance.now() - found.atMs < KEPT_MS)
    return found.row;
  const atMs = performance.now();
  const row = await run(route.name, values);
  if (row !== undefined) {
    if (kept.size >= MAX_KEPT) kept.delete(kept.keys().next().value!);
    kept.set(key, { row, tag, change, atMs });
  }
  return row;
}

function send(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  if (request.method !== 'POST') return {};
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
}

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = '', url = '' } = request;
  const person = await personOf(request.headers.authorization);
  if (person === null) return send(response, 401, '{"code":"unauthenticated"}');
  const at = url.indexOf('?');
  const path = at < 0 ? url : url.slice(0, at);
  for (const route of routes) {
    const match = route.method === method ? route.path.exec(path) : null;
    if (match === null) continue;
    const query = new URLSearchParams(at < 0 ? '' : url.slice(at));
    const asked = { person, id: match[1] ?? '', query, body: await readBody(request) };
    const row = await answer(route, url, asked);
    const status =
      row === null ? 400 : row === undefined ? 404 : method === 'GET' || route.name === 'search' ? 200 : 201;
    const about = row === null || row === undefined ? '' : route.about(asked, row);
    await audit([person.orgId, person.id, route.name, path, about, status, randomUUID()]);
    return send(response, status, row?.body ?? '{"code":"not-found"}');
  }
  send(response, 404, '{"code":"not-found"}');
}

const server = createServer((request, response) => {
  handle(request, response).catch(() => send(response, 500, '{"code":"internal"}'));
});
server.keepAliveTimeout = 72_000;
server.listen(0, '127.0.0.1', 1024, () =>
  say({ type: 'ready', port: (server.address() as AddressInfo).port }),
);
onCommand(() => undefined);
