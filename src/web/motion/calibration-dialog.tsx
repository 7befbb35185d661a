/**
 * Owns the guided calibration on the page: it says what the wearer should do, shows how far it is, and stores how each
 * sensor sits. It follows the live readings of the session by a connection of its own while it is open.
 */

import { Button } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useMemo, useRef, useState } from 'react';

import { AppError } from '#base/errors.ts';
import type { BodyModel as StoredBodyModel, SessionBodyModel } from '#contract/motion.ts';
import type { SessionDetail } from '#contract/rest.ts';
import type { BodyModel } from '#motion/body-model.ts';
import { createCalibrationGuide, type CalibrationGuide, type GuideState } from '#motion/calibration/guide.ts';
import { connectLive } from '#sdk/live-client.ts';
import { formatSegment } from '#web/format.ts';
import { createCalibrationFeed } from '#web/motion/calibration-feed.ts';
import { describeProblem } from '#web/page-states.tsx';
import { liveCredential, server } from '#web/server.ts';

export interface CalibrationDialogProps {
  readonly detail: SessionDetail;
  readonly open: boolean;
  readonly close: () => void;
}

export function CalibrationDialog({ detail, open, close }: CalibrationDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const { id } = detail.session;
  const { data, error } = useQuery({
    queryKey: ['body-model', id],
    queryFn: ({ signal }) => server.bodyModel(id, signal),
    enabled: open,
  });
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  return (
    <dialog ref={dialog} className="dialog body-dialog" aria-labelledby="calibration-title" onClose={close}>
      <h2 id="calibration-title">Calibrate the sensors</h2>
      {open && data === undefined && (
        <p role="status" className="muted">
          {error === null ? 'Asking the server' : problemText(error)}
        </p>
      )}
      {open && data !== undefined && <Calibration key={data.revision} {...{ detail, stored: data }} />}
      <div className="body-buttons">
        <span className="shell-space" />
        <Button variant="default" size="xs" onClick={close}>
          Close
        </Button>
      </div>
    </dialog>
  );
}

function problemText(error: unknown): string {
  const { title, next } = describeProblem(error);
  return `${title}. ${next}`;
}

interface CalibrationProps {
  readonly detail: SessionDetail;
  readonly stored: SessionBodyModel;
}

function Calibration({ detail, stored }: CalibrationProps) {
  const guide = useMemo(() => createCalibrationGuide(stored.bodyModel as BodyModel), [stored]);
  const [state, setState] = useState<GuideState>(guide.state);
  const [said, setSaid] = useState('');
  const hasReadings = useGuideReadings({ detail, stored, guide, changed: () => setState(guide.state) });
  const client = useQueryClient();
  const { session, revision, mayEdit } = stored;
  const save = async (): Promise<void> => {
    try {
      const next = await server.setBodyModel(session, {
        // The same, but for what may be changed.
        bodyModel: guide.bodyModel() as StoredBodyModel,
        revision,
      });
      setSaid('Stored. The session is analysed again.');
      client.setQueryData(['body-model', session], next);
      await client.invalidateQueries({ queryKey: ['motion', session] });
    } catch (error) {
      const isConflict = error instanceof AppError && error.code === 'conflict';
      setSaid(
        isConflict
          ? 'Nothing was stored: somebody changed the sensors meanwhile. Close this and begin again.'
          : `Nothing was stored. ${problemText(error)}`,
      );
    }
  };
  if (state.stepCount === 0)
    return <p>No sensor of this session is worn where a movement can say how it sits.</p>;
  const { step } = state;
  return (
    <>
      {step === null ? (
        <p>Every sensor is calibrated.</p>
      ) : (
        <>
          <p className="muted">
            Step {state.stepNumber} of {state.stepCount}
          </p>
          <p className="calibration-instruction" aria-live="polite">
            {step.instruction}
          </p>
          <progress
            className="calibration-progress"
            max={1}
            value={state.progress}
            aria-label="How far this step is"
          />
        </>
      )}
      <p role="status" className={state.hint === null ? 'body-said' : 'body-said needs-attention'}>
        {said !== '' ? said : hintOf(state, hasReadings)}
      </p>
      <Results stored={stored} guide={guide} state={state} />
      <div className="body-buttons">
        <Button
          variant="default"
          size="xs"
          disabled={!mayEdit || guide.results.size === 0}
          onClick={() => void save()}
        >
          Store
        </Button>
        <Button
          variant="default"
          size="xs"
          onClick={() => {
            guide.restart();
            setSaid('');
            setState(guide.state);
          }}
        >
          Begin again
        </Button>
        {!mayEdit && <span className="muted small">You may look but not store it.</span>}
      </div>
    </>
  );
}

function hintOf({ hint }: GuideState, hasReadings: boolean): string {
  if (hint === null) return hasReadings ? '' : 'Waiting for readings of this session';
  return `${hint[0]!.toUpperCase()}${hint.slice(1)}`;
}

/** What is known of each sensor so far. */
function Results({
  stored,
  guide,
  state,
}: {
  stored: SessionBodyModel;
  guide: CalibrationGuide;
  state: GuideState;
}) {
  return (
    <table className="body-table">
      <thead>
        <tr>
          <th scope="col">Sensor</th>
          <th scope="col">Calibration</th>
        </tr>
      </thead>
      <tbody>
        {stored.bodyModel.placements.map(({ stream, segment }, placement) => {
          const result = guide.results.get(placement);
          const isNow = state.step?.segments.includes(segment) === true;
          return (
            <tr key={stream}>
              <th scope="row">{formatSegment(segment)}</th>
              <td className={result === undefined ? 'muted' : ''}>
                {result === undefined
                  ? isNow
                    ? 'under way'
                    : 'not yet'
                  : `done, quality ${Math.round(result.quality * 100)} %`}
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

/** Feeds the guide while it is shown. Returns whether readings come. */
function useGuideReadings({
  detail,
  stored,
  guide,
  changed,
}: CalibrationProps & { readonly guide: CalibrationGuide; readonly changed: () => void }): boolean {
  const [hasReadings, setHasReadings] = useState(false);
  const latest = useRef(changed);
  latest.current = changed;
  useEffect(() => {
    const feed = createCalibrationFeed(guide, stored.bodyModel, detail.streams);
    const client = connectLive({
      url: `${location.origin.replace(/^http/, 'ws')}/v1/live`,
      ...liveCredential(),
      onReadings(_, { frames }) {
        setHasReadings(true);
        if (feed.take(frames)) latest.current();
      },
    });
    client.subscribe(`session/${detail.session.id}/readings`);
    return () => client.close();
    // The streams of a session do not change what its sensors are.
    // oxlint-disable-next-line react-hooks/exhaustive-deps
  }, [guide, stored, detail.session.id]);
  return hasReadings;
}
