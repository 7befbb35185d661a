/** Owns the report of a session on its page: asking for it, how far it is, and opening what came of it. */

import { Button } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';

import type { Job, JobPage } from '#contract/jobs.ts';
import { useSubmit } from '#web/form/submit-hook.ts';
import { JobFileLink } from '#web/jobs/job-file-link.tsx';
import { isUnderWay, jobStateWords } from '#web/jobs/job-words.ts';
import { server } from '#web/server.ts';

/** A report takes a second or two. */
const REFRESH_MS = 500;

export function ReportButton({ session }: { session: string }) {
  const client = useQueryClient();
  const key = ['jobs-of', session];
  const jobs = useQuery({
    queryKey: key,
    queryFn: async ({ signal }) => {
      const path = `/v1/jobs?session=${session}&limit=20`;
      return (await server.call<JobPage>('GET', path, { signal })).jobs;
    },
    refetchInterval: ({ state }) => (state.data?.some(isReportUnderWay) === true ? REFRESH_MS : false),
  });
  const report = jobs.data?.find(({ kind }) => kind === 'session-report');
  const ask = useSubmit(async () => {
    const body = { kind: 'session-report', input: { session } };
    const made = await server.call<Job>('POST', '/v1/jobs', { body });
    client.setQueryData<Job[]>(key, (known = []) => [made, ...known.filter(({ id }) => id !== made.id)]);
  });
  const isBusy = ask.isBusy || (report !== undefined && isUnderWay(report));
  return (
    <>
      <span className="small" role="status">
        {ask.general !== null && <span className="needs-action">{ask.general}</span>}
        {ask.general === null && report !== undefined && <ReportWords report={report} />}
      </span>
      <Button
        variant="default"
        className={report?.state === 'done' ? '' : 'primary'}
        disabled={isBusy || jobs.isPending}
        onClick={ask.run}
      >
        {report?.state === 'done' ? 'Make it anew' : 'Make the report'}
      </Button>
    </>
  );
}

function isReportUnderWay(job: Job): boolean {
  return job.kind === 'session-report' && isUnderWay(job);
}

function ReportWords({ report }: { report: Job }) {
  const { id, state, stage, progress, file, error } = report;
  if (file !== null) return <JobFileLink job={id} file={file} words="Open the report" />;
  if (state === 'failed')
    return <span className="needs-action">The report could not be made: {error?.detail ?? 'ask again'}</span>;
  if (!isUnderWay(report)) return <span className="muted">Report: {jobStateWords[state].toLowerCase()}</span>;
  return (
    <span className="report-progress muted">
      {stage === '' ? 'Report is waiting' : stage}
      <progress aria-label="Progress of the report" max={1} value={progress} />
    </span>
  );
}
