/**
 * Owns windows as those see them who derive something from them: pages in the order of changes, the readings of one, and
 * results that are written as often as one likes and stay the same. Each call is under row-level security. A cursor says of
 * which state of the database it is: after a restore changes are numbered anew, and following begins at the first window.
 */

import type { SessionWindow, WindowPage, WindowResult } from '#contract/windows.ts';
import type { Axis } from '#protocol/messages.ts';
import { runAsOrg, type RolePool, type Statement } from '#store/pools.ts';
import { WINDOW_US } from '#store/window-grid.ts';
import {
  createWindowReader,
  windowRows,
  windowsStatement,
  type StreamReadings,
} from '#store/window-reader.ts';

export interface WindowName {
  readonly sessionId: string;
  readonly startUs: number;
}

/** A stream and its readings in one window. */
export interface WindowStream {
  readonly stream: string;
  readonly segment: string;
  readonly sensor: string;
  readonly rateHz: number;
  readonly axes: readonly Axis[];
  readonly readings: StreamReadings;
}

export interface NewResult extends WindowName {
  readonly algorithm: string;
  readonly version: number;
  readonly revision: number;
  /** JSON. */
  readonly payload: string;
}

/** `other`: another result is stored for the same revision. `newer`: of a revision that the window has not reached. */
export type ResultOutcome = 'stored' | 'same' | 'outdated' | 'other' | 'newer' | 'not-found';

export interface WindowQueries {
  /** Null when the cursor is none. `after` null: from the first on. */
  page(
    orgId: string,
    query: { readonly after: string | null; readonly limit: number; readonly sessionId: string | null },
  ): Promise<WindowPage | null>;
  /** The number of the newest change of the organisation's windows. */
  newest(orgId: string): Promise<number>;
  /**
   * Null: there is no such window. `too-many`: more values than `maxValues`. `dropped`: its readings are stored no longer.
   */
  readings(
    orgId: string,
    name: WindowName,
    maxValues: number,
  ): Promise<
    | { readonly window: SessionWindow; readonly streams: readonly WindowStream[] }
    | 'too-many'
    | 'dropped'
    | null
  >;
  store(orgId: string, result: NewResult): Promise<ResultOutcome>;
  /** Newest version of each window's result, in the order of time. */
  results(
    orgId: string,
    query: {
      readonly sessionId: string;
      readonly algorithm: string;
      readonly version: number | null;
      readonly fromUs: number;
      readonly limit: number;
    },
  ): Promise<readonly WindowResult[]>;
}

interface WindowRowText {
  readonly session_id: string;
  readonly start_us: string;
  readonly revision: number;
  readonly is_settled: boolean;
  readonly readings: string;
  readonly change: string;
}

function windowOf(row: Omit<WindowRowText, 'change'>): SessionWindow {
  const startUs = Number(row.start_us);
  return {
    session: row.session_id,
    startUs,
    endUs: startUs + WINDOW_US,
    revision: row.revision,
    isSettled: row.is_settled,
    readings: Number(row.readings),
  };
}

export function createWindowQueries(app: RolePool): WindowQueries {
  const read = async (orgId: string, ...statements: Statement[]): Promise<unknown[][]> =>
    (await runAsOrg(app, orgId, { statements, mode: 'snapshot' })).map(({ rows }) => rows as unknown[]);
  return {
    async page(orgId, { after, limit, sessionId }) {
      const cursor = after === null ? { state: null, change: 0 } : parseCursor(after);
      if (cursor === null) return null;
      const [states, rows] = await read(orgId, stateStatement, pageStatement(cursor, { limit, sessionId }));
      const state = (states![0] as { state: string }).state;
      const found = rows as WindowRowText[];
      const isReset = cursor.state !== null && cursor.state !== state;
      const change = found.at(-1)?.change ?? String(isReset ? 0 : cursor.change);
      return { windows: found.map(windowOf), next: `${state}.${change}`, isReset };
    },
    async newest(orgId) {
      const text = 'select newest::text from kymo.window_counter where org_id = $1';
      const [rows] = await read(orgId, { name: 'windows-newest', text, values: [orgId] });
      return Number((rows![0] as { newest: string } | undefined)?.newest ?? 0);
    },
    async readings(orgId, name, maxValues) {
      const [streamRows, rows] = await read(
        orgId,
        layoutsStatement(name.sessionId),
        windowsStatement(name.sessionId, name.startUs, 1),
      );
      const [window] = windowRows(rows!);
      if (window?.startUs !== name.startUs) return null;
      const layouts = new Map((streamRows as LayoutRow[]).map((row) => [row.id, row]));
      const values = window.spans.reduce(
        (sum, { streamId, seqs }) =>
          sum +
          seqs.reduce((n, { from, to }) => n + to - from, 0) *
            (1 + (layouts.get(streamId)?.axes.length ?? 0)),
        0,
      );
      if (values > maxValues) return 'too-many';
      const reader = createWindowReader(async (statement) => (await read(orgId, statement))[0]!, {
        layoutOf(streamId) {
          const layout = layouts.get(streamId);
          return layout === undefined ? null : { ...layout, axisCount: layout.axes.length };
        },
        windows: [window],
      });
      const streams = await reader.read(window);
      if (streams === null) return 'dropped';
      return {
        window: {
          session: name.sessionId,
          startUs: window.startUs,
          endUs: window.startUs + WINDOW_US,
          revision: window.revision,
          isSettled: window.isSettled,
          readings: window.readings,
        },
        streams: streams.map((readings) => {
          const { id, segment, sensor, rate_hz: rateHz, axes } = layouts.get(readings.streamId)!;
          return { stream: id, segment, sensor, rateHz, axes, readings };
        }),
      };
    },
    async store(orgId, result) {
      const [stored, standing] = await runAsOrg(app, orgId, {
        statements: [storeStatement(orgId, result), afterStatement(result)],
        mode: 'change',
      });
      if ((stored?.rowCount ?? 0) > 0) return 'stored';
      const row = standing?.rows[0] as
        | { window_revision: number; revision: string | null; same: boolean | null }
        | undefined;
      if (row === undefined) return 'not-found';
      if (result.revision > row.window_revision) return 'newer';
      if (result.revision < row.window_revision || Number(row.revision) !== result.revision)
        return 'outdated';
      return row.same === true ? 'same' : 'other';
    },
    async results(orgId, query) {
      const [rows] = await read(orgId, resultsStatement(query));
      return (
        rows as (Omit<WindowRowText, 'change' | 'readings' | 'revision'> & {
          algorithm: string;
          version: number;
          revision: string;
          is_current: boolean;
          payload: string;
        })[]
      ).map((row) => ({
        session: row.session_id,
        startUs: Number(row.start_us),
        endUs: Number(row.start_us) + WINDOW_US,
        algorithm: row.algorithm,
        version: row.version,
        revision: Number(row.revision),
        isCurrent: row.is_current,
        isSettled: row.is_settled,
        result: JSON.parse(row.payload) as unknown,
      }));
    },
  };
}

