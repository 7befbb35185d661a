/** Owns the link to what a job has made. With a cookie the browser opens it itself; a key goes in a header, so it is fetched. */

import { useState } from 'react';

import { AppError, messageOf } from '#base/errors.ts';
import type { JobFile } from '#contract/jobs.ts';
import { problemOf } from '#sdk/http-client.ts';
import { accessKey, authorizationHeader } from '#web/access-key.ts';
import { formatBytes } from '#web/jobs/job-words.ts';
import { problemSentence } from '#web/page-states.tsx';
import { saveFile } from '#web/review/export-download.ts';

export interface JobFileLinkProps {
  readonly job: string;
  readonly file: JobFile;
  readonly words?: string;
}

export function JobFileLink({ job, file, words = 'Open' }: JobFileLinkProps) {
  const [problem, setProblem] = useState<string | null>(null);
  const address = `/v1/jobs/${job}/file`;
  const fetchIt = async (): Promise<void> => {
    setProblem(null);
    try {
      const response = await fetch(address, { headers: authorizationHeader(), cache: 'no-store' });
      if (!response.ok) throw await problemOf(response);
      saveFile(await response.blob(), file.name);
    } catch (error) {
      const shown = error instanceof AppError ? error : new AppError('unreachable', messageOf(error));
      setProblem(problemSentence(shown));
    }
  };
  return (
    <span className="nowrap">
      <a
        href={address}
        target="_blank"
        rel="noreferrer"
        onClick={(event) => {
          if (accessKey() === null) return;
          event.preventDefault();
          void fetchIt();
        }}
      >
        {words}
      </a>{' '}
      <span className="muted small">{formatBytes(file.bytes)}</span>
      {problem !== null && (
        <span className="needs-action small" role="alert">
          {' '}
          {problem}
        </span>
      )}
    </span>
  );
}
