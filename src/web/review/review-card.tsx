/** Owns one stream on the review page: its name, its plots with legend, what the crosshair reads, and the same as text. */

import { useEffect, useRef, useState, type CSSProperties } from 'react';

import type { EnvelopeGap } from '#contract/envelope.ts';
import type { StreamDetail } from '#contract/rest.ts';
import { DASH, formatCount, formatMs, formatSegment, formatUnit, formatValue } from '#web/format.ts';
import type { AxisGroup } from '#web/live/axis-groups.ts';
import { useCanvasSize } from '#web/review/canvas-size.ts';
import { LATE_US } from '#web/review/envelope-tile.ts';
import { gapWordsOf } from '#web/review/gap-words.ts';
import type { Lane } from '#web/review/lane.ts';
import { rangeSummary, type AxisSummary } from '#web/review/range-summary.ts';
import { useReadingNumber } from '#web/review/reading-number.ts';
import { isGap, readoutAt, type Readout } from '#web/review/readout.ts';
import type { ReviewModel } from '#web/review/review-model.ts';
import { useReviewState } from '#web/review/review-state.ts';
import { formatSpan, formatTimeOfDay } from '#web/review/time-ticks.ts';
import { spanOf } from '#web/review/view-range.ts';
import { LineSample } from '#web/session/legend.tsx';

/** The crosshair reads the nearest reading within this distance, in CSS pixels. */
const SLACK_PX = 24;

export interface ReviewCardProps {
  readonly model: ReviewModel;
  readonly lane: Lane;
  readonly stream: StreamDetail;
  readonly scheme: 'dark' | 'light';
}

export function ReviewCard({ model, lane, stream, scheme }: ReviewCardProps) {
  const { definition } = stream;
  const name = formatSegment(definition.segment);
  const readout = useReadout(model, lane);
  return (
    <section
      className="trace-card"
      data-side="centre"
      aria-label={name}
      style={{ '--own-panels': lane.groups.length } as CSSProperties}
    >
      <header className="trace-head">
        <h2 className="trace-name" data-side={lane.side}>
          {name}
        </h2>
        <span className="muted small trace-sensor">{definition.sensor}</span>
        <span className="shell-space" />
        {readout === null ? (
          <StoredNote lane={lane} stream={stream} />
        ) : isGap(readout) ? (
          <span className="needs-attention small">{gapWordsOf(readout)[0]}</span>
        ) : (
          <ReadoutNote lane={lane} readout={readout} />
        )}
      </header>
      <div className="trace-body">
        <Plots model={model} lane={lane} name={name} />
        <div className="legends" aria-hidden="true">
          {lane.groups.map((group) => (
            <ReviewLegend
              key={`${group.title} ${group.unit}`}
              {...{ group, lane, scheme }}
              readout={readout === null || isGap(readout) ? null : readout}
            />
          ))}
        </div>
      </div>
      <RangeTable model={model} lane={lane} name={name} stream={stream} />
    </section>
  );
}

/** What the crosshair reads now. Nothing is rendered anew by a zoom while there is no crosshair. */
function useReadout(model: ReviewModel, lane: Lane): Readout | EnvelopeGap | null {
  useReviewState(model, ({ crosshairUs, range, isLoading }) =>
    crosshairUs === null || range === null ? '' : `${crosshairUs} ${range.fromUs} ${range.toUs} ${isLoading}`,
  );
  const { crosshairUs, range } = model.state;
  if (crosshairUs === null || range === null) return null;
  return readoutAt(lane, crosshairUs, (spanOf(range) / model.plot.width) * SLACK_PX);
}

function StoredNote({ lane, stream }: { lane: Lane; stream: StreamDetail }) {
  const stored = stream.epochs.reduce((total, epoch) => total + epoch.stored, 0);
  const count = (ranges: readonly (readonly [number, number])[]): number =>
    ranges.reduce((total, [from, to]) => total + to - from, 0);
  const lost = stream.epochs.reduce((total, epoch) => total + count(epoch.lost), 0);
  const pending = stream.epochs.reduce((total, epoch) => total + count(epoch.pending), 0);
  const hasTailLost = stream.epochs.some((epoch) => epoch.tailLost);
  return (
    <>
      {lane.shiftUs !== 0 && (
        <span
          className="needs-attention small"
          title="Its times are placed by when the server first heard of it"
        >
          clock was not set
        </span>
      )}
      {lost > 0 && <span className="needs-attention small">{formatCount(lost)} lost</span>}
      {hasTailLost && <span className="needs-attention small">end lost</span>}
      {pending > 0 && <span className="needs-attention small">{formatCount(pending)} missing</span>}
      <span className="muted small">
        {stored === 0 ? 'nothing stored' : `${formatCount(stored)} readings stored`}
      </span>
    </>
  );
}

