/** Owns the page of jobs: what is being made and how far it is, what came of it, stopping one and asking again. */

import { Button } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';

import type { Job, JobPage as JobPageAnswer, JobState } from '#contract/jobs.ts';
import { useMay } from '#web/account/account-context.ts';
import { useSubmit } from '#web/form/submit-hook.ts';
import { JobFeed } from '#web/jobs/job-feed.tsx';
import { JobFileLink } from '#web/jobs/job-file-link.tsx';
import { isUnderWay, jobStates, jobStateWords, jobWords } from '#web/jobs/job-words.ts';
import { Instant } from '#web/list/instant.tsx';
import { usePages } from '#web/list/pages-query.ts';
import { RecordTable, type Column } from '#web/list/record-table.tsx';
import { LiveConnection } from '#web/live-connection.tsx';
import { usePageTitle } from '#web/page-title.ts';
import { server } from '#web/server.ts';

/** Should the channel be away; otherwise news come as they happen. */
const REFRESH_MS = 5_000;

export interface JobPageProps {
  /** Left out for all. */
  readonly state: JobState | undefined;
  readonly setState: (state: JobState | undefined) => void;
}

export function JobsPage({ state, setState }: JobPageProps) {
  usePageTitle('Jobs');
  const pages = usePages({
    key: ['jobs', state ?? 'all'],
    path: state === undefined ? '/v1/jobs' : `/v1/jobs?state=${state}`,
    rowsOf: (page: JobPageAnswer) => page.jobs,
    refreshMs: REFRESH_MS,
  });
  return (
    <div className="page">
      <div className="page-head">
        <h1>Jobs</h1>
        <span className="shell-space" />
        <label className="muted">
          Show{' '}
          <select
            className="input"
            value={state ?? ''}
            onChange={(event) => setState(jobStates.find((name) => name === event.currentTarget.value))}
          >
            <option value="">all</option>
            {jobStates.map((name) => (
              <option key={name} value={name}>
                {jobStateWords[name].toLowerCase()}
              </option>
            ))}
          </select>
        </label>
      </div>
      <RecordTable
        caption="Jobs, newest first"
        columns={columns}
        pages={pages}
        keyOf={({ id }) => id}
        empty={
          <>
            <h2>{state === undefined ? 'No job yet' : `No job is ${jobStateWords[state].toLowerCase()}`}</h2>
            <p>
              Reports, exports and erasures run in the background and are listed here with how far they are.
              Make a report on the page of a session that has ended.
            </p>
          </>
        }
      />
      <LiveConnection waiting={null}>
        <JobFeed />
      </LiveConnection>
    </div>
  );
}

const columns: readonly Column<Job>[] = [
  {
    head: 'Job',
    cell: (job) => (
      <>
        <strong>{jobWords(job.kind)}</strong>
        <span className="small job-about">
          {job.session !== null && (
            <Link to="/sessions/$id" params={{ id: job.session }}>
              session {job.session.slice(-8)}
            </Link>
          )}
          {job.session === null && job.patient !== null && (
            <Link to="/patients/$id" params={{ id: job.patient }}>
              patient
            </Link>
          )}
        </span>
      </>
    ),
  },
  { head: 'State', cell: (job) => <JobProgress job={job} /> },
  { head: 'Asked for', kind: 'wide-only', cell: ({ createdAt }) => <Instant at={createdAt} /> },
  { head: 'Actions', kind: 'actions', cell: (job) => <JobActions job={job} /> },
];

export function JobProgress({ job }: { job: Job }) {
  const { id, state, progress, stage, error, file, isStopping, attempts, maxAttempts } = job;
  return (
    <div className="job-progress">
      <span className={state === 'failed' ? 'needs-action' : state === 'done' ? '' : 'muted'}>
        {isStopping ? 'Stopping' : jobStateWords[state]}
        {state === 'running' && stage !== '' && `: ${stage}`}
        {isUnderWay(job) && attempts > 1 && `, attempt ${attempts} of ${maxAttempts}`}
      </span>
      {state === 'running' && (
        <progress aria-label={`Progress of ${jobWords(job.kind)}`} max={1} value={progress} />
      )}
      {file !== null && <JobFileLink job={id} file={file} />}
      {error !== null && state !== 'done' && (
        <span className="small muted">
          {error.detail} ({error.code})
        </span>
      )}
    </div>
  );
}

function JobActions({ job }: { job: Job }) {
  const may = useMay();
  const client = useQueryClient();
  const act = (name: 'cancel' | 'retry') => async (): Promise<void> => {
    await server.call('POST', `/v1/jobs/${job.id}/${name}`, { body: {} });
    await client.invalidateQueries({ queryKey: ['jobs'] });
  };
  const cancel = useSubmit(act('cancel'));
  const retry = useSubmit(act('retry'));
  if (!may('job.run')) return null;
  const words = jobWords(job.kind);
  return (
    <div className="row-actions">
      <span className="needs-action small" role="status">
        {cancel.general ?? retry.general}
      </span>
      {isUnderWay(job) && !job.isStopping && (
        <Button
          variant="default"
          size="xs"
          disabled={cancel.isBusy}
          aria-label={`Cancel: ${words}`}
          onClick={cancel.run}
        >
          Cancel
        </Button>
      )}
      {(job.state === 'failed' || job.state === 'cancelled') && (
        <Button
          variant="default"
          size="xs"
          disabled={retry.isBusy}
          aria-label={`Ask again: ${words}`}
          onClick={retry.run}
        >
          Ask again
        </Button>
      )}
    </div>
  );
}
