/**
 * Owns `kymo verify-audit`: goes through the audit log of every organisation, block by block, and says which entry or block
 * is not what it was when it was sealed. It holds some blocks at a time, whatever the size of the log.
 */

import { readFileSync, renameSync, writeFileSync } from 'node:fs';

import type pg from 'pg';

import { AppError } from '#base/errors.ts';
import { createChainVerifier, type ChainHead, type Finding } from '#clinic/audit-verifier.ts';
import {
  auditedOrganisations,
  chainReadLimits,
  entriesBetween,
  nextBlocks,
  sealedTo,
  type BlockRow,
  type EntryRow,
} from '#store/audit-chain-rows.ts';
import { settingsHelp } from '#app/config.ts';
import { parseOwnArguments } from '#app/own-arguments.ts';
import { withStoredData } from '#app/stored-data.ts';

const usage = 'kymo verify-audit [--heads FILE] [--expect ORGANISATION:BLOCK:HASH] [--json]';

/** Of findings; the rest is counted. */
const SHOWN = 100;

export const verifyAuditCommand = {
  help: `Usage: ${usage} [settings]

Checks that no entry of the audit log was changed, added, removed or moved since it was sealed. What is removed from the
end together with its blocks leaves no trace in the database: against that, keep heads somewhere else.

  --heads <file>   a file on another machine or medium: the blocks that it names must still be there and the same; when
                   nothing is wrong, it is written anew with the newest ones
  --expect <head>  one such block, as GET /v1/audit shows it
  --json           print JSON

Ends with 0 when all is well, with 1 when something is wrong. The server may run. How it is computed: docs/audit.md.

${settingsHelp()}`,

  async run(args: readonly string[]): Promise<number> {
    const own = { heads: 'string', expect: 'string', json: 'boolean' } as const;
    const { positionals, texts, has, rest } = parseOwnArguments(args, own, usage);
    if (positionals.length > 0) throw new AppError('invalid-field', `it is ${usage}`);
    const { heads: file, expect } = texts;
    const expected = [
      ...(file === undefined ? [] : readHeads(file)),
      ...(expect === undefined ? [] : [parseHead(expect)]),
    ];
    return withStoredData(rest, async ({ owner }) => {
      const outcome = await verifyAudit(owner, expected);
      if (outcome.count === 0 && file !== undefined) writeHeads(file, outcome.heads);
      tell(outcome, has('json'));
      return outcome.count === 0 ? 0 : 1;
    });
  },
};

export interface AuditVerification {
  readonly entries: number;
  readonly blocks: number;
  /** The newest block of each organisation. */
  readonly heads: readonly ChainHead[];
  /** The first of what is wrong. */
  readonly findings: readonly Finding[];
  readonly count: number;
}

export async function verifyAudit(
  owner: pg.Pool,
  expected: readonly ChainHead[],
): Promise<AuditVerification> {
  const result = { entries: 0, blocks: 0, heads: [] as ChainHead[], findings: [] as Finding[], count: 0 };
  const note = (findings: readonly Finding[]): void => {
    result.count += findings.length;
    result.findings.push(...findings.slice(0, Math.max(0, SHOWN - result.findings.length)));
  };
  // Read first: what is sealed meanwhile is no mistake.
  const sealed = await sealedTo(owner);
  const organisations = new Set([
    ...(await auditedOrganisations(owner)),
    ...expected.map(({ orgId }) => orgId),
  ]);
  for (const orgId of organisations) {
    const heads = expected.filter((head) => head.orgId === orgId);
    const verifier = createChainVerifier(orgId, heads);
    let lastId = '0';
    let number = 0;
    for (;;) {
      const blocks = await nextBlocks(owner, orgId, number);
      if (blocks.length === 0) break;
      for await (const [block, entries] of withEntries(owner, blocks, lastId)) {
        note(verifier.block(block, entries));
        result.blocks++;
        result.entries += entries.length;
        number = block.number;
        lastId = maxId(lastId, block.lastId);
      }
    }
    note(await lostBlocks(owner, orgId, { lastId, sealed }));
    const { findings, head } = verifier.end();
    note(findings);
    if (head !== null) result.heads.push(head);
  }
  return result;
}

