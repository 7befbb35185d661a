/**
 * Owns the review page of a session: its whole recording, or the stored past of one that goes on, scrolled and zoomed
 * down to single readings. All streams lie under each other on one axis of time. The address holds the range.
 */

import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useMemo, useRef, useState, type CSSProperties } from 'react';

import { systemClock } from '#base/clock.ts';
import type { SessionDetail } from '#contract/rest.ts';
import { MotionReview, useMotionAnalysis } from '#web/motion/motion-review.tsx';
import { tellsMotion } from '#web/motion/sensor-check.ts';
import { StepLane } from '#web/motion/step-lane.tsx';
import { useCanvasSize } from '#web/review/canvas-size.ts';
import { CrosshairLine, CrosshairTime } from '#web/review/crosshair.tsx';
import { ExportDialog } from '#web/review/export-dialog.tsx';
import { OverviewStrip } from '#web/review/overview-strip.tsx';
import { RangeText } from '#web/review/range-text.tsx';
import { readoutAt, isGap } from '#web/review/readout.ts';
import { createReviewActions } from '#web/review/review-actions.ts';
import { ReviewCard } from '#web/review/review-card.tsx';
import { ReviewControls } from '#web/review/review-controls.tsx';
import { useReviewGestures, type MarkedPixels } from '#web/review/review-gestures.ts';
import { ReviewHelp } from '#web/review/review-help.tsx';
import { inspectReview } from '#web/review/review-inspection.ts';
import { useReviewKeys } from '#web/review/review-keys.ts';
import { createReviewModel, type ReviewModel } from '#web/review/review-model.ts';
import { ReviewNotices } from '#web/review/review-notices.tsx';
import { useReviewState } from '#web/review/review-state.ts';
import { isSameRange, type TimeRange } from '#web/review/view-range.ts';
import { provideReview } from '#web/inspection.ts';
import { server } from '#web/server.ts';
import { bodyRows } from '#web/session/body-rows.ts';
import { SessionHead } from '#web/session/session-head.tsx';
import type { ViewSearch } from '#web/session/view-search.ts';
import { AnnotationLane } from '#web/visit/annotation-lane.tsx';
import { VisitBar } from '#web/visit/visit-bar.tsx';

/** The address follows when a movement has come to rest. */
const ADDRESS_MS = 300;
/** The address of the live view. */
const noReview = { view: undefined, from: undefined, to: undefined, fit: undefined } as const;

export interface ReviewSessionProps {
  readonly detail: SessionDetail;
  readonly nowMs: number;
  readonly isStale: boolean;
  readonly search: ViewSearch;
  readonly setSearch: (change: Partial<ViewSearch>) => void;
}

export function ReviewSession(props: ReviewSessionProps) {
  const model = useModel(props);
  if (model === null)
    return <SessionHead session={props.detail.session} nowMs={props.nowMs} isStale={props.isStale} />;
  return <Review {...props} model={model} />;
}

/** One model for one session, from its first view to its last. */
function useModel({ detail, search }: ReviewSessionProps): ReviewModel | null {
  const [model, setModel] = useState<ReviewModel | null>(null);
  const first = useRef({ streams: detail.streams, range: rangeOf(search), isFitted: search.fit === true });
  useEffect(() => {
    const { streams, range, isFitted } = first.current;
    const created = createReviewModel({
      fetchEnvelope: server.envelope,
      clock: systemClock,
      requestFrame: (callback) => requestAnimationFrame(callback),
      initial: range,
    });
    created.setStreams(streams);
    created.setFitted(isFitted);
    setModel(created);
    const withdraw = provideReview(() => inspectReview(created));
    return () => {
      withdraw();
      created.stop();
      setModel(null);
    };
  }, []);
  return model;
}

function rangeOf({ from, to }: ViewSearch): TimeRange | null {
  return from === undefined || to === undefined ? null : { fromUs: from, toUs: to };
}

