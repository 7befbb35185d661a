/**
 * Owns the tiles that the page holds and those that it waits for: what is on the screen first, then its neighbours; a
 * tile that nobody wants any more is not waited for. Bounds: MAX_BYTES of tiles (least recently drawn go first) and
 * MAX_IN_FLIGHT requests; a wish replaces all earlier ones, so no queue grows.
 */

import { LRUCache } from 'lru-cache';

import type { Clock } from '#base/clock.ts';
import { bytesOf, type EnvelopeTile } from '#web/review/envelope-tile.ts';
import { tileRange, type TilePlace } from '#web/review/tile-grid.ts';
import type { TimeRange } from '#web/review/view-range.ts';

/** Some 400 tiles of six axes: every level of a session that one looks at for an hour, and less than one photograph. */
const MAX_BYTES = 64 * 1024 * 1024;
/** A browser opens six connections to a server; one stays free for the rest of the page. */
const MAX_IN_FLIGHT = 5;
/** A request that failed is tried again after this, doubled each time up to the maximum. */
const RETRY_MS = 1_000;
const MAX_RETRY_MS = 15_000;
/** A tile that lacks readings, because the server's sums have not caught up, is asked for again after this. */
const UNROLLED_MS = 3_000;

export interface TileWish {
  readonly stream: string;
  readonly place: TilePlace;
}

export interface TileStoreOptions {
  readonly fetchTile: (stream: string, range: TimeRange, signal: AbortSignal) => Promise<EnvelopeTile>;
  /** A tile came, or a request failed (`error`). */
  readonly onChange: (stream: string, error: unknown) => void;
  readonly clock: Clock;
  readonly maxBytes?: number;
}

export interface TileStore {
  /** What there is, fresh or not. */
  peek(stream: string, place: TilePlace): EnvelopeTile | undefined;
  isFresh(stream: string, place: TilePlace): boolean;
  /** What is wanted now, most urgent first. */
  setWishes(wishes: readonly TileWish[]): void;
  /** Tiles of the stream that reach past `fromUs` are asked for again when wanted; till then they are drawn. */
  expire(stream: string, fromUs: number): void;
  readonly counters: { readonly fetched: number; readonly aborted: number; readonly evicted: number };
  /** Requests under way. */
  readonly inFlight: number;
  stop(): void;
}

interface Entry {
  readonly stream: string;
  readonly tile: EnvelopeTile;
  readonly toUs: number;
  /** From then on it is asked for again. */
  outdatedAtMs: number;
}

interface Failure {
  readonly retryAtMs: number;
  readonly attempts: number;
}

interface Flight {
  readonly abort: AbortController;
  /** Set when what is being fetched went out of date meanwhile. */
  isOutdated: boolean;
}

const keyOf = ({ stream, place }: TileWish): string => `${stream}/${place.level}/${place.index}`;

export function createTileStore(options: TileStoreOptions): TileStore {
  const { clock, fetchTile, onChange } = options;
  const counters = { fetched: 0, aborted: 0, evicted: 0 };
  const entries = new LRUCache<string, Entry>({
    maxSize: options.maxBytes ?? MAX_BYTES,
    sizeCalculation: ({ tile }) => bytesOf(tile),
    dispose: (_value, _key, reason) => {
      if (reason === 'evict') counters.evicted++;
    },
  });
  const flights = new Map<string, Flight>();
  const failures = new Map<string, Failure>();
  // Fetched for the present wishes: what had to go since, for want of room, is not asked for in a circle.
  const served = new Set<string>();
  let wishes: readonly TileWish[] = [];
  let cancelRetry: (() => void) | null = null;
  let isStopped = false;

  function pump(): void {
    if (isStopped) return;
    cancelRetry?.();
    cancelRetry = null;
    let nextRetryMs = Number.POSITIVE_INFINITY;
    for (const wish of wishes) {
      if (flights.size >= MAX_IN_FLIGHT) break;
      const key = keyOf(wish);
      if (flights.has(key) || (served.has(key) && !entries.has(key))) continue;
      const dueMs = failures.get(key)?.retryAtMs ?? entries.peek(key)?.outdatedAtMs ?? 0;
      if (dueMs > clock.monotonicMs()) nextRetryMs = Math.min(nextRetryMs, dueMs);
      else void fetchOne(wish, key);
    }
    if (nextRetryMs < Number.POSITIVE_INFINITY)
      cancelRetry = clock.after(Math.max(1, nextRetryMs - clock.monotonicMs()), pump);
  }

  async function fetchOne(wish: TileWish, key: string): Promise<void> {
    const flight: Flight = { abort: new AbortController(), isOutdated: false };
    flights.set(key, flight);
    try {
      const tile = await fetchTile(wish.stream, tileRange(wish.place), flight.abort.signal);
      if (flight.abort.signal.aborted) return;
      counters.fetched++;
      failures.delete(key);
      served.add(key);
      const { toUs } = tileRange(wish.place);
      entries.set(key, { stream: wish.stream, tile, toUs, outdatedAtMs: outdatedAtMs(tile, flight) });
      onChange(wish.stream, null);
    } catch (error) {
      if (flight.abort.signal.aborted) return;
      const attempts = (failures.get(key)?.attempts ?? 0) + 1;
      const pauseMs = Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** (attempts - 1));
      failures.set(key, { attempts, retryAtMs: clock.monotonicMs() + pauseMs });
      onChange(wish.stream, error);
    } finally {
      if (flights.get(key) === flight) flights.delete(key);
      pump();
    }
  }

  function outdatedAtMs(tile: EnvelopeTile, { isOutdated }: Flight): number {
    if (isOutdated) return 0;
    return tile.unrolled > 0 ? clock.monotonicMs() + UNROLLED_MS : Number.POSITIVE_INFINITY;
  }

  return {
    peek: (stream, place) => entries.get(keyOf({ stream, place }))?.tile,
    isFresh(stream, place) {
      const entry = entries.peek(keyOf({ stream, place }));
      return entry !== undefined && entry.outdatedAtMs > clock.monotonicMs();
    },
    setWishes(next) {
      wishes = next;
      const wanted = new Set(next.map(keyOf));
      for (const key of failures.keys()) if (!wanted.has(key)) failures.delete(key);
      for (const key of served) if (!wanted.has(key)) served.delete(key);
      for (const [key, flight] of flights) {
        if (wanted.has(key)) continue;
        counters.aborted++;
        flight.abort.abort();
        flights.delete(key);
      }
      pump();
    },
    expire(stream, fromUs) {
      for (const entry of entries.values())
        if (entry.stream === stream && entry.toUs > fromUs) entry.outdatedAtMs = 0;
      for (const [key, flight] of flights) if (key.startsWith(`${stream}/`)) flight.isOutdated = true;
      pump();
    },
    counters,
    get inFlight() {
      return flights.size;
    },
    stop() {
      isStopped = true;
      cancelRetry?.();
      for (const { abort } of flights.values()) abort.abort();
      flights.clear();
      entries.clear();
    },
  };
}
