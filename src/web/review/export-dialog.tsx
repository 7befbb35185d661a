/** Owns the export of a recording from the page: which stream, which format, all of it or what is shown, how far it is. */

import { Button, SegmentedControl } from '@mantine/core';
import { useEffect, useRef, useState } from 'react';

import type { StreamDetail } from '#contract/rest.ts';
import type { ExportFormat } from '#contract/export-format.ts';
import { formatCount, formatSegment } from '#web/format.ts';
import { CommandLine, describeProblem } from '#web/page-states.tsx';
import { downloadExport, type ExportProgress } from '#web/review/export-download.ts';
import type { Lane } from '#web/review/lane.ts';
import type { ReviewModel } from '#web/review/review-model.ts';

type Extent = 'whole' | 'shown';

export interface ExportDialogProps {
  readonly model: ReviewModel;
  readonly session: string;
  readonly lanes: readonly { readonly stream: StreamDetail; readonly lane: Lane }[];
  readonly open: boolean;
  readonly close: () => void;
}

export function ExportDialog({ model, session, lanes, open, close }: ExportDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [format, setFormat] = useState<ExportFormat>('csv');
  const [extent, setExtent] = useState<Extent>('whole');
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  return (
    <dialog ref={dialog} className="dialog export-dialog" aria-labelledby="export-title" onClose={close}>
      <h2 id="export-title">Export</h2>
      <div className="export-choices">
        <SegmentedControl
          aria-label="Format"
          size="xs"
          transitionDuration={0}
          data={[
            { value: 'csv', label: 'CSV' },
            { value: 'parquet', label: 'Parquet' },
          ]}
          value={format}
          onChange={(value) => setFormat(value)}
        />
        <SegmentedControl
          aria-label="How much"
          size="xs"
          transitionDuration={0}
          data={[
            { value: 'whole', label: 'Whole recording' },
            { value: 'shown', label: 'What is shown' },
          ]}
          value={extent}
          onChange={(value) => setExtent(value)}
        />
      </div>
      <ul className="export-streams">
        {lanes.map(({ stream, lane }) => (
          <ExportStream key={lane.id} {...{ stream, lane, format, extent, model }} />
        ))}
      </ul>
      <p className="muted small">All streams at once, with what is known beside the readings:</p>
      <CommandLine
        text={`npm run kymo -- export ${session} --url ${location.origin} --key ka_... --format ${format}`}
        label="the command that exports the session"
      />
      <Button variant="default" size="xs" onClick={close}>
        Close
      </Button>
    </dialog>
  );
}

type Download =
  | { readonly name: 'idle' }
  | { readonly name: 'running'; readonly progress: ExportProgress | null }
  | { readonly name: 'done'; readonly progress: ExportProgress }
  | { readonly name: 'failed'; readonly error: unknown };

interface ExportStreamProps {
  readonly model: ReviewModel;
  readonly stream: StreamDetail;
  readonly lane: Lane;
  readonly format: ExportFormat;
  readonly extent: Extent;
}

function ExportStream({ model, stream, lane, format, extent }: ExportStreamProps) {
  const [download, setDownload] = useState<Download>({ name: 'idle' });
  const abort = useRef<AbortController | null>(null);
  useEffect(() => () => abort.current?.abort(), []);
  const segment = formatSegment(stream.definition.segment);
  const start = async (): Promise<void> => {
    const ending = new AbortController();
    abort.current = ending;
    setDownload({ name: 'running', progress: null });
    const { range } = model.state;
    const shown =
      range === null ? null : { fromUs: range.fromUs - lane.shiftUs, toUs: range.toUs - lane.shiftUs };
    let last: ExportProgress = { bytes: 0, readings: 0, total: 0 };
    try {
      await downloadExport(
        { stream: lane.id, format, range: extent === 'shown' ? shown : null },
        (progress) => {
          last = progress;
          setDownload({ name: 'running', progress });
        },
        ending.signal,
      );
      setDownload({ name: 'done', progress: last });
    } catch (error) {
      setDownload(ending.signal.aborted ? { name: 'idle' } : { name: 'failed', error });
    }
  };
  return (
    <li>
      <span>{segment}</span>
      <span className="muted small">{stream.definition.sensor}</span>
      <span className="shell-space" />
      <span className="small" role="status">
        <DownloadWords download={download} />
      </span>
      {download.name === 'running' ? (
        <Button
          variant="default"
          size="xs"
          onClick={() => abort.current?.abort()}
          aria-label={`Stop the export of ${segment}`}
        >
          Stop
        </Button>
      ) : (
        <Button
          variant="default"
          size="xs"
          onClick={() => void start()}
          aria-label={`Download ${segment} as ${format === 'csv' ? 'CSV' : 'Parquet'}`}
        >
          Download
        </Button>
      )}
      {download.name === 'running' && (
        <progress aria-label={`Export of ${segment}`} {...progressOf(download.progress)} />
      )}
    </li>
  );
}

/** Without a value the bar says only that something happens: Parquet does not show its readings as it comes. */
function progressOf(progress: ExportProgress | null): { max?: number; value?: number } {
  if (progress === null || progress.readings === null || progress.total === 0) return {};
  return { max: progress.total, value: progress.readings };
}

const BYTES_PER_MB = 1_000_000;

function DownloadWords({ download }: { download: Download }) {
  if (download.name === 'idle') return null;
  if (download.name === 'failed') {
    const { title, next } = describeProblem(download.error);
    return (
      <span className="needs-action">
        {title}. Nothing was saved. {next}
      </span>
    );
  }
  const { progress } = download;
  if (progress === null) return <span className="muted">asking</span>;
  const size = `${(progress.bytes / BYTES_PER_MB).toFixed(1)}\u202fMB`;
  if (download.name === 'done')
    return (
      <span className="muted">
        {progress.readings === null
          ? `${size} saved`
          : `${formatCount(progress.readings)} readings saved, ${size}`}
      </span>
    );
  return (
    <span className="muted">
      {progress.readings === null
        ? `${size} of ${formatCount(progress.total)} readings`
        : `${formatCount(progress.readings)} of ${formatCount(progress.total)} readings`}
    </span>
  );
}
