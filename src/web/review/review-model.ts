/**
 * Owns the state of the review page: which time is shown, where the crosshair is, and when what is drawn anew. React
 * renders the frame around; every step of a zoom goes from the pointer to the canvases within one animation frame, and
 * nothing is drawn while nothing changes. Bound: the lanes of one session, and the tiles (tile-store.ts).
 */

import type { Clock } from '#base/clock.ts';
import type { StreamDetail } from '#contract/rest.ts';
import { createFrameMeter } from '#web/live/frame-meter.ts';
import { palettes, type Palette } from '#web/live/palette.ts';
import type { CanvasSize, Plot } from '#web/live/trace-layout.ts';
import type { ValueRange } from '#web/live/value-range.ts';
import { axisStep, paintAxis } from '#web/review/axis-painter.ts';
import { gapsOver } from '#web/review/envelope-tile.ts';
import { createLanePainter } from '#web/review/lane-painter.ts';
import { panelScales, scalesFor } from '#web/review/lane-scales.ts';
import { createLane, extentOf, revisionOf, type Lane } from '#web/review/lane.ts';
import { paintOverview } from '#web/review/overview-painter.ts';
import { createReviewData, type FetchEnvelope, type ReviewData } from '#web/review/review-data.ts';
import { ticksIn } from '#web/review/time-ticks.ts';
import { clampRange, isSameRange, spanOf, unionOf, type TimeRange } from '#web/review/view-range.ts';

/** What React shows; a new object whenever something in it changed. */
export interface ReviewState {
  /** All that is stored, on the page's axis; null until it is known, `isEmpty` when there is nothing. */
  readonly whole: TimeRange | null;
  readonly range: TimeRange | null;
  readonly isEmpty: boolean;
  readonly isFitted: boolean;
  /** What is on the screen is not yet as fine as it can be. */
  readonly isLoading: boolean;
  readonly error: unknown;
  readonly isRawDropped: boolean;
  readonly crosshairUs: number | null;
}

export interface ReviewModel {
  readonly lanes: ReadonlyMap<string, Lane>;
  readonly data: ReviewData;
  readonly state: ReviewState;
  /** Left edge and width of all plots within their canvas, CSS pixels. */
  readonly plot: { readonly left: number; readonly width: number };
  readonly meter: ReturnType<typeof createFrameMeter>;
  /** Told of every change; while only the range moves, at most every NOTIFY_MS. */
  subscribe(listener: () => void): () => void;
  /** Told of every frame that was drawn: for what must move with the picture. */
  onFrame(listener: () => void): () => void;
  setStreams(streams: readonly StreamDetail[]): void;
  setScheme(scheme: 'dark' | 'light'): void;
  setRange(range: TimeRange): void;
  setFitted(isFitted: boolean): void;
  setCrosshair(us: number | null): void;
  setLaneSize(stream: string, canvas: HTMLCanvasElement, size: CanvasSize): void;
  setLaneVisible(stream: string, isVisible: boolean): void;
  setOverviewSize(canvas: HTMLCanvasElement, size: CanvasSize): void;
  setAxisSize(canvas: HTMLCanvasElement, size: CanvasSize): void;
  scalesOf(lane: Lane): readonly ValueRange[];
  /** Draws all streams at once, also those out of sight: for paper. */
  paintNow(): void;
  stop(): void;
}

export interface ReviewModelOptions {
  readonly fetchEnvelope: FetchEnvelope;
  readonly clock: Clock;
  readonly requestFrame: (callback: () => void) => void;
  /** The range that the address asks for. */
  readonly initial: TimeRange | null;
}

interface Strip {
  readonly context: CanvasRenderingContext2D;
  readonly size: CanvasSize;
  isDirty: boolean;
}

/** Words about a range that moves are not read faster. */
const NOTIFY_MS = 80;
/** At the finest zoom so many readings of the quickest stream are on the screen. */
const SHORTEST_PERIODS = 5;

