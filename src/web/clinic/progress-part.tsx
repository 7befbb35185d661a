/** Owns the progress of a patient: one figure over all sessions as a plot, and the same as a table. */

import { Skeleton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useMemo, useState } from 'react';

import { clinicLimits, type ProgressPage } from '#contract/clinic.ts';
import { metricCatalogue, metricGroups, metricOf } from '#motion/metric-catalogue.ts';
import { FigureText } from '#web/clinic/figure-text.tsx';
import {
  progressPoints,
  progressSeries,
  type ProgressPoint,
  type ProgressSide,
} from '#web/clinic/progress-data.ts';
import { ProgressPlot } from '#web/clinic/progress-plot.tsx';
import { DASH, formatCount } from '#web/format.ts';
import { Instant } from '#web/list/instant.tsx';
import { groupTitles } from '#web/motion/metric-groups.ts';
import { unitWords } from '#web/motion/metric-rows.ts';
import { ProblemNotice } from '#web/page-states.tsx';
import { server } from '#web/server.ts';

const sideWords: Readonly<Record<ProgressSide, string>> = {
  left: 'Left',
  right: 'Right',
  both: 'Both sides',
};

export interface ProgressPartProps {
  readonly patientId: string;
  readonly metric: string;
  readonly setMetric: (metric: string) => void;
}

export function ProgressPart({ patientId, metric, setMetric }: ProgressPartProps) {
  const known = metricOf(metric);
  const progress = useQuery({
    queryKey: ['progress', patientId, metric],
    queryFn: ({ signal }) =>
      server.call<ProgressPage>(
        'GET',
        `/v1/patients/${patientId}/progress?metric=${metric}&limit=${clinicLimits.progressSessions}`,
        { signal },
      ),
    placeholderData: (before) => before,
  });
  const points = useMemo(
    () => (progress.data === undefined ? null : progressPoints(progress.data.sessions, metric)),
    [progress.data, metric],
  );
  return (
    <section className="card progress" aria-labelledby="progress-title">
      <div className="progress-head">
        <h2 id="progress-title">Progress</h2>
        <label>
          <span className="unseen">Figure</span>
          <select className="input" value={metric} onChange={(event) => setMetric(event.currentTarget.value)}>
            {metricGroups.map((group) => (
              <optgroup key={group} label={groupTitles[group]}>
                {metricCatalogue
                  .filter((entry) => entry.group === group)
                  .map(({ name, label }) => (
                    <option key={name} value={name}>
                      {label}
                    </option>
                  ))}
              </optgroup>
            ))}
          </select>
        </label>
        <span className="muted small">{known?.hint}</span>
      </div>
      {progress.isError && <ProblemNotice error={progress.error} retry={() => void progress.refetch()} />}
      {points === null ? (
        <Skeleton height={360} animate={false} />
      ) : (
        <Progress
          points={points}
          unit={unitWords(known?.unit ?? '')}
          digits={known?.digits ?? 2}
          label={known?.label ?? metric}
          hasOlder={progress.data?.next !== null}
        />
      )}
    </section>
  );
}

interface ProgressProps {
  readonly points: readonly ProgressPoint[];
  readonly unit: string;
  readonly digits: number;
  readonly label: string;
  readonly hasOlder: boolean;
}

function Progress({ points, unit, digits, label, hasOlder }: ProgressProps) {
  const [pointed, setPointed] = useState<number | null>(null);
  const sides = useMemo(() => progressSeries(points).map(({ side }) => side), [points]);
  if (points.length === 0)
    return (
      <p className="muted progress-none">
        No session was analysed yet. A point comes here seconds after a session has ended.
      </p>
    );
  if (sides.length === 0)
    return (
      <p className="muted progress-none">
        None of {formatCount(points.length)} analysed sessions has {label.toLowerCase()}. It may need other
        sensors.
      </p>
    );
  const newestFirst = points.map((point, index) => ({ point, index })).toReversed();
  return (
    <>
      <p className="progress-legend small">
        {sides.map((side) => (
          <span key={side} className="side-mark" data-side={side}>
            {sideWords[side]}
          </span>
        ))}
        <span className="muted">Whisker: known error, where it was measured</span>
      </p>
      <ProgressPlot points={points} unit={unit} digits={digits} onPoint={setPointed} />
      <div className="list-scroll">
        <table className="metrics progress-table">
          <caption className="unseen">{label} by session, newest first</caption>
          <thead>
            <tr>
              <th scope="col">Session</th>
              {sides.map((side) => (
                <th key={side} scope="col">
                  {sideWords[side]}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {newestFirst.map(({ point, index }) => (
              <tr key={point.session} data-selected={pointed === index}>
                <th scope="row">
                  <Link to="/sessions/$id" params={{ id: point.session }}>
                    <Instant at={point.startedAt} />
                  </Link>
                </th>
                {sides.map((side) => {
                  const figure = point.figures[side];
                  return <td key={side}>{figure === null ? DASH : <FigureText figure={figure} />}</td>;
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {hasOlder && (
        <p className="muted small">
          The newest {formatCount(points.length)} sessions are drawn; older ones are kept.
        </p>
      )}
    </>
  );
}
