/** Owns the reading of a paged list: a page after the other by the server's cursor, the first ones refreshed. */

import { useInfiniteQuery, type UseQueryResult } from '@tanstack/react-query';

import { server } from '#web/server.ts';

/** A screen of rows; the next page is one button away. */
const PAGE_ROWS = 50;

export interface PagesQuery<Page, Row> {
  readonly key: readonly unknown[];
  /** With what is searched for, without `limit` and `cursor`. */
  readonly path: string;
  readonly rowsOf: (page: Page) => readonly Row[];
  readonly refreshMs?: number;
  readonly isEnabled?: boolean;
}

export interface Pages<Row> {
  /** Undefined until the first page has come. */
  readonly rows: readonly Row[] | undefined;
  /** The first page could not be had. */
  readonly loadingError: unknown;
  /** What is shown is older than it should be. */
  readonly isStale: boolean;
  readonly updatedAtMs: number;
  readonly hasMore: boolean;
  readonly isLoadingMore: boolean;
  more(): void;
  retry(): void;
}

/** `Page` has its cursor in `next`, as all lists of the contract do. */
export function usePages<Page extends { readonly next: string | null }, Row>(
  query: PagesQuery<Page, Row>,
): Pages<Row> & { readonly first: Page | undefined } {
  const { key, path, rowsOf, refreshMs, isEnabled = true } = query;
  const list = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam, signal }) => server.call<Page>('GET', pagePath(path, pageParam), { signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    enabled: isEnabled,
    // A list that is searched anew keeps what it showed until the answer is there.
    placeholderData: (before) => before,
    ...(refreshMs === undefined ? {} : { refetchInterval: refreshMs }),
  });
  return {
    rows: list.data?.pages.flatMap(rowsOf),
    first: list.data?.pages[0],
    loadingError: list.isLoadingError ? list.error : null,
    isStale: list.isRefetchError,
    updatedAtMs: list.dataUpdatedAt,
    hasMore: list.hasNextPage,
    isLoadingMore: list.isFetchingNextPage,
    more: () => void list.fetchNextPage(),
    retry: () => void list.refetch(),
  };
}

function pagePath(path: string, cursor: string | null): string {
  const parameters = new URLSearchParams({ limit: String(PAGE_ROWS) });
  if (cursor !== null) parameters.set('cursor', cursor);
  return `${path}${path.includes('?') ? '&' : '?'}${parameters.toString()}`;
}

/** A list that comes whole, as a table of pages takes it. */
export function pagesOf<Answer, Row>(
  query: UseQueryResult<Answer>,
  rowsOf: (answer: Answer) => readonly Row[],
): Pages<Row> {
  return {
    rows: query.data === undefined ? undefined : rowsOf(query.data),
    loadingError: query.isLoadingError ? query.error : null,
    isStale: query.isRefetchError,
    updatedAtMs: query.dataUpdatedAt,
    hasMore: false,
    isLoadingMore: false,
    more() {},
    retry: () => void query.refetch(),
  };
}
