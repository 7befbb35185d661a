/**
 * Owns pages of records that PostgreSQL writes as JSON: a row is one item's text and what the page after it begins behind.
 * Nothing is parsed and made into objects only to be written again, and a whole answer is one string, which a cache can
 * hold. Cursors are told apart by their form; what is none of the list's is refused.
 */

import { AppError } from '#base/errors.ts';
import { refusalOf } from '#clinic/refusals.ts';
import {
  runAsOrg,
  type OrgScope,
  type RolePool,
  type Statement,
  type TransactionMode,
} from '#store/pools.ts';

/** What a statement of a page or of a single record selects. */
export interface JsonRow {
  /** The item as JSON. */
  readonly body: string;
  /** What the page that begins behind this item is asked for with. */
  readonly cursor: string;
}

export interface PageRequest {
  readonly limit: number;
  /** `next` of the page before; null: the first page. */
  readonly cursor: string | null;
}

/** A page's text, of a statement that was asked for one row more than `limit`. */
export function pageText(key: string, rows: readonly JsonRow[], limit: number): string {
  const isLast = rows.length <= limit;
  const shown = isLast ? rows : rows.slice(0, limit);
  const next = isLast ? 'null' : JSON.stringify(shown.at(-1)!.cursor);
  return `{"${key}":[${shown.map((row) => row.body).join(',')}],"next":${next}}`;
}

const id = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const timePattern = new RegExp(`^(\\d{1,16})\\.(${id})$`);
const idPattern = new RegExp(`^${id}$`);

/** SQL of a cursor behind a row of a list by time, then id. */
export function timeCursorSql(time: string, key: string): string {
  return `(extract(epoch from ${time}) * 1000000)::bigint || '.' || ${key}`;
}

/** A parameter as `timeCursorSql` has written it: [microseconds since 1970, id]. */
export function parseTimeCursor(text: string): [number, string] {
  const match = timePattern.exec(text);
  if (match === null) throw invalidCursor();
  return [Number(match[1]), match[2]!];
}

/** SQL of the time of a cursor, of the parameter with the microseconds. */
export function cursorTimeSql(parameter: string): string {
  return `('epoch'::timestamptz + ${parameter}::bigint * interval '1 microsecond')`;
}

export function parseIdCursor(text: string): string {
  if (!idPattern.test(text)) throw invalidCursor();
  return text;
}

export function invalidCursor(): AppError {
  return new AppError('invalid-field', 'querystring /cursor is not the `next` of a page of this list', {
    field: '/cursor',
  });
}

/**
 * Rows of each statement, all in one round trip and one transaction on behalf of `scope`. Throws what is the asker's to mend
 * as AppError (refusals.ts).
 */
export async function rowsAsOrg<T>(
  app: RolePool,
  scope: OrgScope,
  work: { statements: readonly Statement[]; mode: TransactionMode },
): Promise<T[][]> {
  const results = await runAsOrg(app, scope, work).catch((error: unknown) => {
    throw refusalOf(error) ?? error;
  });
  return results.map(({ rows }) => rows as T[]);
}
