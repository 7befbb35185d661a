/** Owns the search part of a session's address: the time window and the selected stream restore the same view. */

export const WINDOW_SECONDS = [5, 10, 30] as const;
export type WindowSeconds = (typeof WINDOW_SECONDS)[number];
export const DEFAULT_WINDOW: WindowSeconds = 10;

export interface ViewSearch {
  /** Left out for the default. */
  readonly window?: WindowSeconds;
  /** Id of the selected stream. */
  readonly stream?: string;
}

/** What is not understood is left out rather than refused: an old link still opens. */
export function parseViewSearch(search: Readonly<Record<string, unknown>>): ViewSearch {
  const seconds = WINDOW_SECONDS.find((candidate) => String(candidate) === String(search['window']));
  const stream = search['stream'];
  return {
    ...(seconds === undefined || seconds === DEFAULT_WINDOW ? {} : { window: seconds }),
    ...(typeof stream === 'string' && stream !== '' ? { stream } : {}),
  };
}

/** The next longer (`+1`) or shorter (`-1`) window; the same at the ends. */
export function stepWindow(seconds: WindowSeconds, by: 1 | -1): WindowSeconds {
  return WINDOW_SECONDS[WINDOW_SECONDS.indexOf(seconds) + by] ?? seconds;
}
