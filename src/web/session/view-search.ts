/**
 * Owns the search part of a session's address: the time window and the selected stream of the live view, the range of
 * the review restore the same view.
 */

export const WINDOW_SECONDS = [5, 10, 30] as const;
export type WindowSeconds = (typeof WINDOW_SECONDS)[number];
export const DEFAULT_WINDOW: WindowSeconds = 10;

export interface ViewSearch {
  /** Left out for the default. */
  readonly window?: WindowSeconds;
  /** Id of the selected stream. */
  readonly stream?: string;
  /** What is stored of a session that goes on; one that has ended is always shown so. */
  readonly view?: 'stored' | undefined;
  /** What the review shows, in microseconds; left out for the whole. */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  /** Scaled to what is shown. */
  readonly fit?: true | undefined;
  /** Group of angles (motion/angle-groups.ts); left out for the first. */
  readonly angles?: string | undefined;
  readonly motion?: 'hidden' | undefined;
  /** Order of the table of strides (motion/stride-rows.ts). */
  readonly strides?: string | undefined;
}

/** What is not understood is left out rather than refused: an old link still opens. */
export function parseViewSearch(search: Readonly<Record<string, unknown>>): ViewSearch {
  const seconds = WINDOW_SECONDS.find((candidate) => String(candidate) === String(search['window']));
  const stream = search['stream'];
  return {
    ...(seconds === undefined || seconds === DEFAULT_WINDOW ? {} : { window: seconds }),
    ...(typeof stream === 'string' && stream !== '' ? { stream } : {}),
    ...(search['view'] === 'stored' ? { view: 'stored' } : {}),
    ...parseRange(search),
    ...(String(search['fit']) === 'true' ? { fit: true } : {}),
    ...parseMotion(search),
  };
}

function parseMotion({
  angles,
  motion,
  strides,
}: Readonly<Record<string, unknown>>): Pick<ViewSearch, 'angles' | 'motion' | 'strides'> {
  return {
    ...(typeof angles === 'string' && /^[a-z0-9-]{1,40}$/.test(angles) ? { angles } : {}),
    ...(motion === 'hidden' ? { motion } : {}),
    ...(typeof strides === 'string' && /^-?[a-z]{1,20}$/.test(strides) ? { strides } : {}),
  };
}

/** Both ends or none. */
function parseRange(search: Readonly<Record<string, unknown>>): Pick<ViewSearch, 'from' | 'to'> {
  const [from, to] = [search['from'], search['to']].map((end) =>
    typeof end === 'number' || typeof end === 'string' ? Number(end) : Number.NaN,
  );
  if (from === undefined || to === undefined) return {};
  return Number.isSafeInteger(from) && Number.isSafeInteger(to) && from < to ? { from, to } : {};
}

/** The next longer (`+1`) or shorter (`-1`) window; the same at the ends. */
export function stepWindow(seconds: WindowSeconds, by: 1 | -1): WindowSeconds {
  return WINDOW_SECONDS[WINDOW_SECONDS.indexOf(seconds) + by] ?? seconds;
}
