/** Owns a paged list of records that are no table: what loads keeps its place, what there is none of is said, and more. */

import { Button, Skeleton } from '@mantine/core';
import type { ReactNode } from 'react';

import type { Pages } from '#web/list/pages-query.ts';
import { ProblemNotice } from '#web/page-states.tsx';

export interface PlainPagesProps<Row> {
  readonly pages: Pages<Row>;
  readonly keyOf: (row: Row) => string;
  readonly empty: string;
  readonly children: (row: Row) => ReactNode;
}

export function PlainPages<Row>({ pages, keyOf, empty, children }: PlainPagesProps<Row>) {
  const { rows, loadingError } = pages;
  if (loadingError !== null) return <ProblemNotice error={loadingError} retry={pages.retry} />;
  if (rows === undefined) return <Skeleton height={48} mt={12} animate={false} />;
  if (rows.length === 0) return <p className="muted list-note">{empty}</p>;
  return (
    <>
      <ul className="plain-list">
        {rows.map((row) => (
          <li key={keyOf(row)}>{children(row)}</li>
        ))}
      </ul>
      {pages.hasMore && (
        <Button variant="default" size="xs" loading={pages.isLoadingMore} onClick={pages.more}>
          Show older
        </Button>
      )}
    </>
  );
}
