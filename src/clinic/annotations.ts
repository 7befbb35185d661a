/**
 * Owns annotations on the time line of a session: points and spans with a kind and a text, changed and removed by their author
 * or an owner. Every change is kept as a revision, and told in the session's channel in the transaction that makes it. What is
 * sealed is changed only with a reason, which makes it amended. At most `visitLimits.annotations` stand in a session, and each has
 * at most `annotationLimits.revisions`.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { uuidv7 } from '#base/uuid.ts';
import { authorise } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import {
  visitLimits,
  type Annotation,
  type AnnotationChange,
  type AnnotationHistory,
  type AnnotationRemoval,
  type AnnotationRequest,
} from '#contract/visit.ts';
import { authorOf } from '#clinic/author.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import { sessionTags } from '#clinic/session-tags.ts';
import { refuseUnstorable } from '#clinic/stored-text.ts';
import { noSuchSession, outdated, ownOf } from '#clinic/visits.ts';
import { appendedOf, type AppendedRow } from '#store/channel-log.ts';
import { runAsOrg, type RolePool, type Statement } from '#store/pools.ts';

export const annotationLimits = {
  /** Of one annotation, as of a note; then it is removed, and another placed. Its history is one answer. */
  revisions: 200,
} as const;

export interface Annotations {
  /** AnnotationPage as JSON text, in the order of time. Null: `cursor` is not the `next` of a page. */
  list(
    principal: Principal,
    sessionId: string,
    page: { readonly limit: number; readonly cursor: string | null },
  ): Promise<string | null>;
  /** The same again under its id answers the same. Errors: `conflict` (sealed, planned, id taken), `limit-exceeded`. */
  place(principal: Principal, sessionId: string, request: AnnotationRequest): Promise<Annotation>;
  /** Errors: `not-found`, `forbidden` (somebody else's), `outdated`, `conflict` (sealed, and no reason), `limit-exceeded`. */
  change(principal: Principal, at: AnnotationAddress, change: AnnotationChange): Promise<Annotation>;
  /** As `change`. */
  remove(principal: Principal, at: AnnotationAddress, removal: AnnotationRemoval): Promise<void>;
  history(principal: Principal, at: AnnotationAddress): Promise<AnnotationHistory>;
}

export interface AnnotationAddress {
  readonly session: string;
  readonly id: string;
}

export interface AnnotationParts {
  readonly app: RolePool;
  readonly cache: Pick<ReadCache, 'read' | 'change'>;
  readonly clock: Clock;
  /** A message of `annotationChannel` has committed. */
  readonly announce: (
    of: { readonly orgId: string; readonly session: string },
    appended: ReturnType<typeof appendedOf>,
    payload: Uint8Array,
  ) => void;
}

export function annotationChannel(session: string): string {
  return `session/${session}/annotations`;
}

