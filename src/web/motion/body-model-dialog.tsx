/**
 * Owns the editor of a session's body model: which stream is worn where, how its axes are found, how tall the wearer is,
 * and the order to analyse again. Who may not change it sees it, with the reason.
 */

import { Button } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, useState, type FormEvent } from 'react';

import { AppError } from '#base/errors.ts';
import type { SessionBodyModel } from '#contract/motion.ts';
import type { SessionDetail } from '#contract/rest.ts';
import { segments } from '#motion/body-model.ts';
import { useAccount } from '#web/account/account-context.ts';
import { formatSegment } from '#web/format.ts';
import {
  draftOf,
  modelOf,
  noProblems,
  problemAt,
  problemsOf,
  type AlignmentKind,
  type BodyDraft,
  type PlacementDraft,
} from '#web/motion/body-model-form.ts';
import { describeProblem } from '#web/page-states.tsx';
import { server } from '#web/server.ts';

export interface BodyModelDialogProps {
  readonly detail: SessionDetail;
  readonly open: boolean;
  readonly close: () => void;
}

export function BodyModelDialog({ detail, open, close }: BodyModelDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const { id } = detail.session;
  const query = useQuery({
    queryKey: ['body-model', id],
    queryFn: ({ signal }) => server.bodyModel(id, signal),
    enabled: open,
  });
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  // Outlives the form, which is another one when a version was stored.
  const [said, setSaid] = useState<Said>(nothingSaid);
  const { data, error } = query;
  return (
    <dialog
      ref={dialog}
      className="dialog body-dialog"
      aria-labelledby="body-title"
      onClose={() => {
        setSaid(nothingSaid);
        close();
      }}
    >
      <h2 id="body-title">Sensors and body</h2>
      {open && data === undefined && (
        <p role="status" className="muted">
          {error === null ? 'Asking the server' : problemText(error)}
        </p>
      )}
      {open && data !== undefined && (
        // What another person stored meanwhile is another form.
        <BodyModelForm key={data.revision} {...{ detail, stored: data, said, setSaid, close }} />
      )}
      {data === undefined && (
        <Button variant="default" size="xs" onClick={close}>
          Close
        </Button>
      )}
    </dialog>
  );
}

function problemText(error: unknown): string {
  if (error instanceof AppError && error.code === 'not-found') return 'This server does not analyse motion.';
  const { title, next } = describeProblem(error);
  return `${title}. ${next}`;
}

interface Said {
  readonly text: string;
  readonly isProblem: boolean;
}

const nothingSaid: Said = { text: '', isProblem: false };

interface BodyModelFormProps {
  readonly detail: SessionDetail;
  readonly stored: SessionBodyModel;
  readonly said: Said;
  readonly setSaid: (said: Said) => void;
  readonly close: () => void;
}

function BodyModelForm({ detail, stored, said, setSaid, close }: BodyModelFormProps) {
  const [draft, setDraft] = useState<BodyDraft>(() => draftOf(stored.bodyModel, detail.streams));
  const form = useBodyModelActions(stored, setSaid);
  const { person } = useAccount();
  const isLocked = !stored.mayEdit || form.isBusy;
  const change = (stream: string, over: Partial<PlacementDraft>): void =>
    setDraft({
      ...draft,
      placements: draft.placements.map((row) => (row.stream === stream ? { ...row, ...over } : row)),
    });
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    void form.save(draft);
  };
  return (
    <form onSubmit={submit} noValidate>
      <p className="muted">
        {stored.isDefault
          ? 'As the streams name themselves; nobody changed it.'
          : `Changed by people, version ${stored.revision}.`}{' '}
        A change has the whole session analysed again.
        {!stored.mayEdit &&
          (person === null
            ? ' This key may look but not change: open the page with a key of scope admin.'
            : ' You may look but not change it.')}
      </p>
      <table className="body-table">
        <thead>
          <tr>
            <th scope="col">Stream</th>
            <th scope="col">Worn on</th>
            <th scope="col">Direction of its axes</th>
          </tr>
        </thead>
        <tbody>
          {draft.placements.map((row) => (
            <PlacementRow
              key={row.stream}
              row={row}
              problem={form.problems.placements[row.stream] ?? null}
              isLocked={isLocked}
              change={(over) => change(row.stream, over)}
            />
          ))}
        </tbody>
      </table>
      <div className="body-field">
        <label htmlFor="body-height">Height of the wearer, cm</label>
        <input
          id="body-height"
          className="choice"
          inputMode="decimal"
          value={draft.height}
          disabled={isLocked}
          placeholder="unknown"
          aria-invalid={form.problems.height !== null}
          aria-describedby="body-height-problem"
          onChange={(event) => setDraft({ ...draft, height: event.currentTarget.value })}
        />
        <span id="body-height-problem" className="needs-attention small">
          {form.problems.height}
        </span>
      </div>
      <p className={said.isProblem ? 'body-said needs-attention' : 'body-said'} role="status">
        {said.text}
      </p>
      <div className="body-buttons">
        <Button type="submit" variant="default" size="xs" disabled={isLocked}>
          Save
        </Button>
        <Button variant="default" size="xs" disabled={isLocked} onClick={() => void form.reanalyse()}>
          Analyse again
        </Button>
        <span className="shell-space" />
        <Button variant="default" size="xs" onClick={close}>
          Close
        </Button>
      </div>
    </form>
  );
}

