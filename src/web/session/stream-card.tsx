/** Owns one stream on the live page: its name, its traces with legend, and its newest values as text. */

import { useEffect, useRef, type CSSProperties } from 'react';

import type { StreamDetail } from '#contract/rest.ts';
import { formatRate, formatSeconds, formatSegment, formatUnit, formatValue } from '#web/format.ts';
import { groupAxes, type AxisGroup, type BodySide } from '#web/live/axis-groups.ts';
import type { LiveController } from '#web/live/live-controller.ts';
import type { StreamReport } from '#web/live/worker-messages.ts';
import { Legend } from '#web/session/legend.tsx';

export interface StreamCardProps {
  readonly stream: StreamDetail;
  readonly side: BodySide;
  /** No row of the page has two streams: each takes the whole width. */
  readonly isAlone: boolean;
  readonly report: StreamReport | undefined;
  /** The page has no connection: that no readings come is not the sensor's doing. */
  readonly isCutOff: boolean;
  readonly controller: LiveController | null;
  readonly scheme: 'dark' | 'light';
  readonly isSelected: boolean;
  readonly select: (stream: string) => void;
}

export function StreamCard(props: StreamCardProps) {
  const { stream, side, isAlone, report, isCutOff, controller, scheme, isSelected, select } = props;
  const { definition } = stream;
  const groups = groupAxes(definition.axes);
  const name = formatSegment(definition.segment);
  const card = useRef<HTMLElement>(null);
  useEffect(() => {
    if (isSelected) card.current?.scrollIntoView({ block: 'nearest' });
  }, [isSelected]);
  return (
    <section
      ref={card}
      className="trace-card"
      data-side={isAlone ? 'centre' : side}
      data-selected={isSelected}
      aria-label={name}
      style={{ '--own-panels': groups.length } as CSSProperties}
    >
      <header className="trace-head">
        <h2>
          <button
            type="button"
            className="trace-name"
            data-side={side}
            aria-pressed={isSelected}
            onClick={() => select(definition.stream)}
          >
            {name}
          </button>
        </h2>
        <span className="muted small">{definition.sensor}</span>
        <span className="shell-space" />
        <StreamNote report={report} isCutOff={isCutOff} />
      </header>
      <div className="trace-body">
        <TraceCanvas stream={definition.stream} name={name} groups={groups} controller={controller} />
        <div className="legends" aria-hidden="true">
          {groups.map((group) => (
            <Legend
              key={`${group.title} ${group.unit}`}
              {...{ group, side, scheme }}
              latest={report?.latest ?? []}
            />
          ))}
        </div>
      </div>
      <LatestValues name={name} stream={stream} report={report} />
    </section>
  );
}

/** What a glance at the card should tell: the rate, or that the sensor is silent. */
function StreamNote({ report, isCutOff }: Pick<StreamCardProps, 'report' | 'isCutOff'>) {
  if (isCutOff) return <span className="muted small">not connected</span>;
  if (report === undefined || report.lastReadingAgeMs === null)
    return <span className="muted small">no readings yet</span>;
  if (report.isSilent)
    return (
      <span className="needs-attention small">
        no readings for {formatSeconds(report.lastReadingAgeMs / 1000)}
      </span>
    );
  return <span className="muted small">{formatRate(report.rate)}</span>;
}

function TraceCanvas({
  stream,
  name,
  groups,
  controller,
}: {
  stream: string;
  name: string;
  groups: readonly AxisGroup[];
  controller: LiveController | null;
}) {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (controller === null || host.current === null) return;
    return controller.attachCanvas(stream, host.current);
  }, [controller, stream]);
  const what = groups.map((group) => group.title.toLowerCase()).join(' and ');
  return (
    <div
      ref={host}
      className="trace-host"
      role="img"
      aria-label={`${name}: live traces of ${what}. The newest values follow as a table.`}
    />
  );
}

/** The picture as text, for who does not see it. */
function LatestValues({
  name,
  stream,
  report,
}: {
  name: string;
  stream: StreamDetail;
  report: StreamReport | undefined;
}) {
  return (
    <table className="unseen">
      <caption>Newest values, {name}</caption>
      <tbody>
        {stream.definition.axes.map((axis, i) => (
          <tr key={axis.name}>
            <th scope="row">{axis.name}</th>
            <td>
              {formatValue(report?.latest[i] ?? null)} {formatUnit(axis.unit)}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