/** Each block with the entries of its span, read for some blocks at a time. */
async function* withEntries(
  owner: pg.Pool,
  blocks: readonly BlockRow[],
  lastId: string,
): AsyncGenerator<[BlockRow, EntryRow[]]> {
  let after = lastId;
  let at = 0;
  while (at < blocks.length) {
    let to = at;
    let rows = 0;
    while (to < blocks.length && (to === at || rows + blocks[to]!.rowCount <= chainReadLimits.rows / 2))
      rows += blocks[to++]!.rowCount;
    const group = blocks.slice(at, to);
    const entries = await entriesBetween(owner, group[0]!.orgId, { after, to: group.at(-1)!.lastId });
    for (const block of group) {
      const end = BigInt(block.lastId);
      const count = entries.findIndex(({ id }) => BigInt(id) > end);
      yield [block, entries.splice(0, count === -1 ? entries.length : count)];
      after = maxId(after, block.lastId);
    }
    at = to;
  }
}

/** Entries that were in a block once, and are in none now. */
async function lostBlocks(
  owner: pg.Pool,
  orgId: string,
  { lastId, sealed }: { lastId: string; sealed: string },
): Promise<Finding[]> {
  const entries = await entriesBetween(owner, orgId, { after: lastId, to: sealed });
  return entries.map(({ id }) => ({ orgId, block: null, entry: id, what: 'block missing' }));
}

function maxId(a: string, b: string): string {
  return BigInt(a) > BigInt(b) ? a : b;
}

function tell({ entries, blocks, heads, findings, count }: AuditVerification, isJson: boolean): void {
  if (isJson) {
    console.log(
      JSON.stringify({ entries, blocks, organisations: heads.length, wrong: count, findings, heads }),
    );
    return;
  }
  const of = `${entries.toLocaleString('en')} entries in ${blocks.toLocaleString('en')} blocks of ${heads.length} organisations`;
  if (count === 0) {
    console.log(`The audit log is as it was sealed: ${of}.`);
    return;
  }
  console.log(`The audit log is NOT as it was sealed: ${count.toLocaleString('en')} findings in ${of}.`);
  for (const { orgId, block, entry, what } of findings)
    console.log(
      `  organisation ${orgId}${block === null ? '' : `, block ${block}`}${entry === null ? '' : `, entry ${entry}`}: ${what}`,
    );
  if (count > findings.length)
    console.log(`  ... and ${(count - findings.length).toLocaleString('en')} more`);
}

/** `ORGANISATION:BLOCK:HASH`. */
function parseHead(text: string): ChainHead {
  const [, orgId, block, hash] = /^([0-9a-f-]{36}):([0-9]{1,15}):([0-9a-f]{64})$/i.exec(text) ?? [];
  if (orgId === undefined || block === undefined || hash === undefined)
    throw new AppError('invalid-field', `"${text}" is no head: ORGANISATION:BLOCK:HASH`, { field: 'expect' });
  return { orgId: orgId.toLowerCase(), block: Number(block), hash: hash.toLowerCase() };
}

/** One head a line; a file that is not there yet has none. */
function readHeads(file: string): ChainHead[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new AppError('invalid-field', `the file of heads ${file} cannot be read`, {
      field: 'heads',
      cause,
    });
  }
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => parseHead(line.trim()));
}

function writeHeads(file: string, heads: readonly ChainHead[]): void {
  const lines = heads.map(({ orgId, block, hash }) => `${orgId}:${block}:${hash}\n`);
  const temporary = `${file}.part`;
  writeFileSync(temporary, lines.join(''), { mode: 0o600 });
  renameSync(temporary, file);
}
