/**
 * Owns the rules of retention: eight classes at most for the whole server, set by its operator, and the class that an
 * organisation chooses for the streams it opens from now on. It also tells what a rule would drop before anything does.
 */

import type pg from 'pg';

import { AppError } from '#base/errors.ts';
import { parsePartitionName } from '#store/partitions.ts';
import { runAsOrg, type RolePool } from '#store/pools.ts';
import { isExpired, type RetentionRule } from '#store/retention-rules.ts';

/** A hundred years; also what the table checks. */
const MAX_DAYS = 36_500;

export interface RetentionClasses {
  /** All rules, and the class of the organisation's new streams. */
  list(orgId: string): Promise<{ classes: RetentionRule[]; defaultClass: number }>;
  /** Throws AppError `invalid-field` when there is no such class. Streams that exist keep theirs. */
  setDefault(orgId: string, retentionClass: number): Promise<void>;
}

const RULES_SQL = `select class as "retentionClass", name, raw_days as "rawDays", rollup_days as "rollupDays"
  from kymo.retention_class order by class`;

export function createRetentionClasses(app: RolePool): RetentionClasses {
  return {
    async list(orgId) {
      const [rules, chosen] = await runAsOrg(app, orgId, {
        mode: 'snapshot',
        statements: [
          { name: 'retention-rules', text: RULES_SQL },
          { text: 'select retention_class from kymo.organisation where id = $1', values: [orgId] },
        ],
      });
      const [row] = (chosen?.rows ?? []) as { retention_class: number }[];
      return { classes: (rules?.rows ?? []) as RetentionRule[], defaultClass: row?.retention_class ?? 0 };
    },
    async setDefault(orgId, retentionClass) {
      const [result] = await runAsOrg(app, orgId, {
        mode: 'change',
        statements: [
          {
            text: `update kymo.organisation set retention_class = $2
              where id = $1 and exists (select from kymo.retention_class where class = $2)`,
            values: [orgId, retentionClass],
          },
        ],
      });
      if (result?.rowCount !== 1)
        throw new AppError('invalid-field', `there is no retention class ${retentionClass}`, {
          field: '/defaultClass',
        });
    },
  };
}

/** The rules as they are, for any role. */
export async function readRetentionRules(db: pg.Pool | pg.ClientBase): Promise<RetentionRule[]> {
  return (await db.query<RetentionRule>(RULES_SQL)).rows;
}

/** What of a rule is to change. Days null: for ever. */
export type RuleChange = Partial<Pick<RetentionRule, 'name' | 'rawDays' | 'rollupDays'>>;

/** The rules with one changed or added. Throws AppError `invalid-field` saying what a rule may be. */
export function changeRule(
  rules: readonly RetentionRule[],
  retentionClass: number,
  change: RuleChange,
): RetentionRule[] {
  const invalid = (message: string): AppError => new AppError('invalid-field', message);
  if (!Number.isInteger(retentionClass) || retentionClass < 0 || retentionClass > 7)
    throw invalid('a retention class is a number from 0 to 7');
  const before = rules.find((rule) => rule.retentionClass === retentionClass);
  const { name, rawDays, rollupDays } = { rawDays: null, rollupDays: null, ...before, ...change };
  if (name === undefined) throw invalid(`class ${retentionClass} is new: give it a --name`);
  if (name.trim() === '' || name.length > 64 || !name.isWellFormed())
    throw invalid('the name of a class has 1 to 64 characters');
  const others = rules.filter((rule) => rule.retentionClass !== retentionClass);
  const twin = others.find((rule) => rule.name === name);
  if (twin !== undefined) throw invalid(`class ${twin.retentionClass} has the name "${name}" already`);
  for (const days of [rawDays, rollupDays])
    if (days !== null && (!Number.isInteger(days) || days < 1 || days > MAX_DAYS))
      throw invalid(`days are a whole number from 1 to ${MAX_DAYS}, or forever`);
  if (rollupDays !== null && (rawDays === null || rollupDays < rawDays))
    throw invalid('roll-ups are kept at least as long as the readings they were made of');
  return [...others, { retentionClass, name, rawDays, rollupDays }].toSorted(
    (a, b) => a.retentionClass - b.retentionClass,
  );
}

/** Writes one rule, as the owner. */
export async function writeRule(owner: pg.Pool, rule: RetentionRule): Promise<void> {
  await owner.query(
    `insert into kymo.retention_class (class, name, raw_days, rollup_days) values ($1, $2, $3, $4)
      on conflict (class) do update
        set name = excluded.name, raw_days = excluded.raw_days, rollup_days = excluded.rollup_days`,
    [rule.retentionClass, rule.name, rule.rawDays, rule.rollupDays],
  );
}

/** Readings of one class and commit day, hot and sealed. */
export interface StoredDay {
  readonly retentionClass: number;
  readonly day: string;
  readonly bytes: number;
  /** Sessions under a legal hold with readings in it: theirs stay. */
  readonly heldSessions: number;
  readonly isExpired: boolean;
}

/** The days that are stored, oldest first, and which of them `rules` drop now. As kymo_writer. */
export async function listStoredDays(writer: pg.Pool, rules: readonly RetentionRule[]): Promise<StoredDay[]> {
  const { rows } = await writer.query<{ name: string; bytes: string; today: string }>(
    `select c.relname as name, pg_total_relation_size(c.oid) as bytes,
            to_char(now() at time zone 'UTC', 'YYYY-MM-DD') as today
       from pg_class c join pg_inherits i on i.inhrelid = c.oid and not i.inhdetachpending
      where c.relnamespace = 'kymo'::regnamespace and c.relkind = 'r' and c.relname ~ '_c[0-7]_[0-9]{8}$'`,
  );
  const days = new Map<string, StoredDay>();
  for (const { name, bytes, today } of rows) {
    const partition = parsePartitionName(name);
    if (partition === null || partition.day > today) continue;
    const { retentionClass, day } = partition;
    const key = `${day} ${retentionClass}`;
    const before = days.get(key);
    days.set(key, {
      retentionClass,
      day,
      bytes: Number(bytes) + (before?.bytes ?? 0),
      heldSessions: Math.max(await countHeld(writer, name), before?.heldSessions ?? 0),
      isExpired: isExpired(partition, today, rules),
    });
  }
  return [...days.values()].toSorted((a, b) => (a.day < b.day ? -1 : 1));
}

async function countHeld(writer: pg.Pool, partition: string): Promise<number> {
  const { rows } = await writer.query<{ n: number }>(
    `select count(*)::int as n from kymo.legal_hold h where exists (
       select from kymo.stream s join kymo.${partition} c on c.stream_id = s.id where s.session_id = h.session_id)`,
  );
  return rows[0]!.n;
}
