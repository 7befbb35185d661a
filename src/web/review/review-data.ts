/**
 * Owns what the review page fetches: of each stream the whole once, coarsely, and again when something was stored since;
 * tiles of what is on the screen, asked for when a movement pauses and at least every MAX_WAIT_MS during one.
 */

import type { Clock } from '#base/clock.ts';
import type { EnvelopeData } from '#contract/envelope.ts';
import type { EnvelopeQuery } from '#sdk/http-client.ts';
import { extentOf, shiftOf, storedPart, type Lane } from '#web/review/lane.ts';
import { coverRange, levelFor, TILE_COLUMNS, type Piece } from '#web/review/tile-grid.ts';
import { createTileStore, type TileStore, type TileWish } from '#web/review/tile-store.ts';
import { isWholeEnough, placesWanted, type WishedLane } from '#web/review/tile-wishes.ts';
import { spanOf, type TimeRange } from '#web/review/view-range.ts';
import type { EnvelopeTile } from '#web/review/envelope-tile.ts';

export type FetchEnvelope = (query: EnvelopeQuery, signal?: AbortSignal) => Promise<EnvelopeData>;

/** Columns of the whole: as many as a wide screen has. */
const WHOLE_COLUMNS = 1536;
/** A movement that pauses for this long has probably ended. */
const PAUSE_MS = 60;
const MAX_WAIT_MS = 200;
/** What is asked of a growing recording at most so often. */
const WHOLE_EVERY_MS = 5_000;
const RETRY_WHOLE_MS = 2_000;
/** Readings beyond each edge, so that lines enter and leave. */
const PADDING_PERIODS = 2;

export interface ReviewView {
  readonly range: TimeRange;
  readonly usPerPixel: number;
}

export interface ReviewData {
  readonly tiles: TileStore;
  /** Asks for the whole of a stream, unless that is under way or was done a moment ago. */
  askWhole(lane: Lane): void;
  /** The best there is to draw a lane with, in device time; null before the first answer. */
  piecesFor(lane: Lane, view: ReviewView): Piece<EnvelopeTile>[] | null;
  /** Tells what is on the screen now; the fetching follows. */
  look(lanes: readonly Lane[], view: ReviewView): void;
  /** Whether all of what is on the screen has come at its finest. */
  isComplete(lanes: readonly Lane[], view: ReviewView): boolean;
  stop(): void;
}

export interface ReviewDataOptions {
  readonly fetchEnvelope: FetchEnvelope;
  readonly clock: Clock;
  readonly lanes: ReadonlyMap<string, Lane>;
  /** The whole of a stream came, or came anew. */
  readonly onWhole: (lane: Lane) => void;
  readonly onTile: (lane: Lane) => void;
  /** The last request's failure; null when one succeeded. */
  readonly onError: (error: unknown) => void;
}

