/** Owns a table of records: its head, rows that keep their place while they load, what to do when there are none, and more. */

import { Button, Skeleton } from '@mantine/core';
import type { ReactNode } from 'react';

import { Instant } from '#web/list/instant.tsx';
import type { Pages } from '#web/list/pages-query.ts';
import { ProblemNotice } from '#web/page-states.tsx';

const SKELETON_ROWS = 3;

export interface Column<Row> {
  readonly head: string;
  readonly cell: (row: Row) => ReactNode;
  /** Figures stand at the right; what a phone has no room for is left out there. */
  readonly kind?: 'number' | 'wide-only' | 'actions';
}

export interface RecordTableProps<Row> {
  /** What the table holds, for who does not see it. */
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly pages: Pages<Row>;
  readonly keyOf: (row: Row) => string;
  /** Shown in place of the table: what there is none of, and the next step. */
  readonly empty: ReactNode;
}

export function RecordTable<Row>({ caption, columns, pages, keyOf, empty }: RecordTableProps<Row>) {
  const { rows, loadingError } = pages;
  if (loadingError !== null) return <ProblemNotice error={loadingError} retry={pages.retry} />;
  if (rows?.length === 0) return <div className="empty">{empty}</div>;
  return (
    <>
      {pages.isStale && (
        <p className="notice" role="status">
          This list is from <Instant at={new Date(pages.updatedAtMs).toISOString()} />. It is read again by
          itself.
        </p>
      )}
      <div className="list-scroll">
        <table className="list" aria-busy={rows === undefined}>
          <caption className="unseen">{caption}</caption>
          <thead>
            <tr>
              {columns.map(({ head, kind }) => (
                <th key={head} scope="col" className={kind}>
                  {kind === 'actions' ? <span className="unseen">{head}</span> : head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows === undefined
              ? Array.from({ length: SKELETON_ROWS }, (_, i) => (
                  <tr key={i}>
                    {columns.map(({ head, kind }) => (
                      <td key={head} className={kind}>
                        <Skeleton height={12} width={72} animate={false} />
                      </td>
                    ))}
                  </tr>
                ))
              : rows.map((row) => (
                  <tr key={keyOf(row)}>
                    {columns.map(({ head, kind, cell }) => (
                      <td key={head} className={kind}>
                        {cell(row)}
                      </td>
                    ))}
                  </tr>
                ))}
          </tbody>
        </table>
      </div>
      {pages.hasMore && (
        <div className="list-foot">
          <Button variant="default" loading={pages.isLoadingMore} onClick={pages.more}>
            Show more
          </Button>
        </div>
      )}
    </>
  );
}