export function createAnnotations(parts: AnnotationParts): Annotations {
  const { app, cache, clock } = parts;
  /** Runs a statement that changes one; undefined: the session is not there. */
  const run = async (
    principal: Principal,
    session: string,
    work: { statement: Statement; reason?: string | undefined },
  ) => {
    const tags = [tagOf(session), ...(work.reason === undefined ? [] : sessionTags(session, []))];
    const [result] = await cache.change(principal.orgId, tags, () =>
      runAsOrg(app, principal, { statements: [work.statement], mode: 'change' }),
    );
    const row = result?.rows[0] as ChangedRow | undefined;
    if (row !== undefined && row.payload !== null)
      parts.announce({ orgId: principal.orgId, session }, appendedOf([row]), row.payload);
    return row;
  };
  const changed = async (
    principal: Principal,
    { session, id }: AnnotationAddress,
    work: { statement: Statement; reason?: string | undefined },
  ): Promise<Annotation> => {
    const row = await run(principal, session, work);
    if (row === undefined) throw noSuchSession();
    if (row.annotation === null)
      throw await refusalOf(parts, principal, {
        session,
        id,
        isUnreasoned: row.isSealed && work.reason === undefined,
      });
    return row.annotation;
  };
  return {
    async list(principal, session, page) {
      authorise(principal, 'session.read', ownOf(principal));
      const after = page.cursor === null ? null : parseCursor(page.cursor);
      if (page.cursor !== null && after === null) return null;
      const what = {
        name: 'annotations',
        query: `${session} ${page.limit} ${page.cursor ?? ''}`,
        tags: [tagOf(session)],
      };
      return cache.read(principal, what, async () => {
        const statements = [pageStatement(session, page.limit + 1, after)];
        const [result] = await runAsOrg(app, principal, { statements, mode: 'snapshot' });
        if (result?.rowCount !== 1) throw noSuchSession();
        return pageText((result.rows[0] as { rows: readonly PageRow[] }).rows, page.limit);
      });
    },
    async place(principal, session, request) {
      authorise(principal, 'session.write', null);
      check(request);
      const id = request.id?.toLowerCase() ?? uuidv7(clock);
      const statement = placeStatement(principal, { session, id }, request);
      const row = await run(principal, session, { statement, reason: request.reason });
      if (row === undefined) throw noSuchSession();
      if (row.annotation !== null) return row.annotation;
      const there = await find(parts, principal, { session, id });
      if (there !== null && isSame(there, request, principal)) return there;
      if (there !== null || (!row.isFull && !row.isPlanned && !isLocked(row, request)))
        throw new AppError('conflict', 'this id is taken', { field: '/id' });
      throw placeRefusal(row);
    },
    async change(principal, at, change) {
      authorise(principal, 'session.write', null);
      check(change);
      return changed(principal, at, {
        statement: changeStatement(principal, at, change),
        reason: change.reason,
      });
    },
    async remove(principal, at, removal) {
      authorise(principal, 'session.write', null);
      refuseUnstorable(removal);
      await changed(principal, at, {
        statement: changeStatement(principal, at, removal),
        reason: removal.reason,
      });
    },
    async history(principal, { session, id }) {
      authorise(principal, 'session.read', ownOf(principal));
      const [result] = await runAsOrg(app, principal, {
        statements: [historyStatement(session, id)],
        mode: 'snapshot',
      });
      const revisions = (result?.rows ?? []) as AnnotationHistory['revisions'];
      if (revisions.length === 0) throw noSuchAnnotation();
      return { revisions };
    },
  };
}

const tagOf = (session: string): string => `annotations:${session}`;

/** Of whatever changes one. `payload`: of the message that tells it; null: nothing was changed. */
interface ChangedRow extends AppendedRow {
  readonly annotation: Annotation | null;
  readonly payload: Buffer | null;
  readonly isPlanned: boolean;
  readonly isSealed: boolean;
  readonly isFull: boolean;
}

function check(content: AnnotationRequest | AnnotationChange): void {
  refuseUnstorable(content);
  if (content.toUs !== null && content.toUs <= content.fromUs)
    throw new AppError('invalid-field', 'a span ends after its beginning', { field: '/toUs' });
  if (content.kind !== 'artefact' && content.text.trim() === '')
    throw new AppError('invalid-field', 'an annotation says something', { field: '/text' });
}

function isSame(there: Annotation, asked: AnnotationRequest, principal: Principal): boolean {
  return (
    there.author === authorOf(principal) &&
    there.revision === 1 &&
    (['kind', 'fromUs', 'toUs', 'text'] as const).every((field) => there[field] === asked[field])
  );
}

function isLocked({ isSealed }: ChangedRow, { reason }: { readonly reason?: string | undefined }): boolean {
  return isSealed && reason === undefined;
}

function placeRefusal({ isPlanned, isSealed, isFull }: ChangedRow): AppError {
  if (isPlanned)
    return new AppError('conflict', 'nothing was recorded yet that an annotation could be about');
  if (isSealed && !isFull) return sealed();
  return new AppError('limit-exceeded', `a session has at most ${visitLimits.annotations} annotations`);
}

