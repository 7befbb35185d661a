/**
 * Owns what channels of the kind `durable` are kept in: messages with offsets that a locked counter row gives, in the order
 * of commits and without holes (migration 0010). A message joins the transaction of what causes it by `appendStatement`.
 * Kept for good; those of a session go when it is erased. Pages are read by index and have at most
 * `publicationLimits.pageMessages`.
 */

import { assert } from '#base/assert.ts';
import { AppError } from '#base/errors.ts';
import {
  publicationLimits,
  type Appended,
  type HistoryPage,
  type HistoryQuery,
} from '#protocol/publication.ts';
import { runAsOrg, type RolePool, type Statement } from '#store/pools.ts';

export interface ChannelMessage {
  /** UTF-8 JSON of at most `publicationLimits.payloadBytes`. */
  readonly payload: Uint8Array;
  /** The second message of a channel under the same key is not made. Null: always new. */
  readonly key: string | null;
}

/** Addresses are `org/name` (contract/channel-definition.ts). Both may throw what pools do; `append` also `not-found`. */
export interface ChannelLog {
  /** All in one transaction that has committed when this returns. `not-found`: the session of this name is gone. */
  append(address: string, messages: readonly ChannelMessage[]): Promise<readonly Appended[]>;
  page(address: string, query: HistoryQuery): Promise<HistoryPage>;
}

const FOREIGN_KEY_VIOLATION = '23503';

export function createChannelLog(app: RolePool): ChannelLog {
  return {
    async append(address, messages) {
      const { orgId, name } = partsOf(address);
      const statements = messages.map((message) => appendStatement(orgId, name, message));
      try {
        return (await runAsOrg(app, orgId, { statements, mode: 'change' })).map(({ rows }) =>
          appendedOf(rows as AppendedRow[]),
        );
      } catch (error) {
        if ((error as { code?: unknown } | null)?.code !== FOREIGN_KEY_VIOLATION) throw error;
        throw new AppError('not-found', 'there is nothing that such a channel belongs to', { cause: error });
      }
    },
    async page(address, query) {
      const { orgId, name } = partsOf(address);
      // Not a read-only transaction: the first to see that the database was restored draws its new incarnation.
      const work = { statements: [pageStatement(orgId, name, query)], mode: 'change' } as const;
      const [result] = await runAsOrg(app, orgId, work);
      return pageOf(result!.rows as PageRow[], 'after' in query);
    },
  };
}

function partsOf(address: string): { orgId: string; name: string } {
  const at = address.indexOf('/');
  const orgId = address.slice(0, at);
  assert(at > 0 && orgId !== '-', `a durable channel belongs to an organisation: ${address}`);
  return { orgId, name: address.slice(at + 1) };
}

/**
 * A message as part of the transaction of `runAsOrg` that causes it, which has to wait for the disk (durability `disk`).
 * It holds the channel's counter to the end of that: of several channels, the first by name goes first.
 */
export function appendStatement(orgId: string, name: string, message: ChannelMessage): Statement {
  const { payload, key } = message;
  assert(payload.length <= publicationLimits.payloadBytes, 'a payload was checked when it came');
  return {
    name: 'channel-append',
    text: `select epoch, message_offset, time_us, is_duplicate, newest
      from kymo.append_to_channel($1, $2, $3, $4)`,
    values: [orgId, name, Buffer.from(payload.buffer, payload.byteOffset, payload.length), key],
  };
}

export interface AppendedRow {
  readonly epoch: string;
  readonly message_offset: number;
  readonly time_us: number;
  readonly is_duplicate: boolean;
  readonly newest: number;
}

/** What a row of kymo.append_to_channel says, once its transaction has committed. */
export function appendedOf(rows: readonly AppendedRow[]): Appended {
  const row = rows[0]!;
  return {
    position: { epoch: row.epoch, offset: row.message_offset },
    timeUs: row.time_us,
    isDuplicate: row.is_duplicate,
    isNewest: row.message_offset === row.newest,
  };
}

interface PageRow {
  readonly epoch: string;
  readonly newest: number;
  readonly channel_offset: number | null;
  readonly time_us: number;
  readonly payload: Buffer;
}

// The epoch is computed once; a channel that nobody published to has one row of nothing.
function pageStatement(orgId: string, name: string, query: HistoryQuery): Statement {
  const isForward = 'after' in query;
  const bound = isForward ? query.after : 'before' in query ? query.before : Number.MAX_SAFE_INTEGER;
  return {
    name: isForward ? 'channel-page-after' : 'channel-page-before',
    text: `select e.epoch, coalesce(c.newest, 0) as newest, m.channel_offset, m.time_us, m.payload
      from (select kymo.channel_epoch($1, $2) as epoch) e
      left join kymo.channel c on c.org_id = $1 and c.name = $2
      left join lateral (
        select m.channel_offset, m.time_us, m.payload from kymo.channel_message m
         where m.channel_id = c.id and m.channel_offset ${isForward ? '>' : '<'} $3
         order by m.channel_offset ${isForward ? 'asc' : 'desc'} limit $4) m on true`,
    values: [orgId, name, bound, Math.min(query.limit, publicationLimits.pageMessages)],
  };
}

function pageOf(rows: readonly PageRow[], isForward: boolean): HistoryPage {
  const { epoch, newest } = rows[0]!;
  const publications = rows
    .filter(({ channel_offset }) => channel_offset !== null)
    .map(({ channel_offset, time_us, payload }) => ({
      offset: channel_offset!,
      timeUs: time_us,
      payload: new Uint8Array(payload.buffer, payload.byteOffset, payload.length),
    }));
  // Nothing is ever dropped from the front.
  return { epoch, newest, oldest: 1, publications: isForward ? publications : publications.toReversed() };
}