function useBodyModelActions(stored: SessionBodyModel, setSaid: (said: Said) => void) {
  const client = useQueryClient();
  const [problems, setProblems] = useState(noProblems);
  const [isBusy, setIsBusy] = useState(false);
  const { session, revision } = stored;
  const attempt = async (act: () => Promise<string>, onFailure: (error: unknown) => void): Promise<void> => {
    setIsBusy(true);
    setProblems(noProblems);
    try {
      setSaid({ text: await act(), isProblem: false });
      await client.invalidateQueries({ queryKey: ['motion', session] });
    } catch (error) {
      onFailure(error);
    } finally {
      setIsBusy(false);
    }
  };
  const fail = (error: unknown): void =>
    setSaid({ text: `Nothing was changed. ${problemText(error)}`, isProblem: true });
  return {
    problems,
    isBusy,
    async save(draft: BodyDraft): Promise<void> {
      const wrong = problemsOf(draft);
      if (wrong !== null) {
        setProblems(wrong);
        setSaid({ text: 'Nothing was stored yet: see what is marked.', isProblem: true });
        return;
      }
      const store = async (): Promise<string> => {
        const next = await server.setBodyModel(session, { bodyModel: modelOf(draft), revision });
        client.setQueryData(['body-model', session], next);
        return 'Stored. The session is analysed again.';
      };
      await attempt(store, (error) => {
        if (!(error instanceof AppError)) return fail(error);
        if (error.code === 'conflict') {
          setSaid({ text: CONFLICT, isProblem: true });
          void client.invalidateQueries({ queryKey: ['body-model', session] });
          return;
        }
        const at = problemAt(draft, error.field, error.message);
        if (at === null) return fail(error);
        setProblems(at);
        setSaid({ text: 'The server did not take it: see what is marked.', isProblem: true });
      });
    },
    reanalyse: () =>
      attempt(async () => {
        await server.reanalyse(session);
        return 'Asked for. What is shown follows as the analysis goes on.';
      }, fail),
  };
}

const CONFLICT =
  'Somebody else changed it meanwhile. Nothing of yours was stored; theirs is shown as soon as it has come.';

const alignmentWords: Readonly<Record<AlignmentKind, string>> = {
  'from-movement': 'Found from standing and walking',
  aligned: 'Those of the segment',
  calibrated: 'As calibrated',
};

interface PlacementRowProps {
  readonly row: PlacementDraft;
  readonly problem: string | null;
  readonly isLocked: boolean;
  readonly change: (over: Partial<PlacementDraft>) => void;
}

function PlacementRow({ row, problem, isLocked, change }: PlacementRowProps) {
  const problemId = `body-problem-${row.stream}`;
  const kinds: AlignmentKind[] = ['from-movement', 'aligned'];
  if (row.base?.alignment.kind === 'calibrated') kinds.push('calibrated');
  return (
    <tr>
      <th scope="row">
        {row.name}{' '}
        <code className="muted small" title={row.stream}>
          {row.stream.slice(-8)}
        </code>
        <span id={problemId} className="body-problem needs-attention small">
          {problem}
        </span>
      </th>
      <td>
        <select
          className="choice"
          aria-label={`${row.name} is worn on`}
          aria-invalid={problem !== null}
          aria-describedby={problemId}
          disabled={isLocked || row.base === null}
          title={row.base === null ? 'It has no accelerometer and gyroscope with a clock' : undefined}
          value={row.segment}
          onChange={(event) =>
            change({ segment: segments.find((segment) => segment === event.currentTarget.value) ?? '' })
          }
        >
          <option value="">Not used</option>
          {segments.map((segment) => (
            <option key={segment} value={segment}>
              {formatSegment(segment)}
            </option>
          ))}
        </select>
      </td>
      <td>
        <select
          className="choice"
          aria-label={`Direction of the axes of ${row.name}`}
          disabled={isLocked || row.segment === ''}
          value={row.alignment}
          onChange={(event) => change({ alignment: event.currentTarget.value as AlignmentKind })}
        >
          {kinds.map((kind) => (
            <option key={kind} value={kind}>
              {alignmentWords[kind]}
            </option>
          ))}
        </select>
        <Quality row={row} />
      </td>
    </tr>
  );
}

/** What a calibration says of itself. */
function Quality({ row }: { row: PlacementDraft }) {
  const alignment = row.base?.alignment;
  if (alignment?.kind !== 'calibrated' || row.alignment !== 'calibrated') return null;
  const { method, quality, reason } = alignment;
  return (
    <span className={reason === null ? 'body-problem muted small' : 'body-problem needs-attention small'}>
      {method}, quality {Math.round(quality * 100)} %{reason === null ? '' : `: ${reason}`}
    </span>
  );
}