export function createReviewModel(options: ReviewModelOptions): ReviewModel {
  const { clock } = options;
  const lanes = new Map<string, Lane>();
  const listeners = new Set<() => void>();
  const frameListeners = new Set<() => void>();
  let notifiedAtMs = Number.NEGATIVE_INFINITY;
  let cancelNotify: (() => void) | null = null;
  const meter = createFrameMeter();
  let palette: Palette = palettes.dark;
  let state: ReviewState = {
    whole: null,
    range: null,
    isEmpty: false,
    isFitted: false,
    isLoading: true,
    error: null,
    isRawDropped: false,
    crosshairUs: null,
  };
  let asked = options.initial;
  let overview: Strip | null = null;
  let axis: Strip | null = null;
  let isScheduled = false;
  let isStopped = false;
  let scales = new Map<string, ValueRange>();
  let areScalesOld = true;

  const data = createReviewData({
    fetchEnvelope: options.fetchEnvelope,
    clock,
    lanes,
    onWhole: takeWhole,
    onTile(lane) {
      lane.isDirty = true;
      schedule();
    },
    onError(error) {
      if (error !== state.error) update({ error });
    },
  });

  function update(change: Partial<ReviewState>): void {
    state = { ...state, ...change };
    notify();
  }

  function notify(): void {
    cancelNotify?.();
    cancelNotify = null;
    notifiedAtMs = clock.monotonicMs();
    for (const listener of listeners) listener();
  }

  /** The picture follows at once, the words about it a little later. */
  function moveTo(range: TimeRange): void {
    state = { ...state, range };
    redrawAll();
    const sinceMs = clock.monotonicMs() - notifiedAtMs;
    if (sinceMs >= NOTIFY_MS) notify();
    else cancelNotify ??= clock.after(NOTIFY_MS - sinceMs, notify);
  }

  function schedule(): void {
    if (isScheduled || isStopped) return;
    isScheduled = true;
    options.requestFrame(() => {
      isScheduled = false;
      if (!isStopped) drawFrame();
    });
  }

  function redrawAll(): void {
    for (const lane of lanes.values()) lane.isDirty = true;
    if (axis !== null) axis.isDirty = true;
    schedule();
  }

  function limits(whole: TimeRange): { whole: TimeRange; shortestUs: number } {
    const shortest = Math.min(...[...lanes.values()].map(({ periodUs }) => periodUs));
    return { whole, shortestUs: SHORTEST_PERIODS * shortest };
  }

  function takeWhole(): void {
    const all = [...lanes.values()];
    const before = state.whole;
    const whole = unionOf(all.map(extentOf).filter((extent) => extent !== null));
    areScalesOld = true;
    const isComplete = all.every((lane) => lane.whole !== null);
    // The axis waits for all streams: it would jump with each.
    if (before === null && !isComplete) return;
    if (overview !== null) overview.isDirty = true;
    if (whole === null) {
      update({ isEmpty: true, isLoading: false });
      return;
    }
    const showsAll = state.range === null || (before !== null && isSameRange(state.range, before));
    const wanted = state.range === null ? (asked ?? whole) : showsAll ? whole : state.range;
    asked = null;
    update({ whole, range: clampRange(wanted, limits(whole)), isEmpty: false });
    redrawAll();
  }

  function drawFrame(): void {
    const { range, whole } = state;
    const plot = plotOf(lanes);
    if (plot === null) return;
    const startedMs = clock.monotonicMs();
    if (range === null || whole === null) {
      for (const lane of lanes.values()) paintBlank(lane, panelScales(lane, scales));
      return;
    }
    const view = { range, usPerPixel: spanOf(range) / plot.plot.width };
    const visible = [...lanes.values()].filter((lane) => lane.isVisible && lane.painter !== null);
    const dirty = visible.filter((lane) => lane.isDirty);
    for (const lane of dirty) lane.pieces = data.piecesFor(lane, view) ?? [];
    if (areScalesOld || (state.isFitted && dirty.length > 0)) {
      const before = JSON.stringify([...scales]);
      scales = scalesFor(lanes.values(), state.isFitted);
      areScalesOld = false;
      if (JSON.stringify([...scales]) !== before) for (const lane of visible) lane.isDirty = true;
    }
    const stepUs = axisStep({ range, ...plot });
    const grid = ticksIn(range, stepUs, whole.fromUs);
    for (const lane of visible) {
      if (!lane.isDirty) continue;
      lane.isDirty = false;
      paintLane(lane, { ...view, grid });
    }
    paintStrips({ range, whole, ...plot });
    data.look(visible, view);
    // Before the browser has said which are in sight, nothing is known to be complete.
    const isLoading = visible.length === 0 || !data.isComplete(visible, view);
    const isRawDropped = visible.some(({ pieces }) => pieces.some(({ tile }) => tile.rawDropped));
    if (isLoading !== state.isLoading || isRawDropped !== state.isRawDropped)
      update({ isLoading, isRawDropped });
    for (const listener of frameListeners) listener();
    meter.add(startedMs, clock.monotonicMs() - startedMs);
  }

  function paintLane(lane: Lane, view: { range: TimeRange; usPerPixel: number; grid: number[] }): void {
    const { range, usPerPixel, grid } = view;
    const { shiftUs, periodUs, pieces } = lane;
    const device = { fromUs: range.fromUs - shiftUs, toUs: range.toUs - shiftUs };
    lane.painter?.paint({
      fromUs: range.fromUs,
      usPerPixel,
      shiftUs,
      periodUs,
      pieces,
      gaps: gapsOver(
        pieces.map(({ tile }) => tile),
        device,
      ),
      scales: panelScales(lane, scales),
      grid,
      palette,
    });
  }

  /** Before anything is known: the frame of the plots. */
  function paintBlank({ painter, periodUs }: Lane, scale: readonly ValueRange[]): void {
    const nothing = { pieces: null, gaps: [], grid: [] };
    painter?.paint({ ...nothing, fromUs: 0, usPerPixel: 1, shiftUs: 0, periodUs, scales: scale, palette });
  }

  function paintStrips(at: { range: TimeRange; whole: TimeRange; plot: Plot; size: CanvasSize }): void {
    const { range, whole, plot } = at;
    if (axis?.isDirty === true) {
      axis.isDirty = false;
      paintAxis(axis.context, {
        range,
        startUs: whole.fromUs,
        plot,
        size: axis.size,
        palette,
        ground: groundOf(palette),
      });
    }
    if (overview?.isDirty === true) {
      overview.isDirty = false;
      paintOverview(overview.context, {
        whole,
        lanes: [...lanes.values()],
        plot,
        size: overview.size,
        palette,
      });
    }
  }

  function resizeStrip(canvas: HTMLCanvasElement, size: CanvasSize): Strip | null {
    canvas.width = size.width;
    canvas.height = size.height;
    const context = canvas.getContext('2d', { alpha: false });
    schedule();
    return context === null ? null : { context, size, isDirty: true };
  }

  return {
    lanes,
    data,
    meter,
    scalesOf: (lane) => panelScales(lane, scales),
    get state() {
      return state;
    },
    get plot() {
      const found = plotOf(lanes);
      if (found === null) return { left: 0, width: 1 };
      const { plot, size } = found;
      return { left: plot.x / size.scale, width: plot.width / size.scale };
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    onFrame(listener) {
      frameListeners.add(listener);
      return () => frameListeners.delete(listener);
    },
    setStreams(streams) {
      for (const detail of streams) {
        const { stream } = detail.definition;
        const lane = lanes.get(stream);
        if (lane === undefined) {
          const created = createLane(detail);
          lanes.set(stream, created);
          data.askWhole(created);
          continue;
        }
        lane.detail = detail;
        const revision = revisionOf(detail);
        if (revision === lane.revision) continue;
        lane.revision = revision;
        data.askWhole(lane);
      }
      if (lanes.size === 0) update({ isEmpty: true, isLoading: false });
    },
    setScheme(scheme) {
      if (palette === palettes[scheme]) return;
      palette = palettes[scheme];
      if (overview !== null) overview.isDirty = true;
      redrawAll();
    },
    setRange(range) {
      if (state.whole === null) {
        asked = range;
        return;
      }
      const clamped = clampRange(range, limits(state.whole));
      if (state.range !== null && isSameRange(clamped, state.range)) return;
      moveTo(clamped);
    },
    setFitted(isFitted) {
      if (isFitted === state.isFitted) return;
      areScalesOld = true;
      update({ isFitted });
      redrawAll();
    },
    setCrosshair(crosshairUs) {
      if (crosshairUs !== state.crosshairUs) update({ crosshairUs });
    },
    setLaneSize(stream, canvas, size) {
      const lane = lanes.get(stream);
      if (lane === undefined) return;
      if (lane.painter === null) {
        const context = canvas.getContext('2d', { alpha: false });
        if (context !== null) lane.painter = createLanePainter(context, lane);
      }
      lane.painter?.resize(size);
      redrawAll();
      if (overview !== null) overview.isDirty = true;
    },
    setLaneVisible(stream, isVisible) {
      const lane = lanes.get(stream);
      if (lane === undefined) return;
      lane.isVisible = isVisible;
      lane.isDirty = true;
      schedule();
    },
    setOverviewSize(canvas, size) {
      overview = resizeStrip(canvas, size);
    },
    setAxisSize(canvas, size) {
      axis = resizeStrip(canvas, size);
    },
    paintNow() {
      const seen = [...lanes.values()].map((lane) => [lane, lane.isVisible] as const);
      for (const [lane] of seen) lane.isVisible = lane.isDirty = true;
      drawFrame();
      for (const [lane, wasVisible] of seen) lane.isVisible = wasVisible;
    },
    stop() {
      isStopped = true;
      data.stop();
      cancelNotify?.();
      listeners.clear();
      frameListeners.clear();
    },
  };
}

/** All lanes are of one width; the first that is laid out tells it. */
function plotOf(lanes: ReadonlyMap<string, Lane>): { plot: Plot; size: CanvasSize } | null {
  for (const { painter } of lanes.values()) {
    const plot = painter?.plots[0];
    if (painter !== null && plot !== undefined) return { plot, size: painter.size };
  }
  return null;
}

/** The page behind the cards (look.css, --kymo-ground). */
function groundOf(palette: Palette): string {
  return palette === palettes.dark ? '#0d1013' : '#f4f5f7';
}