function sealed(): AppError {
  return new AppError('conflict', 'the session is sealed: say why in /reason, and it will be amended', {
    field: '/reason',
  });
}

function noSuchAnnotation(): AppError {
  return new AppError('not-found', 'there is no such annotation');
}

/** Owners, and keys that may do everything, keep order. */
function mayChangeAll({ role, permissions }: Principal): boolean {
  return role === 'owner' || (role === 'service' && permissions === null);
}

async function find(parts: AnnotationParts, principal: Principal, { session, id }: AnnotationAddress) {
  const statement = {
    name: 'annotation',
    text: `select ${annotationJson('a')} as annotation from kymo.annotation a
      where a.id = $1 and a.session_id = $2 and a.removed_at is null`,
    values: [id, session],
  };
  const [result] = await runAsOrg(parts.app, principal, { statements: [statement], mode: 'snapshot' });
  return (result?.rows[0] as { annotation: Annotation } | undefined)?.annotation ?? null;
}

/** Why nothing was changed. Asked only then. */
async function refusalOf(
  parts: AnnotationParts,
  principal: Principal,
  { isUnreasoned, ...at }: AnnotationAddress & { readonly isUnreasoned: boolean },
): Promise<AppError> {
  const there = await find(parts, principal, at);
  if (there === null) return noSuchAnnotation();
  if (!mayChangeAll(principal) && there.author !== authorOf(principal))
    return new AppError('forbidden', 'an annotation is changed by its author or an owner');
  if (isUnreasoned) return sealed();
  // Also when somebody else has made the last one meanwhile.
  if (there.revision >= annotationLimits.revisions)
    return new AppError(
      'limit-exceeded',
      `an annotation has at most ${annotationLimits.revisions} revisions: remove it, and place another`,
    );
  return outdated();
}

const annotationJson = (row: string): string =>
  `json_build_object('id', ${row}.id, 'session', ${row}.session_id, 'kind', ${row}.kind, 'fromUs', ${row}.from_us,
    'toUs', ${row}.to_us, 'text', ${row}.text, 'author', ${row}.author, 'revision', ${row}.revision,
    'createdAt', kymo.iso(${row}.created_at), 'updatedAt', kymo.iso(${row}.updated_at))`;

/**
 * The end of a statement whose `target` is the locked session and whose `changed` holds the annotation as it is now, or
 * nothing. Keeps the revision, marks a sealed session as amended, and tells the event in the channel. `$1` to `$4`: annotation,
 * session, who, why.
 */
function keptAndTold(event: 'placed' | 'changed' | 'removed', isFull: string): string {
  const data =
    event === 'removed' ? `json_build_object('id', c.id, 'revision', c.revision)` : annotationJson('c');
  return `kept as (
      insert into kymo.annotation_revision (annotation_id, revision, org_id, kind, from_us, to_us, text, is_removed, reason,
        made_at, made_by)
      select c.id, c.revision, c.org_id, c.kind, c.from_us, c.to_us, c.text, c.removed_at is not null, $4, c.updated_at, $3
        from changed c),
    amended as (
      update kymo.session s set amended_at = now() from target t, changed c where s.id = t.id and t.is_sealed),
    told as (
      select c.id, ${annotationJson('c')} as annotation, convert_to('{"event":"${event}","data":' || ${data}
             || ',"by":' || to_json(split_part($3, ':', 2)) || '}', 'UTF8') as payload
        from changed c)
    select t.is_planned as "isPlanned", t.is_sealed as "isSealed", ${isFull} as "isFull", n.*
      from target t
      left join lateral (
        select told.annotation, told.payload, a.* from told
         cross join lateral kymo.append_to_channel(t.org_id, 'session/' || t.id || '/annotations', told.payload, null) a
      ) n on true`;
}

// The session's row is held, so that sealing comes before or after.
const target = `target as (
  select s.id, s.org_id, s.is_planned, s.sealed_at is not null as is_sealed from kymo.session s
   where s.id = $2 for no key update)`;

