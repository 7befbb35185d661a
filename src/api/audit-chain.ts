/**
 * Owns that every access to patient data over HTTP is in the audit log: what a route declares for the guard (config.access
 * and config.subject) says what is recorded, so no handler can forget it. Reads are recorded before their answer leaves:
 * what cannot be recorded is not shown (503). Changes are recorded as about to be done before their handler runs, and with
 * their outcome after it, which nobody waits for: a change that was made is told to whoever made it.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import { auditLimits, type Audit, type AuditAction, type AuditEntry } from '#contract/audit.ts';
import type { Principal } from '#contract/principal.ts';
import { isAction, type Access, type Subject } from '#api/access.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose data it is, where the address does not say: set by the handler that knows. */
    auditedPatient: string | null;
    /** Whose data the answer lists, where the answer does not say (see `listedPatients`). */
    auditedPatients: readonly string[] | null;
    /** `begun`: a change is recorded as about to be done. `over`: nothing more is recorded. */
    auditState: 'none' | 'begun' | 'over';
  }
}

/** What is recorded of one route, made once. */
export interface AuditPlan {
  readonly action: AuditAction;
  readonly isChange: boolean;
  readonly route: string;
  /** Which parameter names the patient, and which the thing that it is about. */
  readonly patientParam: string | null;
  readonly thing: { readonly kind: string; readonly param: string } | null;
  /** Whose data the answer shows is read from the answer. */
  readonly isList: boolean;
}

/** Actions whose reading is about patients; of all others changes alone are recorded. */
const isAboutPatients = (action: string): boolean =>
  /^(patient|session|job|audit|window|protocol)\./.test(action);

/** Nothing was touched: malformed, not let in, or sent away by a limit. */
const untouched = new Set([400, 401, 405, 413, 414, 415, 422, 426, 429, 503]);

export function planOf(route: {
  readonly method: string;
  readonly url: string;
  readonly access: Access | undefined;
  readonly subject: Subject | undefined;
}): AuditPlan | null {
  const { method, url, access, subject = 'organisation' } = route;
  if (access === undefined) return null;
  const action = actionOf(access, route);
  // A search is sent by POST, so that what was looked for is in no address.
  const isChange = !['GET', 'HEAD', 'OPTIONS'].includes(method) && action?.endsWith('.read') !== true;
  if (action === null || (!isChange && !isAboutPatients(action))) return null;
  const params = [...url.matchAll(/([^/:]+)\/:([A-Za-z]+)/g)].map(([, kind, param]) => ({
    kind: kind!,
    param: param!,
  }));
  const patientParam = subject === 'patient' ? 'id' : null;
  // The recording of a session is what tells whose data it was, so that it goes before what is part of it.
  const named = ['session', 'stream', 'device', 'job'].includes(subject)
    ? { kind: subject, param: 'id' }
    : params.findLast(({ param }) => param !== patientParam);
  return {
    action,
    isChange,
    route: `${method} ${url}`,
    patientParam,
    thing: named ?? null,
    isList: !isChange && (subject === 'organisation' || subject === 'own'),
  };
}

/** Null: recorded elsewhere (channels: audited-channels.ts), or about nobody. */
function actionOf(access: Access, { method, url }: { method: string; url: string }): AuditAction | null {
  if (isAction(access)) return access;
  if (!url.startsWith('/v1/account')) return null;
  if (access === 'any' || access === 'person') return 'account.change';
  // Whoever it lets in is known when it is done: the handler sets request.principal.
  return access === 'public' && method === 'POST' ? 'account.sign-in' : null;
}

/** Adds the recording to all routes of `app` that come after it. Goes after the guard, which says who asks. */
export function auditRoutes(app: FastifyInstance, { audit, log }: { audit: Audit; log: Log }): void {
  const plans = new Map<string, AuditPlan>();
  app.decorateRequest('auditedPatient', null);
  app.decorateRequest('auditedPatients', null);
  app.decorateRequest('auditState', 'none');
  app.addHook('onRoute', ({ method, url, config }) => {
    for (const one of [method].flat()) {
      const plan = planOf({ method: one, url, access: config?.access, subject: config?.subject });
      if (plan !== null) plans.set(plan.route, plan);
    }
  });
  const findPlan = ({ method, routeOptions }: FastifyRequest): AuditPlan | undefined =>
    plans.get(`${method} ${routeOptions.url ?? ''}`);

  app.addHook('preHandler', async (request) => {
    const plan = findPlan(request);
    if (plan === undefined || !plan.isChange || request.principal === null) return;
    await audit.record(entryOf(plan, request, { principal: request.principal, status: null }));
    request.auditState = 'begun';
  });
  app.addHook('onSend', async (request, reply, payload) => {
    const plan = findPlan(request);
    const { principal, auditState } = request;
    if (plan === undefined || principal === null || auditState === 'over') return;
    if (auditState === 'none' && untouched.has(reply.statusCode)) return;
    request.auditState = 'over';
    const entry = entryOf(plan, request, { principal, status: reply.statusCode });
    const patients = plan.isList && reply.statusCode < 300 ? patientsOf(request, payload) : null;
    const recorded = audit.record(patients === null ? entry : { ...entry, patients });
    if (auditState === 'begun') {
      recorded.catch((cause: unknown) => tellUnrecorded(log, entry, cause));
      return;
    }
    try {
      await recorded;
    } catch (cause) {
      // What was refused anyway is told; what would show something is not.
      if (reply.statusCode >= 400) return tellUnrecorded(log, entry, cause);
      discard(payload);
      withdraw(reply);
      throw cause;
    }
  });
}

