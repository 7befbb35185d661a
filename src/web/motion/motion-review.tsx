/**
 * Owns what the stored readings of a session tell of motion, below their plots: figures with errors and norms, mean gait
 * cycles, and all strides. What is provisional says why.
 */

import { Button } from '@mantine/core';
import { useQuery, type UseQueryResult } from '@tanstack/react-query';
import { useMemo, useState } from 'react';

import type { MotionAnalysis } from '#contract/motion.ts';
import type { SessionDetail } from '#contract/rest.ts';
import { normOf } from '#motion/norms.ts';
import { AppError } from '#base/errors.ts';
import { useAccount } from '#web/account/account-context.ts';
import { formatCount } from '#web/format.ts';
import { angleGroups, chooseGroup } from '#web/motion/angle-groups.ts';
import { BodyModelDialog } from '#web/motion/body-model-dialog.tsx';
import { CycleAxis, CycleChart } from '#web/motion/cycle-chart.tsx';
import { cycleCurves } from '#web/motion/cycle-curves.ts';
import { FigureTable } from '#web/motion/figure-table.tsx';
import type { Stride } from '#web/motion/gait-feed.ts';
import { GroupChoice } from '#web/motion/group-choice.tsx';
import { bandsOf, useNorms, type Norms } from '#web/motion/norms-query.ts';
import { shiftOf } from '#web/motion/step-lane.tsx';
import { formatSort, parseSort } from '#web/motion/stride-rows.ts';
import { StrideTable } from '#web/motion/stride-table.tsx';
import { describeProblem } from '#web/page-states.tsx';
import type { ReviewModel } from '#web/review/review-model.ts';
import { useReviewState } from '#web/review/review-state.ts';
import { formatSinceStart } from '#web/review/time-ticks.ts';
import { server } from '#web/server.ts';
import type { ViewSearch } from '#web/session/view-search.ts';

/** The newest of them; a mean of more is no steadier to look at. */
const CYCLES = 40;
/** Windows are analysed within seconds of their commit. */
const REFRESH_MS = 4_000;

export function useMotionAnalysis(session: string): UseQueryResult<MotionAnalysis> {
  return useQuery({
    queryKey: ['motion', session],
    queryFn: ({ signal }) => server.motion({ sessionId: session, cycles: CYCLES }, signal),
    // What is final stays; a server that does not analyse will not begin to while somebody looks.
    refetchInterval: ({ state: { data, error } }) =>
      data?.isProvisional === false || isNotThere(error) ? false : REFRESH_MS,
  });
}

export interface MotionReviewProps {
  readonly model: ReviewModel;
  readonly detail: SessionDetail;
  readonly query: UseQueryResult<MotionAnalysis>;
  readonly search: ViewSearch;
  readonly setSearch: (change: Partial<ViewSearch>) => void;
}

export function MotionReview({ model, detail, query, search, setSearch }: MotionReviewProps) {
  const { role } = useAccount();
  const [modelOpen, setModelOpen] = useState(false);
  const analysis = query.data;
  return (
    <section className="motion-review" aria-labelledby="motion-title" aria-busy={query.isPending}>
      <header className="motion-head">
        <h2 id="motion-title">Motion</h2>
        {analysis?.isProvisional === true && <span className="tag">provisional</span>}
        <p className="motion-words" role="status">
          {stateWords(query)}
        </p>
        <span className="shell-space" />
        {role !== 'patient' && (
          <Button variant="default" size="xs" onClick={() => setModelOpen(true)}>
            Sensors and body
          </Button>
        )}
      </header>
      {analysis !== undefined && analysis.strides.length + analysis.cycles.length > 0 && (
        <Findings {...{ model, analysis, search, setSearch }} />
      )}
      <BodyModelDialog detail={detail} open={modelOpen} close={() => setModelOpen(false)} />
    </section>
  );
}

function stateWords({ data, error, isPending }: UseQueryResult<MotionAnalysis>): string {
  if (data !== undefined) {
    if (data.reason !== null) return sentence(data.reason);
    const { length } = data.strides;
    if (length > 0)
      return `${formatCount(length)} ${length === 1 ? 'stride' : 'strides'}, from all stored readings`;
    return data.notices.at(-1)?.text ?? 'No strides were found in the stored readings';
  }
  if (isPending) return 'Asking for the analysis';
  if (isNotThere(error)) return 'This server does not analyse motion';
  const { title, next } = describeProblem(error);
  return `${title}. ${next}`;
}

