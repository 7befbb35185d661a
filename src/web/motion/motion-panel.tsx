/**
 * Owns the live motion of a session on its page: figures with their errors, moving angles, the last gait cycles and the
 * newest strides. Its size does not depend on what has come: nothing below it moves.
 */

import { Button, useComputedColorScheme } from '@mantine/core';
import { useMemo, useState } from 'react';

import type { SessionDetail } from '#contract/rest.ts';
import { useChannel } from '#sdk/react-hooks.ts';
import { useAccount, useMay } from '#web/account/account-context.ts';
import { AngleSweep } from '#web/motion/angle-sweep.tsx';
import { angleGroups, chooseGroup, type AngleGroup } from '#web/motion/angle-groups.ts';
import { BodyModelDialog } from '#web/motion/body-model-dialog.tsx';
import { CalibrationDialog } from '#web/motion/calibration-dialog.tsx';
import { CycleAxis, CycleChart } from '#web/motion/cycle-chart.tsx';
import { cycleCurves } from '#web/motion/cycle-curves.ts';
import { gaitFeedOf, KEPT_EVENTS, type GaitFeed, type GaitMessage } from '#web/motion/gait-feed.ts';
import { GroupChoice } from '#web/motion/group-choice.tsx';
import { useLiveAngles } from '#web/motion/live-angles-hook.ts';
import { liveFigures } from '#web/motion/live-figures.ts';
import { MetricTable } from '#web/motion/metric-table.tsx';
import { motionWords } from '#web/motion/motion-words.ts';
import { tellsMotion } from '#web/motion/sensor-check.ts';
import { bandsOf, useNorms } from '#web/motion/norms-query.ts';
import { StrideStrip } from '#web/motion/stride-strip.tsx';
import { DEFAULT_WINDOW, type ViewSearch } from '#web/session/view-search.ts';

export interface MotionPanelProps {
  readonly detail: SessionDetail;
  readonly isFrozen: boolean;
  readonly search: ViewSearch;
  readonly setSearch: (change: Partial<ViewSearch>) => void;
}

export function MotionPanel({ detail, isFrozen, search, setSearch }: MotionPanelProps) {
  const { id, synthetic } = detail.session;
  const { role } = useAccount();
  const may = useMay();
  const scheme = useComputedColorScheme('dark', { getInitialValueInEffect: false });
  const { feed, status, refusal } = useGaitFeed(id, isFrozen);
  const { source, state } = useLiveAngles(id);
  const [opened, setOpened] = useState<'body-model' | 'calibration' | null>(null);
  const groups = useMemo(() => angleGroups(state.columns), [state.columns]);
  const group = chooseGroup(groups, search.angles);
  const words = motionWords({
    // Without angles the strides are not worth the panel: the server does not analyse.
    connection: state.refusal === null ? status : 'refused',
    refusal: refusal?.message ?? state.refusal,
    feed,
    hasAngles: state.latestUs !== null,
    newestUs: Math.max(state.latestUs ?? 0, feed.strides.at(-1)?.endUs ?? 0) || null,
  });
  const isPossible = tellsMotion(detail.streams) || feed.summary !== null;
  const isHidden = search.motion === 'hidden' || !isPossible;
  return (
    <section className="motion" aria-labelledby="motion-title" data-hidden={isHidden}>
      <header className="motion-head">
        <h2 id="motion-title">Motion</h2>
        {synthetic && <span className="tag">synthetic</span>}
        <p className="motion-words">{words.text}</p>
        <p className="motion-words needs-attention" role="status" title={words.notice ?? undefined}>
          {words.notice}
        </p>
        <span
          className="muted small motion-legend"
          title="What is computed as readings arrive may still change. The stored analysis follows it within seconds, and stays."
        >
          thin: provisional, full: stored
        </span>
        <span className="shell-space" />
        {!isHidden && (
          <GroupChoice groups={groups} chosen={group} choose={(angles) => setSearch({ angles })} />
        )}
        {role !== 'patient' && (
          <Button variant="default" size="xs" onClick={() => setOpened('body-model')}>
            Sensors and body
          </Button>
        )}
        {may('session.write') && (
          <Button variant="default" size="xs" onClick={() => setOpened('calibration')}>
            Calibrate
          </Button>
        )}
        {isPossible && (
          <Button
            variant="default"
            size="xs"
            aria-expanded={!isHidden}
            onClick={() => setSearch({ motion: isHidden ? undefined : 'hidden' })}
          >
            {isHidden ? 'Show' : 'Hide'}
          </Button>
        )}
      </header>
      {!isHidden && (
        <>
          <div className="motion-body">
            <Figures feed={feed} />
            <AngleSweep
              source={source}
              group={group}
              latest={state.latest}
              committed={feed.committed}
              windowMs={(search.window ?? DEFAULT_WINDOW) * 1000}
              isFrozen={isFrozen}
              scheme={scheme}
            />
            <Cycles feed={feed} group={group} />
          </div>
          <StrideStrip feed={feed} />
        </>
      )}
      <BodyModelDialog detail={detail} open={opened === 'body-model'} close={() => setOpened(null)} />
      <CalibrationDialog detail={detail} open={opened === 'calibration'} close={() => setOpened(null)} />
    </section>
  );
}

/** Frozen, it stays what it was; what came meanwhile is there when it goes on. */
function useGaitFeed(session: string, isFrozen: boolean) {
  const { status, messages, refusal } = useChannel(`session/${session}/gait`, {
    last: KEPT_EVENTS,
    keep: KEPT_EVENTS,
  });
  const feed = useMemo(() => gaitFeedOf(messages as readonly GaitMessage[]), [messages]);
  const [frozen, setFrozen] = useState<GaitFeed | null>(null);
  if (isFrozen !== (frozen !== null)) setFrozen(isFrozen ? feed : null);
  return { status, feed: frozen ?? feed, refusal };
}

function Figures({ feed }: { feed: GaitFeed }) {
  const rows = useMemo(() => liveFigures(feed.summary?.metrics ?? []), [feed.summary]);
  return (
    // A region that scrolls must be reachable by keyboard (axe: scrollable-region-focusable).
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className="motion-figures" role="region" aria-label="Figures of gait so far" tabIndex={0}>
      <MetricTable caption="Figures of gait so far, provisional" rows={rows} />
    </div>
  );
}

function Cycles({ feed, group }: { feed: GaitFeed; group: AngleGroup | null }) {
  const { cycles, strides, committed } = feed;
  const curves = useMemo(
    () => group?.curves.map(({ key }) => cycleCurves(key, { cycles, strides, committed })),
    [group, cycles, strides, committed],
  );
  const norms = useNorms();
  const bands = group?.curves.map(({ key }) => bandsOf(norms, key)) ?? [];
  return (
    <div className="motion-cycles">
      {group?.curves.map(({ key, label }, i) => (
        <CycleChart key={key} label={label} curves={curves![i]!} bands={bands[i]!} />
      ))}
      {group === null && <p className="motion-nothing muted">No gait cycle yet</p>}
      {group !== null && <CycleAxis bands={bands.flat()} />}
    </div>
  );
}