function ReadoutNote({ lane, readout }: { lane: Lane; readout: Readout }) {
  const number = useReadingNumber(lane.id, readout.count === 1 ? readout.deviceUs : null);
  const late = readout.lateUs > LATE_US && (
    <span className="needs-attention small">arrived {formatMs(readout.lateUs / 1000)} late</span>
  );
  if (readout.count === 1)
    return (
      <>
        {late}
        <span className="small review-reading">
          {number === null ? 'one reading' : `reading ${formatCount(number)}`} at{' '}
          {formatTimeOfDay(readout.startUs, 6)}
        </span>
      </>
    );
  return (
    <>
      {late}
      <span className="muted small">
        lowest to highest of {formatCount(readout.count)} readings in{' '}
        {formatSpan(readout.endUs - readout.startUs)}
      </span>
    </>
  );
}

function ReviewLegend({
  group,
  lane,
  scheme,
  readout,
}: {
  group: AxisGroup;
  lane: Lane;
  scheme: 'dark' | 'light';
  readout: Readout | null;
}) {
  return (
    <div className="legend">
      <span className="legend-title">{group.title}</span>
      <span className="muted">{formatUnit(group.unit)}</span>
      <span className="shell-space" />
      {group.axes.map(({ axis, label, style }) => (
        <span key={axis} className="legend-axis">
          <LineSample side={lane.side} scheme={scheme} style={style} />
          {label}
          <span className="legend-value review-value">{valueWords(readout, axis)}</span>
        </span>
      ))}
    </div>
  );
}

function valueWords(readout: Readout | null, axis: number): string {
  const value = readout?.axes[axis];
  if (readout === null || value === undefined) return '';
  const low = formatValue(value.min);
  const high = formatValue(value.max);
  if (value.min === null) return DASH;
  return readout.count === 1 || low === high ? low : `${low} to ${high}`;
}

function Plots({ model, lane, name }: { model: ReviewModel; lane: Lane; name: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useCanvasSize(canvas, (element, size) => model.setLaneSize(lane.id, element, size));
  useEffect(() => {
    const element = canvas.current;
    if (element === null) return;
    const sight = new IntersectionObserver(([entry]) => {
      if (entry !== undefined) model.setLaneVisible(lane.id, entry.isIntersecting);
    });
    sight.observe(element);
    return () => sight.disconnect();
  }, [model, lane]);
  const what = lane.groups.map((group) => group.title.toLowerCase()).join(' and ');
  return (
    <div
      className="trace-host review-plots"
      role="img"
      aria-label={`${name}: ${what} over time. What is shown follows as a table.`}
    >
      <canvas ref={canvas} className="trace-canvas" />
    </div>
  );
}

/** What is summed up only when the picture rests. */
const REST_MS = 500;

/** The picture as text, for who does not see it. */
function RangeTable({ model, lane, name, stream }: ReviewTableProps) {
  const [summary, setSummary] = useState<readonly AxisSummary[]>([]);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const wait = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        const { range } = model.state;
        if (range !== null) setSummary(rangeSummary(lane, range));
      }, REST_MS);
    };
    wait();
    const unsubscribe = model.subscribe(wait);
    return () => {
      unsubscribe();
      clearTimeout(timer);
    };
  }, [model, lane]);
  return (
    <table className="unseen">
      <caption>{name}: what is shown</caption>
      <thead>
        <tr>
          <th scope="col">Axis</th>
          <th scope="col">Lowest</th>
          <th scope="col">Mean</th>
          <th scope="col">Highest</th>
        </tr>
      </thead>
      <tbody>
        {stream.definition.axes.map((axis, i) => (
          <tr key={axis.name}>
            <th scope="row">
              {axis.name}, {formatUnit(axis.unit)}
            </th>
            <td>{formatValue(summary[i]?.min ?? null)}</td>
            <td>{formatValue(summary[i]?.mean ?? null)}</td>
            <td>{formatValue(summary[i]?.max ?? null)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface ReviewTableProps {
  readonly model: ReviewModel;
  readonly lane: Lane;
  readonly name: string;
  readonly stream: StreamDetail;
}