/** The server's reasons are parts of sentences elsewhere. */
function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}

function isNotThere(error: unknown): boolean {
  return error instanceof AppError && error.code === 'not-found';
}

interface FindingsProps extends Pick<MotionReviewProps, 'model' | 'search' | 'setSearch'> {
  readonly analysis: MotionAnalysis;
}

function Findings({ model, analysis, search, setSearch }: FindingsProps) {
  const norms = useNorms();
  const shiftUs = shiftOf(model, analysis);
  const startUs = useReviewState(model, ({ whole }) => whole?.fromUs ?? 0) - shiftUs;
  const show = ({ startUs: fromUs, endUs }: Stride): void => {
    const marginUs = (endUs - fromUs) / 2;
    model.setRange({ fromUs: fromUs + shiftUs - marginUs, toUs: endUs + shiftUs + marginUs });
    model.setCrosshair(fromUs + shiftUs);
    window.scrollTo({ top: 0 });
  };
  return (
    <>
      <div className="motion-findings">
        <div>
          <div className="findings-head">
            <h3 id="figures-title">Figures</h3>
            <p className="muted small">{usualWords(norms)}</p>
          </div>
          <FigureTable metrics={analysis.metrics} norms={norms} />
        </div>
        <MeanCycles {...{ analysis, norms, search, setSearch }} />
      </div>
      <div className="findings-head">
        <h3 id="strides-title">Strides</h3>
      </div>
      <StrideTable
        strides={analysis.strides}
        turns={analysis.turns}
        startUs={startUs}
        sort={parseSort(search.strides)}
        setSort={(sort) => setSearch({ strides: formatSort(sort) })}
        show={show}
      />
      <Notices analysis={analysis} startUs={startUs} />
    </>
  );
}

function usualWords(norms: Norms | null): string {
  const range = norms === null ? null : normOf(norms.figures, 'cadence');
  return range === null ? '' : `Usual: ${range.population}, mean ± 1 SD`;
}

function MeanCycles({
  analysis,
  norms,
  search,
  setSearch,
}: Omit<FindingsProps, 'model'> & { readonly norms: Norms | null }) {
  const { cycles, strides } = analysis;
  const groups = useMemo(() => angleGroups(namesOf(analysis)), [analysis]);
  const group = chooseGroup(groups, search.angles);
  const curves = useMemo(
    () => group?.curves.map(({ key }) => cycleCurves(key, { cycles, strides, committed: 'all' })) ?? [],
    [group, cycles, strides],
  );
  const bands = group?.curves.map(({ key }) => bandsOf(norms, key)) ?? [];
  return (
    <div className="mean-cycles" data-provisional={analysis.isProvisional}>
      <div className="findings-head">
        <h3>Gait cycles</h3>
        <span className="shell-space" />
        <GroupChoice groups={groups} chosen={group} choose={(angles) => setSearch({ angles })} />
      </div>
      <div className="motion-cycles">
        {group?.curves.map(({ key, label }, i) => (
          <CycleChart key={key} label={label} curves={curves[i]!} bands={bands[i]!} />
        ))}
        {group === null ? (
          <p className="motion-nothing muted">No gait cycle was found</p>
        ) : (
          <CycleAxis bands={bands.flat()} />
        )}
      </div>
    </div>
  );
}

/** As columns of live angles are named: what a left and a right cycle both have is of both sides. */
function namesOf({ cycles }: MotionAnalysis): string[] {
  const names = new Set<string>();
  for (const { side, curves } of cycles) for (const key of Object.keys(curves)) names.add(`${side}-${key}`);
  return [...names];
}

/** More are no news. */
const NOTICES = 50;

function Notices({ analysis, startUs }: { analysis: MotionAnalysis; startUs: number }) {
  if (analysis.notices.length === 0) return null;
  return (
    <>
      <div className="findings-head">
        <h3>To be known</h3>
      </div>
      <ul className="motion-notices">
        {analysis.notices.slice(-NOTICES).map(({ timeUs, code, segment, text }) => (
          <li key={`${timeUs} ${code} ${segment} ${text}`}>
            <span className="muted">{formatSinceStart(timeUs - startUs, 1)}</span> {text}
          </li>
        ))}
      </ul>
    </>
  );
}
