/**
 * Owns the download of one stream as a file: read as it comes, counted, and handed to the browser when it is whole. What
 * was broken off is never saved as if it were whole. Bound: the browser keeps what has come as a Blob, on disk when it
 * is large.
 */

import { AppError, messageOf } from '#base/errors.ts';
import { readingsHeader, type ExportFormat } from '#contract/export-format.ts';
import { authorizationHeader } from '#web/access-key.ts';

export interface ExportRequest {
  readonly stream: string;
  readonly format: ExportFormat;
  /** Device time, half-open; null for all of it. */
  readonly range: { readonly fromUs: number; readonly toUs: number } | null;
}

export interface ExportProgress {
  readonly bytes: number;
  /** Readings so far, where the format shows them as it comes; and those that will come at most. */
  readonly readings: number | null;
  readonly total: number;
}

/** A row of CSV is longer than this many bytes; progress need not be told for less. */
const TELL_EVERY_BYTES = 256 * 1024;
const LINE_BREAK = 10;

/** Resolves when the browser has the file. Rejects with AppError, or with the signal's reason. */
export async function downloadExport(
  request: ExportRequest,
  onProgress: (progress: ExportProgress) => void,
  signal: AbortSignal,
): Promise<void> {
  const { stream, format, range } = request;
  const query = new URLSearchParams({ format });
  if (range !== null) {
    query.set('fromUs', String(Math.floor(range.fromUs)));
    query.set('toUs', String(Math.ceil(range.toUs)));
  }
  try {
    const response = await fetch(`/v1/streams/${encodeURIComponent(stream)}/export?${query.toString()}`, {
      headers: authorizationHeader(),
      cache: 'no-store',
      signal,
    });
    if (!response.ok || response.body === null) throw await refusal(response);
    const total = Number(response.headers.get(readingsHeader) ?? 0);
    const counted = response.body.pipeThrough(counter({ format, total, onProgress }));
    const type = response.headers.get('content-type') ?? 'application/octet-stream';
    const file = await new Response(counted, { headers: { 'content-type': type } }).blob();
    saveFile(file, nameOf(response) ?? `${stream}.${format}`);
  } catch (error) {
    if (signal.aborted || error instanceof AppError) throw error;
    throw new AppError('unreachable', `the download broke off: ${messageOf(error)}`, {
      temporary: true,
      cause: error,
    });
  }
}

async function refusal(response: Response): Promise<AppError> {
  const problem = (await response.json().catch(() => ({}))) as { code?: unknown; detail?: unknown };
  const code = typeof problem.code === 'string' ? problem.code : 'internal';
  const detail =
    typeof problem.detail === 'string' ? problem.detail : `the server answered ${response.status}`;
  return new AppError(code, detail, { temporary: response.status >= 500 || response.status === 429 });
}

interface Counting {
  readonly format: ExportFormat;
  readonly total: number;
  readonly onProgress: (progress: ExportProgress) => void;
}

function counter({ format, total, onProgress }: Counting): TransformStream<Uint8Array, Uint8Array> {
  let bytes = 0;
  let lines = 0;
  let toldBytes = 0;
  const tell = (): void => {
    toldBytes = bytes;
    // The first line is the header.
    onProgress({ bytes, total, readings: format === 'csv' ? Math.max(0, lines - 1) : null });
  };
  return new TransformStream({
    start: tell,
    transform(chunk, controller) {
      bytes += chunk.length;
      if (format === 'csv') for (const byte of chunk) if (byte === LINE_BREAK) lines++;
      if (bytes - toldBytes >= TELL_EVERY_BYTES) tell();
      controller.enqueue(chunk);
    },
    flush: tell,
  });
}

function nameOf(response: Response): string | null {
  return /filename="([^"]+)"/.exec(response.headers.get('content-disposition') ?? '')?.[1] ?? null;
}

/** Long enough for the browser to have taken the file over. */
const REVOKE_MS = 60_000;

/** Hands a whole file to the browser, which saves it where it saves downloads. */
export function saveFile(file: Blob, name: string): void {
  const address = URL.createObjectURL(file);
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), REVOKE_MS);
}
