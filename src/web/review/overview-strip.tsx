/** Owns the strip of the whole recording with the window of what is shown: dragged, its ends dragged, or by keys. */

import { useEffect, useRef, type KeyboardEvent, type PointerEvent, type RefObject } from 'react';

import { useCanvasSize } from '#web/review/canvas-size.ts';
import type { ReviewModel } from '#web/review/review-model.ts';
import { useReviewState } from '#web/review/review-state.ts';
import { formatSinceStart, formatSpan } from '#web/review/time-ticks.ts';
import { panBy, spanOf, type TimeRange } from '#web/review/view-range.ts';

type Part = 'start' | 'window' | 'end';

/** Arrow keys on the window or an end move it by this share of the recording; page keys by ten times as much. */
const KEY_SHARE = 0.01;
const PAGE_STEPS = 10;

interface Grip {
  readonly part: Part;
  readonly startX: number;
  readonly range: TimeRange;
}

export function OverviewStrip({ model }: { model: ReviewModel }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const track = useRef<HTMLDivElement>(null);
  const grip = useRef<Grip | null>(null);
  useCanvasSize(canvas, model.setOverviewSize);
  const range = useReviewState(model, (state) => state.range);
  const whole = useReviewState(model, (state) => state.whole);

  const usPerPixel = (): number => {
    const width = track.current?.getBoundingClientRect().width ?? 1;
    return whole === null ? 0 : spanOf(whole) / width;
  };
  const onDown = (event: PointerEvent<HTMLElement>): void => {
    if (range === null || whole === null || event.button !== 0 || track.current === null) return;
    const part = (event.target as HTMLElement).dataset['part'] as Part | undefined;
    let from = range;
    if (part === undefined) {
      // Beside the window: it comes here, and is held.
      const us = whole.fromUs + (event.clientX - track.current.getBoundingClientRect().left) * usPerPixel();
      model.setRange(panBy(range, us - (range.fromUs / 2 + range.toUs / 2)));
      from = model.state.range ?? range;
    }
    track.current.setPointerCapture(event.pointerId);
    grip.current = { part: part ?? 'window', startX: event.clientX, range: from };
  };
  const onMove = (event: PointerEvent<HTMLElement>): void => {
    const held = grip.current;
    if (held !== null) model.setRange(moved(held, (event.clientX - held.startX) * usPerPixel(), whole));
  };
  const onUp = (): void => {
    grip.current = null;
  };
  const onKey = (part: Part) => (event: KeyboardEvent<HTMLElement>) => {
    const steps = keySteps(event.key);
    if (steps === null || range === null || whole === null) return;
    event.preventDefault();
    model.setRange(moved({ part, startX: 0, range }, steps * KEY_SHARE * spanOf(whole), whole));
  };

  useWindowPlace(model, track);
  const slider = (part: Part, us: number, label: string) => ({
    role: 'slider',
    tabIndex: 0,
    'data-part': part,
    'aria-label': label,
    'aria-valuemin': 0,
    'aria-valuemax': whole === null ? 0 : Math.round(spanOf(whole) / 1000),
    'aria-valuenow': whole === null ? 0 : Math.round((us - whole.fromUs) / 1000),
    'aria-valuetext': whole === null ? '' : formatSinceStart(us - whole.fromUs, 1),
    onKeyDown: onKey(part),
  });
  return (
    <div className="overview">
      <canvas ref={canvas} className="overview-canvas" aria-hidden="true" />
      {/* The parts are sliders with keys of their own; the pointer is heard here, where it is captured. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
      <div
        ref={track}
        className="overview-track"
        role="group"
        aria-label="The whole recording, and the window of what is shown"
        onPointerDown={onDown}
        onPointerMove={onMove}
        onPointerUp={onUp}
        onPointerCancel={onUp}
        onDoubleClick={() => whole !== null && model.setRange(whole)}
      >
        {range !== null && whole !== null && (
          <>
            <div className="overview-shade" data-place="before" />
            <div className="overview-shade" data-place="after" />
            <div
              className="overview-window"
              {...slider('window', range.fromUs / 2 + range.toUs / 2, 'Middle of what is shown')}
              aria-valuetext={`${formatSpan(spanOf(range))} around ${formatSinceStart(
                range.fromUs / 2 + range.toUs / 2 - whole.fromUs,
                1,
              )}`}
            />
            <div
              className="overview-handle"
              data-place="start"
              {...slider('start', range.fromUs, 'Start of what is shown')}
            />
            <div
              className="overview-handle"
              data-place="end"
              {...slider('end', range.toUs, 'End of what is shown')}
            />
          </>
        )}
      </div>
    </div>
  );
}

/** Moves the window with every step of a zoom, without rendering: look.css places its parts by two variables. */
function useWindowPlace(model: ReviewModel, track: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    const place = (): void => {
      const { range, whole } = model.state;
      if (range === null || whole === null) return;
      const share = (us: number): string => `${((us - whole.fromUs) / spanOf(whole)) * 100}%`;
      track.current?.style.setProperty('--from', share(range.fromUs));
      track.current?.style.setProperty('--to', share(range.toUs));
    };
    place();
    const endings = [model.subscribe(place), model.onFrame(place)];
    return () => endings.forEach((end) => end());
  }, [model, track]);
}

/** The range after its part was moved; an end stops where it meets the other. */
function moved({ part, range }: Grip, byUs: number, whole: TimeRange | null): TimeRange {
  if (part === 'window') return panBy(range, byUs);
  const least = whole?.fromUs ?? Number.NEGATIVE_INFINITY;
  const most = whole?.toUs ?? Number.POSITIVE_INFINITY;
  if (part === 'start')
    return { fromUs: Math.max(least, Math.min(range.toUs - 1, range.fromUs + byUs)), toUs: range.toUs };
  return { fromUs: range.fromUs, toUs: Math.min(most, Math.max(range.fromUs + 1, range.toUs + byUs)) };
}

function keySteps(key: string): number | null {
  switch (key) {
    case 'ArrowLeft':
    case 'ArrowDown':
      return -1;
    case 'ArrowRight':
    case 'ArrowUp':
      return 1;
    case 'PageDown':
      return -PAGE_STEPS;
    case 'PageUp':
      return PAGE_STEPS;
    default:
      return null;
  }
}