function Review(props: ReviewSessionProps & { readonly model: ReviewModel }) {
  const { model, detail, nowMs, isStale, search, setSearch } = props;
  const scheme = useComputedColorScheme('dark', { getInitialValueInEffect: false });
  const [helpOpen, setHelpOpen] = useState(false);
  const [exportOpen, setExportOpen] = useState(false);
  const [marked, setMarked] = useState<MarkedPixels | null>(null);
  const actions = useMemo(() => createReviewActions(model), [model]);
  const host = useRef<HTMLDivElement>(null);
  const axis = useRef<HTMLCanvasElement>(null);
  useEffect(() => model.setStreams(detail.streams), [model, detail.streams]);
  useEffect(() => model.setScheme(scheme), [model, scheme]);
  usePrinting(model, scheme);
  useCanvasSize(axis, model.setAxisSize);
  useReviewGestures(host, { model, actions, onMark: setMarked });
  useReviewKeys({
    ...actions,
    stepCrosshair: (by) => stepCrosshair(model, by),
    clearCrosshair: () => model.setCrosshair(null),
    help: () => setHelpOpen((was) => !was),
  });
  const isLoading = useReviewState(model, (state) => state.isLoading);
  const motion = useMotionAnalysis(detail.session.id);
  const hasMotion = tellsMotion(detail.streams) || (motion.data?.strides.length ?? 0) > 0;
  const lanes = bodyRows(detail.streams)
    .flat()
    .flatMap(({ stream }) => {
      const lane = model.lanes.get(stream.definition.stream);
      return lane === undefined ? [] : [{ stream, lane }];
    });
  const panels = lanes.reduce((sum, { lane }) => sum + lane.groups.length, 0);
  return (
    <>
      <SessionHead session={detail.session} nowMs={nowMs} isStale={isStale}>
        <ReviewControls
          model={model}
          actions={actions}
          openExport={() => setExportOpen(true)}
          openHelp={() => setHelpOpen(true)}
          goLive={isOver(detail) ? null : () => setSearch(noReview)}
        />
      </SessionHead>
      <VisitBar session={detail.session.id} />
      <ReviewNotices model={model} detail={detail} />
      <div
        className="review"
        style={{ '--lanes': lanes.length, '--panels': Math.max(1, panels) } as CSSProperties}
      >
        <div className="review-top">
          <RangeText model={model} />
          <OverviewStrip model={model} />
          <div className="review-axis">
            <canvas ref={axis} className="review-axis-canvas" aria-hidden="true" />
            <CrosshairTime model={model} />
            <div className="review-loading" data-loading={isLoading} aria-hidden="true" />
          </div>
        </div>
        <div ref={host} className="review-lanes" aria-busy={isLoading}>
          <AnnotationLane model={model} session={detail.session.id} />
          {hasMotion && <StepLane model={model} analysis={motion.data ?? null} scheme={scheme} />}
          {lanes.map(({ stream, lane }) => (
            <ReviewCard key={lane.id} model={model} lane={lane} stream={stream} scheme={scheme} />
          ))}
          <CrosshairLine model={model} />
          {marked !== null && (
            <div className="review-mark" style={{ left: marked.left, width: marked.width }} />
          )}
        </div>
      </div>
      {hasMotion && (
        <MotionReview model={model} detail={detail} query={motion} search={search} setSearch={setSearch} />
      )}
      <Address {...props} />
      <ExportDialog
        model={model}
        session={detail.session.id}
        lanes={lanes}
        open={exportOpen}
        close={() => setExportOpen(false)}
      />
      <ReviewHelp open={helpOpen} close={() => setHelpOpen(false)} />
    </>
  );
}

function isOver({ session: { state } }: SessionDetail): boolean {
  return state === 'ended' || state === 'sealed';
}

/**
 * The range goes into the address, and an address that changes brings its range. Shows nothing; a component of its own,
 * so that a step of a zoom renders this only.
 */
function Address({ model, search, setSearch }: ReviewSessionProps & { readonly model: ReviewModel }) {
  const range = useReviewState(model, (state) => state.range);
  const whole = useReviewState(model, (state) => state.whole);
  const isFitted = useReviewState(model, (state) => state.isFitted);
  const written = useRef<ViewSearch>(search);
  const latest = useRef(setSearch);
  useEffect(() => {
    latest.current = setSearch;
  });
  useEffect(() => {
    if (range === null || whole === null) return;
    const timer = setTimeout(() => {
      const isWhole = isSameRange(range, whole);
      const next = {
        from: isWhole ? undefined : Math.round(range.fromUs),
        to: isWhole ? undefined : Math.round(range.toUs),
        fit: isFitted ? (true as const) : undefined,
      };
      const { from, to, fit } = written.current;
      if (next.from === from && next.to === to && next.fit === fit) return;
      written.current = next;
      latest.current(next);
    }, ADDRESS_MS);
    return () => clearTimeout(timer);
  }, [range, whole, isFitted]);
  const { from, to, fit } = search;
  useEffect(() => {
    const known = written.current;
    if (known.from === from && known.to === to && known.fit === fit) return;
    written.current = { from, to, fit };
    model.setFitted(fit === true);
    if (from !== undefined && to !== undefined) model.setRange({ fromUs: from, toUs: to });
    else if (model.state.whole !== null) model.setRange(model.state.whole);
  }, [model, from, to, fit]);
  return null;
}

/** Paper is white: the plots are drawn in light colours while the page is printed. */
function usePrinting(model: ReviewModel, scheme: 'dark' | 'light'): void {
  useEffect(() => {
    const print = (): void => {
      model.setScheme('light');
      model.paintNow();
    };
    const restore = (): void => model.setScheme(scheme);
    window.addEventListener('beforeprint', print);
    window.addEventListener('afterprint', restore);
    return () => {
      window.removeEventListener('beforeprint', print);
      window.removeEventListener('afterprint', restore);
    };
  }, [model, scheme]);
}

/** To the next reading, or column, of the first stream that has one; from the middle where there is no crosshair. */
function stepCrosshair(model: ReviewModel, by: 1 | -1): void {
  const { range, crosshairUs } = model.state;
  if (range === null) return;
  const fromUs = crosshairUs ?? range.fromUs / 2 + range.toUs / 2;
  for (const lane of model.lanes.values()) {
    const here = readoutAt(lane, fromUs, Number.POSITIVE_INFINITY);
    if (here === null || isGap(here)) continue;
    const stepUs = Math.max(lane.periodUs, here.endUs - here.startUs);
    const middleUs = here.count === 1 ? here.startUs : here.startUs / 2 + here.endUs / 2;
    const nextUs = crosshairUs === null ? middleUs : middleUs + by * stepUs;
    model.setCrosshair(nextUs);
    const span = range.toUs - range.fromUs;
    if (nextUs < range.fromUs || nextUs >= range.toUs)
      model.setRange({ fromUs: nextUs - span / 2, toUs: nextUs + span / 2 });
    return;
  }
}
