/**
 * Owns the chunks of many ranges in one statement, for queries that find out themselves which ranges they need: the same
 * rows as chunkStatement of chunk-reader.ts, as a piece of SQL.
 */

/**
 * SQL: `cross join lateral` that gives `span` (columns epoch, from_seq, to_seq, first_commit_day, last_commit_day) the
 * chunks of stream $1 that have readings in it, as `chunk`: those that touch `time` (columns from_us, to_us) only. Each span is looked up in the index on seq; `offset 0` keeps PostgreSQL from
 * turning that round into one scan of all chunks.
 */
export function joinChunks(columns: string, time: string | null): string {
  const within =
    time === null ? '' : `and c.last_us + 0 >= ${time}.from_us and c.first_us + 0 < ${time}.to_us`;
  return `
   cross join lateral (
     select coalesce(max(f.first_seq), 0) as first_seq
       from (select b.first_seq from kymo.stored_chunk b
              where b.stream_id = $1 and b.epoch = span.epoch and b.first_seq <= span.from_seq
                and b.commit_day between span.first_commit_day and span.last_commit_day
              order by b.first_seq desc limit 1) f) start
   cross join lateral (
     select ${columns} from kymo.stored_chunk c
      where c.stream_id = $1 and c.epoch = span.epoch
        and c.first_seq >= start.first_seq and c.first_seq < span.to_seq and c.first_seq + c.n > span.from_seq
        and c.commit_day between span.first_commit_day and span.last_commit_day ${within}
      order by c.first_seq offset 0) chunk`;
}
