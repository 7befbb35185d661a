/**
 * Owns the checking of the audit log's chain, written apart from what makes it (SQL, migration 0019), from the description
 * in docs/audit.md alone: blocks of one organisation go in in order with the entries found in their span, and out comes
 * what is wrong, by block and entry. It keeps one block and the heads that it was told to expect.
 */

import { createHash } from 'node:crypto';

/** An entry as text, each value as it is hashed; null where there is none. */
export interface ChainEntry {
  readonly id: string;
  readonly orgId: string;
  /** Microseconds since 1970. */
  readonly atUs: string;
  readonly requestId: string | null;
  readonly actorKind: string;
  readonly actorRole: string;
  readonly actor: string;
  readonly action: string;
  readonly route: string;
  readonly patientId: string | null;
  readonly resourceKind: string | null;
  readonly resourceId: string | null;
  readonly patients: readonly string[] | null;
  readonly status: string | null;
  readonly address: string | null;
}

export interface ChainBlock {
  readonly orgId: string;
  readonly number: number;
  readonly firstId: string;
  readonly lastId: string;
  readonly rowCount: number;
  readonly sealedAtUs: string;
  readonly previous: Buffer;
  readonly content: Buffer;
  readonly hash: Buffer;
  /** Null when retention has taken the entries. */
  readonly ids: readonly string[] | null;
  readonly digests: Buffer | null;
}

/** A block that was seen before, and kept where nobody who changes the database can change it. */
export interface ChainHead {
  readonly orgId: string;
  readonly block: number;
  /** Hexadecimal. */
  readonly hash: string;
}

export interface Finding {
  readonly orgId: string;
  /** Null for what is in no block. */
  readonly block: number | null;
  readonly entry: string | null;
  readonly what:
    | 'entry changed'
    | 'entry missing'
    | 'entry added'
    | 'block changed'
    | 'block missing'
    | 'chain broken'
    | 'head changed'
    | 'head missing';
}

const DIGEST_BYTES = 32;
const FIRST = Buffer.alloc(DIGEST_BYTES);

export interface ChainVerifier {
  /** The next block, with the entries of its organisation after the block before up to `lastId`, in order of id. */
  block(block: ChainBlock, entries: readonly ChainEntry[]): readonly Finding[];
  /** The newest block that was seen, and what was expected and never came. */
  end(): { readonly findings: readonly Finding[]; readonly head: ChainHead | null };
}

/** For one organisation; `expected` are heads of it. */
export function createChainVerifier(orgId: string, expected: readonly ChainHead[]): ChainVerifier {
  const heads = new Map(expected.map((head) => [head.block, head.hash]));
  let number = 0;
  let hash: Buffer = FIRST;
  const finding = (what: Finding['what'], block: number | null, entry: string | null = null): Finding => ({
    orgId,
    block,
    entry,
    what,
  });

  function chainFindings(block: ChainBlock): Finding[] {
    const found: Finding[] = [];
    // A few are named; of a gap of millions it is enough to know where it is.
    for (let missing = number + 1; missing < block.number && found.length < 10; missing++)
      found.push(finding('block missing', missing));
    if (block.number === number + 1 && !block.previous.equals(hash))
      found.push(finding('chain broken', block.number));
    const { ids, digests, content } = block;
    const isWhole =
      block.orgId === orgId &&
      hashOfBlock(block).equals(block.hash) &&
      (digests === null || sha256(digests).equals(content)) &&
      (ids === null) === (digests === null) &&
      (ids === null || (ids.length === block.rowCount && digests!.length === ids.length * DIGEST_BYTES));
    if (!isWhole) found.push(finding('block changed', block.number));
    const head = heads.get(block.number);
    heads.delete(block.number);
    if (head !== undefined && head !== block.hash.toString('hex'))
      found.push(finding('head changed', block.number));
    return found;
  }

  return {
    block(block, entries) {
      const found = chainFindings(block);
      found.push(...entryFindings(block, entries).map(({ what, id }) => finding(what, block.number, id)));
      number = block.number;
      hash = block.hash;
      return found;
    },
    end() {
      const findings = [...heads.keys()].map((block) => finding('head missing', block));
      return { findings, head: number === 0 ? null : { orgId, block: number, hash: hash.toString('hex') } };
    },
  };
}

function entryFindings(
  { ids, digests }: ChainBlock,
  entries: readonly ChainEntry[],
): { what: Finding['what']; id: string }[] {
  const found: { what: Finding['what']; id: string }[] = [];
  const there = new Map(entries.map((entry) => [entry.id, entry]));
  for (const [i, id] of (ids ?? []).entries()) {
    const entry = there.get(id);
    there.delete(id);
    if (entry === undefined) found.push({ what: 'entry missing', id });
    else if (!digestOf(entry).equals(digests!.subarray(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES)))
      found.push({ what: 'entry changed', id });
  }
  for (const id of there.keys()) found.push({ what: 'entry added', id });
  return found;
}

/** SHA-256 of an entry's fields as netstrings, in the order of docs/audit.md. */
export function digestOf(entry: ChainEntry): Buffer {
  return sha256(
    netstrings([
      entry.id,
      entry.orgId,
      entry.atUs,
      entry.requestId,
      entry.actorKind,
      entry.actorRole,
      entry.actor,
      entry.action,
      entry.route,
      entry.patientId,
      entry.resourceKind,
      entry.resourceId,
      entry.patients === null ? null : entry.patients.join(','),
      entry.status,
      entry.address,
    ]),
  );
}

export function hashOfBlock(block: Omit<ChainBlock, 'hash' | 'ids' | 'digests'>): Buffer {
  return sha256(
    netstrings([
      'kymo audit 1',
      block.orgId,
      String(block.number),
      block.firstId,
      block.lastId,
      String(block.rowCount),
      block.sealedAtUs,
      block.previous.toString('hex'),
      block.content.toString('hex'),
    ]),
  );
}

/** D. J. Bernstein, "Netstrings" (1997): length in bytes, colon, bytes, comma; `-,` is a value that there is not. */
function netstrings(values: readonly (string | null)[]): string {
  return values.map((value) => (value === null ? '-,' : `${Buffer.byteLength(value)}:${value},`)).join('');
}

function sha256(bytes: string | Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}