function placeStatement(
  principal: Principal,
  { session, id }: AnnotationAddress,
  request: AnnotationRequest,
): Statement {
  const isFull = `(select count(*) from kymo.annotation o where o.session_id = t.id and o.removed_at is null) >= ${visitLimits.annotations}`;
  return {
    name: 'place-annotation',
    text: `with ${target},
      changed as (
        insert into kymo.annotation (id, org_id, session_id, kind, from_us, to_us, text, author)
        select $1, t.org_id, t.id, $5, $6, $7, $8, $3 from target t
         where not t.is_planned and (not t.is_sealed or $4::text is not null) and not ${isFull}
        on conflict do nothing returning *),
      ${keptAndTold('placed', isFull)}`,
    values: [id, session, authorOf(principal), request.reason ?? null, ...contentOf(request)],
  };
}

function changeStatement(
  principal: Principal,
  { session, id }: AnnotationAddress,
  change: AnnotationChange | AnnotationRemoval,
): Statement {
  const isRemoval = !('text' in change);
  const content = isRemoval ? 'removed_at = now()' : 'kind = $7, from_us = $8, to_us = $9, text = $10';
  return {
    name: isRemoval ? 'remove-annotation' : 'change-annotation',
    text: `with ${target},
      changed as (
        update kymo.annotation a set ${content}, revision = a.revision + 1, updated_at = now() from target t
         where a.id = $1 and a.session_id = t.id and a.removed_at is null and a.revision = $5 and ($6 or a.author = $3)
           and (not t.is_sealed or $4::text is not null) ${isRemoval ? '' : `and a.revision < ${annotationLimits.revisions}`}
        returning a.*),
      ${keptAndTold(isRemoval ? 'removed' : 'changed', 'false')}`,
    values: [
      id,
      session,
      authorOf(principal),
      change.reason ?? null,
      change.revision,
      mayChangeAll(principal),
      ...(isRemoval ? [] : contentOf(change)),
    ],
  };
}

function contentOf({ kind, fromUs, toUs, text }: AnnotationRequest | AnnotationChange): unknown[] {
  return [kind, fromUs, toUs, text];
}

interface PageRow {
  readonly annotation: Annotation;
}

function pageText(rows: readonly PageRow[], limit: number): string {
  const shown = rows.slice(0, limit).map(({ annotation }) => annotation);
  const last = shown.at(-1);
  const next = rows.length > limit && last !== undefined ? `${last.fromUs}.${last.id}` : null;
  return JSON.stringify({ annotations: shown, next });
}

interface Cursor {
  readonly fromUs: string;
  readonly id: string;
}

function parseCursor(text: string): Cursor | null {
  const match = /^(-?\d{1,16})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(text);
  return match === null ? null : { fromUs: match[1]!, id: match[2]! };
}

/** One row, when there is such a session. */
function pageStatement(session: string, limit: number, after: Cursor | null): Statement {
  const behind = after === null ? '' : 'and (a.from_us, a.id) > ($3::bigint, $4::uuid)';
  return {
    name: after === null ? 'annotations' : 'annotations-after',
    text: `select coalesce(l.rows, '[]') as rows from kymo.session s
      left join lateral (
        select json_agg(json_build_object('annotation', ${annotationJson('a')}) order by a.from_us, a.id) as rows
          from (select * from kymo.annotation a where a.session_id = s.id and a.removed_at is null ${behind}
                 order by a.from_us, a.id limit $2) a) l on true
      where s.id = $1`,
    values: after === null ? [session, limit] : [session, limit, after.fromUs, after.id],
  };
}

function historyStatement(session: string, id: string): Statement {
  return {
    name: 'annotation-history',
    text: `select r.revision, r.kind, r.from_us as "fromUs", r.to_us as "toUs", r.text, r.is_removed as "isRemoved", r.reason,
        kymo.iso(r.made_at) as "madeAt", r.made_by as "madeBy"
      from kymo.annotation a join kymo.annotation_revision r on r.annotation_id = a.id
      where a.id = $1 and a.session_id = $2 order by r.revision`,
    values: [id, session],
  };
}
