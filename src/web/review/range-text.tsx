/** Owns what is said of the range that is shown: in words beside the buttons, and once it rests, to a screen reader. */

import { useEffect, useState } from 'react';

import type { ReviewModel } from '#web/review/review-model.ts';
import { useReviewState } from '#web/review/review-state.ts';
import {
  formatDate,
  formatSinceStart,
  formatSpan,
  formatTimeOfDay,
  tickStep,
  secondDigits,
} from '#web/review/time-ticks.ts';
import { isSameRange, spanOf, type TimeRange } from '#web/review/view-range.ts';

/** A range that changes more often is not read out. */
const REST_MS = 700;
/** Digits that tell a hundredth of the range apart. */
const PARTS = 100;

export function RangeText({ model }: { model: ReviewModel }) {
  const range = useReviewState(model, (state) => state.range);
  const whole = useReviewState(model, (state) => state.whole);
  const words = range === null || whole === null ? null : rangeWords(range, whole);
  const [announced, setAnnounced] = useState('');
  const spoken = words === null ? '' : `Shown: ${words.shown}. ${words.of}.`;
  useEffect(() => {
    const timer = setTimeout(() => setAnnounced(spoken), REST_MS);
    return () => clearTimeout(timer);
  }, [spoken]);
  return (
    <p className="review-range" data-testid="range">
      <span className="review-range-shown">{words?.shown ?? '\u00a0'}</span>
      <span className="muted small">{words?.of}</span>
      <span className="unseen" role="status">
        {announced}
      </span>
    </p>
  );
}

export function rangeWords(range: TimeRange, whole: TimeRange): { shown: string; of: string } {
  const digits = secondDigits(tickStep(spanOf(range) / PARTS));
  const since = (us: number): string => formatSinceStart(us - whole.fromUs, digits);
  const shown = `${since(range.fromUs)} to ${since(range.toUs)}`;
  const clock = `${formatDate(range.fromUs)}, ${formatTimeOfDay(range.fromUs, 0)}`;
  const length = isSameRange(range, whole)
    ? `all ${formatSpan(spanOf(whole))}`
    : `${formatSpan(spanOf(range))} of ${formatSpan(spanOf(whole))}`;
  return { shown, of: `${length}, from ${clock}` };
}