function entryOf(
  plan: AuditPlan,
  request: FastifyRequest,
  { principal, status }: { principal: Principal; status: number | null },
): AuditEntry {
  const params = request.params as Readonly<Record<string, string | undefined>>;
  const { kind, role, subject } = principal;
  const said = saidOf(request);
  const id = plan.thing === null ? undefined : params[plan.thing.param];
  const byAddress = plan.patientParam === null ? undefined : params[plan.patientParam];
  // Whose a recording or job is, the database knows: what the caller says beside its address would hide that.
  const bySaying = plan.thing !== null && isKnownByDatabase(plan.thing.kind) ? undefined : said.patient;
  return {
    orgId: principal.orgId,
    actor: { kind, role, subject },
    action: plan.action,
    route: plan.route,
    requestId: request.id,
    patientId: request.auditedPatient ?? byAddress ?? bySaying ?? null,
    resource:
      plan.thing !== null && id !== undefined
        ? { kind: plan.thing.kind, id }
        : said.session === undefined
          ? null
          : { kind: 'session', id: said.session },
    status,
    address: request.ip,
  };
}

/** kymo.audit_append looks up whose it is. */
function isKnownByDatabase(kind: string): boolean {
  return kind === 'session' || kind === 'stream' || kind === 'job';
}

/** Whom a request is about by what it says beside its address: `patient` or `session` of its query, body or job's input. */
function saidOf({ query, body }: FastifyRequest): { patient?: string; session?: string } {
  const found: { patient?: string; session?: string } = {};
  const input = (body as { readonly input?: unknown } | null | undefined)?.input;
  for (const said of [query, body, input]) {
    if (typeof said !== 'object' || said === null) continue;
    const { patient, patientId, session } = said as Readonly<Record<string, unknown>>;
    const named = patient ?? patientId;
    if (typeof named === 'string') found.patient = named;
    if (typeof session === 'string') found.session = session;
  }
  return found;
}

function patientsOf(request: FastifyRequest, payload: unknown): readonly string[] | null {
  if (request.auditedPatients !== null) return request.auditedPatients;
  return typeof payload === 'string' ? listedPatients(payload) : null;
}

const UUID_CHARACTERS = 36;

/**
 * Whose data a page of JSON shows: the ids of `{"patients":[{"id":...}]}`, and of any other page what stands after
 * `"patientId"`, `"patient"` or `"patient":{"id"`. Looked for in the text, since answers from the cache have no other form.
 */
export function listedPatients(text: string): readonly string[] | null {
  const markers = text.startsWith('{"patients":[')
    ? ['{"id":"']
    : ['"patientId":"', '"patient":"', '"patient":{"id":"'];
  const found = new Set<string>();
  for (const marker of markers)
    for (let at = text.indexOf(marker); at >= 0; at = text.indexOf(marker, at)) {
      if (found.size >= auditLimits.listedPatients) break;
      at += marker.length;
      found.add(text.slice(at, at + UUID_CHARACTERS));
    }
  return found.size === 0 ? null : [...found];
}

/** Headers of an answer that is not given must not describe the refusal. */
function withdraw(reply: FastifyReply): void {
  for (const name of [
    'set-cookie',
    'etag',
    'content-disposition',
    'last-modified',
    'content-encoding',
    'location',
  ])
    reply.removeHeader(name);
}

function discard(payload: unknown): void {
  if (typeof payload === 'object' && payload !== null && 'destroy' in payload)
    (payload as { destroy(): void }).destroy();
}

function tellUnrecorded(log: Log, entry: AuditEntry, cause: unknown): void {
  log.error('an outcome is missing in the audit log', {
    requestId: entry.requestId,
    route: entry.route,
    status: entry.status,
    error: messageOf(cause),
  });
}