interface Cursor {
  /** Of the database; null: any. */
  readonly state: string | null;
  readonly change: number;
}

function parseCursor(text: string): Cursor | null {
  const match = /^([0-9a-f]{8})\.(\d{1,16})$/.exec(text);
  const change = Number(match?.[2]);
  return match === null || !Number.isSafeInteger(change) ? null : { state: match[1]!, change };
}

const stateStatement: Statement = {
  name: 'windows-state',
  text: 'select left(incarnation::text, 8) as state from kymo.server',
};

function pageStatement(
  { state, change }: Cursor,
  { limit, sessionId }: { limit: number; sessionId: string | null },
): Statement {
  return {
    name: 'windows-page',
    text: `select session_id, start_us::text, revision, is_settled, readings::text, change::text
      from kymo.session_window
     where revision > 0 and org_id = kymo.current_org() and ($4::uuid is null or session_id = $4)
       and change > (select case when $1::text is null or left(v.incarnation::text, 8) = $1 then $2::int8 else 0 end
                       from kymo.server v)
     order by change limit $3`,
    values: [state, change, limit, sessionId],
  };
}

interface LayoutRow {
  readonly id: string;
  readonly segment: string;
  readonly sensor: string;
  readonly rate_hz: number;
  readonly axes: readonly Axis[];
  readonly encoding: 'float32' | 'int16';
  readonly scale: readonly number[] | null;
}

function layoutsStatement(sessionId: string): Statement {
  return {
    name: 'windows-layouts',
    text: 'select id, segment, sensor, rate_hz, axes, encoding, scale from kymo.stream where session_id = $1',
    values: [sessionId],
  };
}

/** Stores it when the window has this revision, and nothing of this or a newer revision is there. */
function storeStatement(orgId: string, result: NewResult): Statement {
  return {
    name: 'windows-store-result',
    text: `insert into kymo.window_result as r (org_id, session_id, algorithm, version, start_us, revision, payload)
      select $1, w.session_id, $4, $5, w.start_us, $6::bigint, $7 from kymo.session_window w
       where w.session_id = $2 and w.start_us = $3 and w.revision = $6::bigint
      on conflict (session_id, algorithm, version, start_us) do update
        set revision = excluded.revision, payload = excluded.payload, made_at = now()
      where r.revision < excluded.revision`,
    values: [
      orgId,
      result.sessionId,
      result.startUs,
      result.algorithm,
      result.version,
      result.revision,
      result.payload,
    ],
  };
}

function afterStatement(result: NewResult): Statement {
  return {
    name: 'windows-after-result',
    text: `select w.revision as window_revision, r.revision::text as revision, r.payload = $5 as same
      from kymo.session_window w
      left join kymo.window_result r
        on r.session_id = w.session_id and r.start_us = w.start_us and r.algorithm = $3 and r.version = $4
     where w.session_id = $1 and w.start_us = $2 and w.revision > 0`,
    values: [result.sessionId, result.startUs, result.algorithm, result.version, result.payload],
  };
}

function resultsStatement(query: {
  readonly sessionId: string;
  readonly algorithm: string;
  readonly version: number | null;
  readonly fromUs: number;
  readonly limit: number;
}): Statement {
  return {
    name: 'windows-results',
    text: `select distinct on (r.start_us) r.session_id, r.start_us::text, r.algorithm, r.version, r.revision::text,
        r.payload, coalesce(w.revision = r.revision, false) as is_current, coalesce(w.is_settled, false) as is_settled
      from kymo.window_result r
      left join kymo.session_window w on w.session_id = r.session_id and w.start_us = r.start_us
     where r.session_id = $1 and r.algorithm = $2 and ($3::int is null or r.version = $3) and r.start_us >= $4
     order by r.start_us, r.version desc limit $5`,
    values: [query.sessionId, query.algorithm, query.version, query.fromUs, query.limit],
  };
}
