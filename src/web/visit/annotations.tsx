/** Owns the annotations of a session on its page: what was seen when, by whom, and writing down, changing, removing one. */

import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';

import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { SessionSummary } from '#contract/rest.ts';
import { visitLimits, type Annotation } from '#contract/visit.ts';
import { useChannel } from '#sdk/react-hooks.ts';
import { useMay } from '#web/account/account-context.ts';
import { useAuthorWords } from '#web/clinic/author-words.ts';
import { ConfirmDialog } from '#web/form/confirm-dialog.tsx';
import { Dialog } from '#web/form/dialog.tsx';
import { ChoiceField, Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { useSubmit, wrong } from '#web/form/submit-hook.ts';
import { ProblemNotice } from '#web/page-states.tsx';
import { server } from '#web/server.ts';
import { annotationKinds } from '#web/visit/annotation-kinds.ts';
import { offsetOf, sinceStart } from '#web/visit/annotation-time.ts';
import { annotationsQuery, visitCalls } from '#web/visit/visit-queries.ts';

/** News only says that there is some: what is shown is read anew. */
const KEEP = 8;

export interface AnnotationsProps {
  readonly session: SessionSummary;
  /** The part of the recording that is looked at; null: all of it, or it goes on. */
  readonly shown: { readonly fromUs: number; readonly toUs: number } | null;
}

export function Annotations({ session, shown }: AnnotationsProps) {
  const may = useMay();
  const client = useQueryClient();
  const key = ['annotations', session.id];
  const list = useQuery(annotationsQuery(session.id));
  const { messages } = useChannel(`session/${session.id}/annotations`, { keep: KEEP });
  const newest = messages.at(-1)?.offset;
  useEffect(() => {
    if (newest !== undefined) void client.invalidateQueries({ queryKey: ['annotations', session.id] });
  }, [newest, client, session.id]);
  const read = (): Promise<void> => client.invalidateQueries({ queryKey: key });
  const startUs = Date.parse(session.startedAt) * 1000;
  return (
    <section className="annotations" aria-labelledby="annotations-title">
      <h2 id="annotations-title">Annotations</h2>
      {list.isLoadingError && <ProblemNotice error={list.error} retry={() => void list.refetch()} />}
      {list.data?.length === 0 && (
        <p className="muted small">
          {may('session.write')
            ? 'Nothing was annotated yet. What you write down here stands on the time line, for everyone of your organisation.'
            : 'Nothing was annotated yet.'}
        </p>
      )}
      <ol className="annotation-list" aria-busy={list.isPending}>
        {list.data?.map((annotation) => (
          <AnnotationRow key={annotation.id} {...{ annotation, session, startUs, read }} />
        ))}
      </ol>
      {may('session.write') && <NewAnnotation {...{ session, shown, startUs, read }} />}
    </section>
  );
}

interface RowProps {
  readonly annotation: Annotation;
  readonly session: SessionSummary;
  readonly startUs: number;
  readonly read: () => Promise<void>;
}

function AnnotationRow({ annotation, session, startUs, read }: RowProps) {
  const may = useMay();
  const authorWords = useAuthorWords();
  const [asked, setAsked] = useState<'change' | 'remove' | null>(null);
  const close = (): void => setAsked(null);
  const { kind, fromUs, toUs, text, author, revision, id } = annotation;
  const path = `/v1/sessions/${session.id}/annotations/${id}`;
  return (
    <li data-kind={kind}>
      <span className="annotation-time">
        {sinceStart(fromUs, startUs)}
        {toUs !== null && ` to ${sinceStart(toUs, startUs)}`}
      </span>
      <span className="annotation-text">
        <span className="tag">{annotationKinds[kind].toLowerCase()}</span> {text}
      </span>
      <span className="muted small">{authorWords(author)}</span>
      {may('session.write') && session.state !== 'sealed' && (
        <span className="note-actions">
          <button type="button" className="text-button small" onClick={() => setAsked('change')}>
            Change
          </button>
          <button type="button" className="text-button small" onClick={() => setAsked('remove')}>
            Remove
          </button>
        </span>
      )}
      <Dialog title="Change the annotation" isOpen={asked === 'change'} close={close}>
        <AnnotationForm
          session={session}
          startUs={startUs}
          initial={{
            kind,
            text,
            from: sinceStart(fromUs, startUs),
            to: toUs === null ? '' : sinceStart(toUs, startUs),
          }}
          label="Save"
          close={close}
          save={async (body) => {
            await server.call('PUT', path, { body: { ...body, revision } });
            await read();
            close();
          }}
        />
      </Dialog>
      <ConfirmDialog
        title="Remove the annotation"
        isOpen={asked === 'remove'}
        close={close}
        label="Remove"
        act={async () => {
          await server.call('DELETE', `${path}?revision=${revision}`);
          await read();
        }}
      >
        <p>“{text}” leaves the time line. What it said stays in its history.</p>
      </ConfirmDialog>
    </li>
  );
}

interface Draft {
  readonly kind: Annotation['kind'];
  readonly text: string;
  readonly from: string;
  readonly to: string;
}

type Content = Pick<Annotation, 'kind' | 'text' | 'fromUs' | 'toUs'>;

type NewAnnotationProps = AnnotationsProps & Pick<RowProps, 'startUs' | 'read'>;

function NewAnnotation({ session, shown, startUs, read }: NewAnnotationProps) {
  // Sent again after a lost answer, it is written down once.
  const [id, setId] = useState(() => uuidv7(systemClock));
  const span = shown === null ? null : `${shown.fromUs} ${shown.toUs}`;
  return (
    <AnnotationForm
      key={`${id} ${span}`}
      session={session}
      startUs={startUs}
      initial={{
        kind: 'note',
        text: '',
        from: shown === null ? '' : sinceStart(shown.fromUs, startUs),
        to: shown === null ? '' : sinceStart(shown.toUs, startUs),
      }}
      label="Annotate"
      save={async (body) => {
        await visitCalls.annotate(session.id, { ...body, id });
        setId(uuidv7(systemClock));
        await read();
      }}
    />
  );
}

interface AnnotationFormProps {
  readonly session: SessionSummary;
  readonly startUs: number;
  readonly initial: Draft;
  readonly label: string;
  readonly close?: () => void;
  readonly save: (body: Content & { readonly reason?: string }) => Promise<void>;
}

function AnnotationForm({ session, startUs, initial, label, close, save }: AnnotationFormProps) {
  const [draft, setDraft] = useState(initial);
  const [reason, setReason] = useState('');
  const isLive = session.state === 'live' || session.state === 'idle';
  const isSealed = session.state === 'sealed';
  const change = (over: Partial<Draft>): void => setDraft({ ...draft, ...over });
  const submission = useSubmit(async () => {
    const because = reason.trim() === '' ? {} : { reason: reason.trim() };
    await save({ ...contentOf(draft, { startUs, isLive }), ...because });
  }, ['/fromUs', '/toUs', '/text', '/reason']);
  return (
    <Form submission={submission} className="annotation-form">
      <div className="annotation-fields">
        <ChoiceField
          label="Kind"
          value={draft.kind}
          onChange={(kind) => change({ kind: kind as Draft['kind'] })}
          choices={Object.entries(annotationKinds).map(([value, words]) => ({ value, label: words }))}
        />
        <TextField
          label="From"
          hint={isLive ? 'Empty: now' : 'Such as 1:05.2'}
          value={draft.from}
          onChange={(from) => change({ from })}
          problem={submission.problemOf('/fromUs')}
        />
        <TextField
          label="To"
          hint="Empty: a point"
          value={draft.to}
          onChange={(to) => change({ to })}
          problem={submission.problemOf('/toUs')}
        />
        <TextField
          label="Text"
          maxLength={visitLimits.textCharacters}
          value={draft.text}
          onChange={(text) => change({ text })}
          problem={submission.problemOf('/text')}
        />
        {isSealed && (
          <TextField
            label="Why"
            hint="The session is signed off: this amends it"
            maxLength={visitLimits.reasonCharacters}
            value={reason}
            onChange={setReason}
            problem={submission.problemOf('/reason')}
          />
        )}
      </div>
      <FormFoot
        submission={submission}
        label={label}
        isDisabled={draft.text.trim() === '' || (isSealed && reason.trim() === '')}
        {...(close === undefined ? {} : { cancel: close })}
      />
    </Form>
  );
}

function contentOf(
  { kind, text, from, to }: Draft,
  { startUs, isLive }: { readonly startUs: number; readonly isLive: boolean },
): Content {
  const [fromOffset, toOffset] = [offsetOf(from), offsetOf(to)];
  if (Number.isNaN(fromOffset)) throw wrong('/fromUs', 'Minutes and seconds since the start, such as 1:05.2');
  if (Number.isNaN(toOffset)) throw wrong('/toUs', 'Minutes and seconds since the start, or nothing');
  if (fromOffset === null && !isLive) throw wrong('/fromUs', 'When it was, such as 1:05.2');
  const fromUs = fromOffset === null ? systemClock.nowUs() : startUs + fromOffset;
  const toUs = toOffset === null ? null : startUs + toOffset;
  if (toUs !== null && toUs <= fromUs) throw wrong('/toUs', 'Later than its beginning, or nothing');
  return { kind, text: text.trim(), fromUs, toUs };
}
