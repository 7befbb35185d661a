/**
 * Owns the file that a job makes: pieces of at most 1 MiB, rows of their own, which belong to one run of the job and are
 * seen by nobody before it ends with success. One piece is in memory at a time, written or read; a run that lost its job
 * stores nothing more.
 */

import { AppError } from '#base/errors.ts';
import { runAsOrg, type OrgScope, type RolePool, type Statement } from '#store/pools.ts';
import { jobLimits } from '#jobs/job-limits.ts';

export interface StoredFile {
  readonly name: string;
  readonly type: string;
  readonly bytes: number;
}

export interface JobRun {
  readonly orgId: string;
  readonly jobId: string;
  readonly runId: string;
}

/** First in every transaction that stores something: throws AppError `outdated` when this run may not any more. */
export function holdStatement({ jobId, runId }: JobRun): Statement {
  return { name: 'hold-job', text: 'select kymo.hold_job($1, $2)', values: [jobId, runId] };
}

export async function storeFile(
  app: RolePool,
  run: JobRun,
  {
    file,
    content,
    signal,
  }: {
    readonly file: { readonly name: string; readonly type: string };
    readonly content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
    readonly signal: AbortSignal;
  },
): Promise<StoredFile> {
  const change = (statement: Statement): Promise<unknown> =>
    runAsOrg(app, run.orgId, {
      statements: [holdStatement(run), statement],
      mode: 'change',
      // The end of the job comes after these, and waits for the disk.
      durability: 'later',
    });
  await change({
    text: 'delete from kymo.job_file_part where job_id = $1 and run_id = $2',
    values: [run.jobId, run.runId],
  });
  let bytes = 0;
  let part = 0;
  for await (const piece of piecesOf(content)) {
    signal.throwIfAborted();
    bytes += piece.length;
    if (bytes > jobLimits.fileBytes)
      throw new AppError(
        'limit-exceeded',
        `the result is larger than ${jobLimits.fileBytes / 1024 / 1024} MiB: ask for less, such as single streams`,
      );
    await change({
      name: 'store-job-part',
      text: 'insert into kymo.job_file_part (job_id, run_id, part, org_id, bytes) values ($1, $2, $3, $4, $5)',
      values: [run.jobId, run.runId, part++, run.orgId, piece],
    });
  }
  return { name: file.name, type: file.type, bytes };
}

/** The pieces of a finished job's file. Throws AppError `erased` when they are removed meanwhile. */
export async function* readFileParts(
  app: RolePool,
  scope: OrgScope,
  { jobId, runId, bytes }: { readonly jobId: string; readonly runId: string; readonly bytes: number },
): AsyncGenerator<Uint8Array, void> {
  let given = 0;
  for (let part = 0; given < bytes; part++) {
    const statement = {
      name: 'read-job-part',
      text: 'select bytes from kymo.job_file_part where job_id = $1 and run_id = $2 and part = $3',
      values: [jobId, runId, part],
    };
    const [result] = await runAsOrg(app, scope, { statements: [statement], mode: 'snapshot' });
    const row = result?.rows[0] as { readonly bytes: Buffer } | undefined;
    if (row === undefined) throw new AppError('erased', 'the file was removed while it was read');
    given += row.bytes.length;
    yield row.bytes;
  }
}

/** The same bytes in pieces of `jobLimits.pieceBytes`, but for the last. */
export async function* piecesOf(
  content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Buffer, void> {
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  for await (const given of content) {
    let rest = given;
    while (heldBytes + rest.length >= jobLimits.pieceBytes) {
      const taken = rest.subarray(0, jobLimits.pieceBytes - heldBytes);
      rest = rest.subarray(taken.length);
      yield Buffer.concat([...held, taken]);
      held = [];
      heldBytes = 0;
    }
    if (rest.length === 0) continue;
    // Whoever gave it may write into it again.
    held.push(Buffer.from(rest));
    heldBytes += rest.length;
  }
  if (heldBytes > 0) yield Buffer.concat(held);
}