export function createReviewData(options: ReviewDataOptions): ReviewData {
  const { fetchEnvelope, clock, lanes } = options;
  const abort = new AbortController();
  const askedAtMs = new Map<string, number>();
  const tiles = createTileStore({
    clock,
    fetchTile: (streamId, range, signal) =>
      fetchEnvelope({ streamId, ...range, width: TILE_COLUMNS }, signal),
    onChange(stream, error) {
      options.onError(error);
      const lane = lanes.get(stream);
      if (lane !== undefined && error === null) options.onTile(lane);
    },
  });
  let cancelWish: (() => void) | null = null;
  let wishedAtMs = 0;

  function askWhole(lane: Lane): void {
    if (lane.isAsking || abort.signal.aborted) return;
    lane.isAsking = true;
    const sinceMs = clock.monotonicMs() - (askedAtMs.get(lane.id) ?? Number.NEGATIVE_INFINITY);
    if (sinceMs >= WHOLE_EVERY_MS) void fetchWhole(lane);
    else clock.after(WHOLE_EVERY_MS - sinceMs, () => void fetchWhole(lane));
  }

  async function fetchWhole(lane: Lane): Promise<void> {
    if (abort.signal.aborted) return;
    askedAtMs.set(lane.id, clock.monotonicMs());
    const { revision } = lane;
    try {
      const query = { streamId: lane.id, fromUs: null, toUs: null, width: WHOLE_COLUMNS };
      const whole = await fetchEnvelope(query, abort.signal);
      lane.isAsking = false;
      takeWhole(lane, whole);
      options.onError(null);
      options.onWhole(lane);
      if (whole.unrolled > 0 || lane.revision !== revision) askWhole(lane);
    } catch (error) {
      if (abort.signal.aborted) return;
      options.onError(error);
      clock.after(RETRY_WHOLE_MS, () => void fetchWhole(lane));
    }
  }

  function takeWhole(lane: Lane, whole: EnvelopeData): void {
    const before = lane.whole;
    lane.whole = whole;
    lane.shiftUs = whole.firstUs === null ? 0 : shiftOf(lane.detail, whole.firstUs);
    if (before === null) return;
    // A recording that only grew leaves the tiles before its old end as they are.
    const onlyGrew =
      before.firstUs === whole.firstUs && JSON.stringify(before.gaps) === JSON.stringify(whole.gaps);
    tiles.expire(lane.id, onlyGrew ? (before.lastUs ?? Number.NEGATIVE_INFINITY) : Number.NEGATIVE_INFINITY);
  }

  return {
    tiles,
    askWhole,
    piecesFor(lane, view) {
      const { whole } = lane;
      if (whole === null) return null;
      const padUs = PADDING_PERIODS * Math.max(lane.periodUs, view.usPerPixel);
      const range = {
        fromUs: view.range.fromUs - lane.shiftUs - padUs,
        toUs: view.range.toUs - lane.shiftUs + padUs,
      };
      const wished = wishedOf(lane, view);
      if (wished === null || isWholeEnough(wished)) return [{ tile: whole, range }];
      return coverRange(range, levelFor(view.usPerPixel), {
        whole,
        peek: (place) => tiles.peek(lane.id, place),
      });
    },
    look(visible, view) {
      cancelWish?.();
      const wish = (): void => {
        wishedAtMs = clock.monotonicMs();
        tiles.setWishes(wishesOf(visible, view));
      };
      if (clock.monotonicMs() - wishedAtMs >= MAX_WAIT_MS) wish();
      else cancelWish = clock.after(PAUSE_MS, wish);
    },
    isComplete: (visible, view) =>
      visible.every((lane) => {
        const wished = wishedOf(lane, view);
        if (wished === null) return lane.whole !== null;
        return placesWanted(wished).now.every((place) => tiles.isFresh(lane.id, place));
      }),
    stop() {
      abort.abort();
      cancelWish?.();
      tiles.stop();
    },
  };
}

/** Of all lanes first what is on the screen, then what may be wanted next. */
function wishesOf(lanes: readonly Lane[], view: ReviewView): TileWish[] {
  const now: TileWish[] = [];
  const next: TileWish[] = [];
  for (const lane of lanes) {
    const wished = wishedOf(lane, view);
    if (wished === null) continue;
    const wanted = placesWanted(wished);
    for (const place of wanted.now) now.push({ stream: lane.id, place });
    for (const place of wanted.next) next.push({ stream: lane.id, place });
  }
  return [...now, ...next];
}

/** Null where the lane has nothing in sight. */
function wishedOf(lane: Lane, { range, usPerPixel }: ReviewView): WishedLane | null {
  const extent = extentOf(lane);
  if (extent === null || lane.whole === null || storedPart(lane, range) === null) return null;
  return {
    view: { fromUs: range.fromUs - lane.shiftUs, toUs: range.toUs - lane.shiftUs },
    stored: { fromUs: extent.fromUs - lane.shiftUs, toUs: extent.toUs - lane.shiftUs },
    wholeColumnUs: Math.max(lane.whole.bucketUs, spanOf(extent) / WHOLE_COLUMNS),
    usPerPixel,
  };
}
