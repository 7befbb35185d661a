/** Owns the lane of steps among the streams of a review: drawn with them at every step of a zoom, without rendering. */

import { useEffect, useMemo, useRef } from 'react';

import type { MotionAnalysis } from '#contract/motion.ts';
import { palettes } from '#web/live/palette.ts';
import type { CanvasSize } from '#web/live/trace-layout.ts';
import { stanceBars } from '#web/motion/stance-bars.ts';
import { paintSteps } from '#web/motion/step-painter.ts';
import { useCanvasSize } from '#web/review/canvas-size.ts';
import type { ReviewModel } from '#web/review/review-model.ts';

export interface StepLaneProps {
  readonly model: ReviewModel;
  /** Null until it has come. */
  readonly analysis: MotionAnalysis | null;
  readonly scheme: 'dark' | 'light';
}

export function StepLane({ model, analysis, scheme }: StepLaneProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const size = useRef<CanvasSize | null>(null);
  const paint = useRef<() => void>(() => undefined);
  const contacts = analysis?.contacts;
  const bars = useMemo(
    () => ({ left: stanceBars(contacts ?? [], 'left'), right: stanceBars(contacts ?? [], 'right') }),
    [contacts],
  );
  useEffect(() => {
    paint.current = () => {
      const context = canvas.current?.getContext('2d', { alpha: false });
      const { range } = model.state;
      if (size.current === null || context === null || context === undefined || range === null) return;
      paintSteps(context, {
        range,
        shiftUs: shiftOf(model, analysis),
        bars,
        turns: analysis?.turns ?? [],
        isProvisional: analysis?.isProvisional ?? true,
        size: size.current,
        palette: palettes[scheme],
      });
    };
    paint.current();
  }, [model, analysis, bars, scheme]);
  useEffect(() => model.onFrame(() => paint.current()), [model]);
  useCanvasSize(canvas, (element, next) => {
    size.current = next;
    element.width = next.width;
    element.height = next.height;
    paint.current();
  });
  const count = contacts?.length ?? 0;
  return (
    <section className="trace-card step-lane" data-side="centre" aria-label="Steps">
      <header className="trace-head">
        <h2 className="trace-name">Steps</h2>
        <span className="muted small">foot on the ground, from initial to final contact</span>
        <span className="shell-space" />
        <span className="muted small" data-testid="contacts">
          {analysis === null ? '' : `${count} contacts${analysis.isProvisional ? ', provisional' : ''}`}
        </span>
      </header>
      <div
        className="step-body review-plots"
        role="img"
        aria-label={`Steps over time: ${count} contacts. The strides follow as a table.`}
      >
        <canvas ref={canvas} className="trace-canvas" />
      </div>
    </section>
  );
}

/** What the page adds to device times, as for the streams that the analysis is of. */
export function shiftOf(model: ReviewModel, analysis: MotionAnalysis | null): number {
  for (const { stream } of analysis?.bodyModel.placements ?? []) {
    const lane = model.lanes.get(stream);
    if (lane !== undefined) return lane.shiftUs;
  }
  return 0;
}
