/** Owns the crosshair: one line over all streams, with its time in words on the axis. */

import { useEffect, useRef, type RefObject } from 'react';

import type { ReviewModel } from '#web/review/review-model.ts';
import { useReviewState } from '#web/review/review-state.ts';
import { formatSinceStart, formatTimeOfDay, secondDigits, tickStep } from '#web/review/time-ticks.ts';
import { spanOf } from '#web/review/view-range.ts';

/** Puts an element where the crosshair is: at every step of a zoom, without rendering. Hidden where there is none. */
function useCrosshairPlace(model: ReviewModel): RefObject<HTMLDivElement | null> {
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const place = (): void => {
      const { crosshairUs, range } = model.state;
      const { current } = element;
      if (current === null) return;
      const share =
        crosshairUs === null || range === null ? -1 : (crosshairUs - range.fromUs) / spanOf(range);
      current.hidden = share < 0 || share > 1;
      current.style.transform = `translateX(${model.plot.left + share * model.plot.width}px)`;
    };
    place();
    const endings = [model.subscribe(place), model.onFrame(place)];
    return () => endings.forEach((end) => end());
  }, [model]);
  return element;
}

export function CrosshairLine({ model }: { model: ReviewModel }) {
  return <div ref={useCrosshairPlace(model)} className="crosshair" hidden />;
}

export function CrosshairTime({ model }: { model: ReviewModel }) {
  const element = useCrosshairPlace(model);
  const crosshairUs = useReviewState(model, (state) => state.crosshairUs);
  const digits = useReviewState(model, ({ range }) =>
    range === null ? 0 : secondDigits(tickStep(spanOf(range) / model.plot.width)),
  );
  const startUs = useReviewState(model, ({ whole }) => whole?.fromUs ?? 0);
  return (
    <div ref={element} className="crosshair-time" hidden>
      <div>
        <span>{crosshairUs === null ? '' : formatSinceStart(crosshairUs - startUs, digits)}</span>
        <span className="muted">{crosshairUs === null ? '' : formatTimeOfDay(crosshairUs, digits)}</span>
      </div>
    </div>
  );
}
