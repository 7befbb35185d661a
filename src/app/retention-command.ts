/** Owns `kymo retention`: shows and sets how long readings are kept, and says first what that drops. */

import type pg from 'pg';

import { AppError } from '#base/errors.ts';
import { ensurePartitions } from '#store/partitions.ts';
import {
  changeRule,
  createRetentionClasses,
  listStoredDays,
  readRetentionRules,
  writeRule,
  type RuleChange,
  type StoredDay,
} from '#store/retention-classes.ts';
import type { RetentionRule } from '#store/retention-rules.ts';
import { settingsHelp } from '#app/config.ts';
import { parseOwnArguments, type OwnArguments } from '#app/own-arguments.ts';
import { withStoredData, type StoredData } from '#app/stored-data.ts';
import { formatBytes } from '#app/work-progress.ts';

const usage =
  'kymo retention, kymo retention set CLASS [--name N] [--raw-days D] [--rollup-days D], or kymo retention default CLASS';

const ownFlags = {
  name: 'string',
  'raw-days': 'string',
  'rollup-days': 'string',
  org: 'string',
  'dry-run': 'boolean',
  yes: 'boolean',
  json: 'boolean',
} as const;
type Arguments = OwnArguments<keyof typeof ownFlags>;

export const retentionCommand = {
  help: `Usage: kymo retention [--json] [settings]
       kymo retention set CLASS [--name N] [--raw-days D] [--rollup-days D] [--dry-run] [--yes] [--json] [settings]
       kymo retention default CLASS [--org ID] [--json] [settings]

Readings are kept by class, 0 to 7; class 0 keeps for ever unless you say otherwise. Days count from the day on which the
server committed a reading (UTC). Without more words it lists the classes and what is dropped next.

  set CLASS            make or change a class
  --name <text>        how it is called
  --raw-days <days>    how long single readings are kept, or forever
  --rollup-days <days> how long roll-ups are kept, or forever; they outlive the readings
  --dry-run            only say what would be dropped
  --yes                do it although it drops readings
  default CLASS        the class of streams that open from now on; those that exist keep theirs
  --org <id>           the organisation; needed when there are several
  --json               print JSON

${settingsHelp()}`,

  async run(args: readonly string[]): Promise<number> {
    const given = parseOwnArguments(args, ownFlags, usage);
    const [action, number, ...more] = given.positionals;
    const isKnown = action === undefined || action === 'set' || action === 'default';
    if (!isKnown || more.length > 0 || (action !== undefined && !/^[0-7]$/.test(number ?? '')))
      throw new AppError('invalid-field', `it is ${usage}; CLASS is 0 to 7`);
    return withStoredData(given.rest, async (data) => {
      if (action === 'set') await set(data, Number(number), given);
      else if (action === 'default') await choose(data, Number(number), given);
      else await show(data, given);
      return 0;
    });
  },
};

async function show({ owner, writer }: StoredData, { has }: Arguments): Promise<void> {
  const rules = await readRetentionRules(owner);
  const days = await listStoredDays(writer, rules);
  const { rows: organisations } = await owner.query<{ id: string; name: string; defaultClass: number }>(
    'select id, name, retention_class as "defaultClass" from kymo.organisation order by created_at, id',
  );
  if (has('json')) {
    printJson({
      classes: rules.map((rule) => ({ ...rule, ...sumOf(rule, days) })),
      organisations,
      dropped: due(days),
    });
    return;
  }
  console.log('class  name                  readings      roll-ups      stored days  on disk');
  for (const rule of rules) {
    const { storedDays, bytes } = sumOf(rule, days);
    console.log(
      `${String(rule.retentionClass).padEnd(7)}${rule.name.padEnd(22)}${daysText(rule.rawDays).padEnd(14)}${daysText(rule.rollupDays).padEnd(14)}${String(storedDays).padEnd(13)}${formatBytes(bytes)}`,
    );
  }
  console.log();
  for (const { name, id, defaultClass } of organisations)
    console.log(`New streams of ${name} (${id}) are of class ${defaultClass}.`);
  printDrops(due(days), 'The next run of retention drops');
}

async function set({ owner, writer }: StoredData, retentionClass: number, given: Arguments): Promise<void> {
  const { has } = given;
  const before = await readRetentionRules(owner);
  const rules = changeRule(before, retentionClass, changeOf(given));
  const rule = rules.find((other) => other.retentionClass === retentionClass)!;
  const ofClass = (days: readonly StoredDay[]): StoredDay[] =>
    due(days).filter((day) => day.retentionClass === retentionClass);
  const known = new Set(ofClass(await listStoredDays(writer, before)).map(({ day }) => day));
  const drops = ofClass(await listStoredDays(writer, rules)).filter(({ day }) => !known.has(day));
  const isDry = has('dry-run');
  if (!isDry && drops.length > 0 && !has('yes'))
    throw new AppError(
      'conflict',
      `this rule drops readings of ${drops.length} days (${drops[0]!.day} to ${drops.at(-1)!.day}) for good: --dry-run lists them, --yes does it`,
    );
  if (!isDry) {
    await writeRule(owner, rule);
    await ensurePartitions(writer);
  }
  if (has('json')) {
    printJson({ rule, isDryRun: isDry, dropped: drops });
    return;
  }
  console.log(
    `Class ${retentionClass}, ${rule.name}: readings ${daysText(rule.rawDays)}, roll-ups ${daysText(rule.rollupDays)}.${isDry ? ' Nothing was changed.' : ''}`,
  );
  printDrops(drops, isDry ? 'It would drop' : 'The next run of retention drops');
}

async function choose(
  { owner, pools }: StoredData,
  retentionClass: number,
  { texts, has }: Arguments,
): Promise<void> {
  const organisation = await organisationOf(owner, texts.org);
  await createRetentionClasses(pools.app).setDefault(organisation.id, retentionClass);
  if (has('json')) printJson({ organisation: organisation.id, defaultClass: retentionClass });
  else console.log(`New streams of ${organisation.name} are of class ${retentionClass}. Others keep theirs.`);
}

async function organisationOf(owner: pg.Pool, id: string | undefined): Promise<{ id: string; name: string }> {
  const { rows } = await owner.query<{ id: string; name: string }>(
    'select id, name from kymo.organisation where $1::text is null or id::text = lower($1) order by created_at, id',
    [id ?? null],
  );
  const [first, ...more] = rows;
  if (first === undefined)
    throw new AppError(
      'not-found',
      id === undefined ? 'there is no organisation yet' : `there is no organisation ${id}`,
    );
  if (more.length > 0)
    throw new AppError(
      'invalid-field',
      `there are several organisations: say which with --org (${rows.map((row) => `${row.name} ${row.id}`).join(', ')})`,
    );
  return first;
}

function changeOf({ texts }: Arguments): RuleChange {
  const daysOf = (flag: 'raw-days' | 'rollup-days'): number | null | undefined => {
    const text = texts[flag];
    if (text === undefined) return undefined;
    if (text === 'forever') return null;
    if (!/^\d{1,6}$/.test(text))
      throw new AppError('invalid-field', `--${flag} is "${text}": it takes a number of days, or forever`);
    return Number(text);
  };
  const [rawDays, rollupDays] = [daysOf('raw-days'), daysOf('rollup-days')];
  return {
    ...(texts.name === undefined ? {} : { name: texts.name }),
    ...(rawDays === undefined ? {} : { rawDays }),
    ...(rollupDays === undefined ? {} : { rollupDays }),
  };
}

const due = (days: readonly StoredDay[]): StoredDay[] => days.filter(({ isExpired }) => isExpired);

function sumOf(rule: RetentionRule, days: readonly StoredDay[]): { storedDays: number; bytes: number } {
  const own = days.filter(({ retentionClass }) => retentionClass === rule.retentionClass);
  return { storedDays: own.length, bytes: own.reduce((sum, { bytes }) => sum + bytes, 0) };
}

function daysText(days: number | null): string {
  return days === null ? 'for ever' : days === 1 ? '1 day' : `${days} days`;
}

function printDrops(drops: readonly StoredDay[], lead: string): void {
  if (drops.length === 0) {
    console.log(`${lead} nothing.`);
    return;
  }
  console.log(`${lead}:`);
  for (const { day, retentionClass, bytes, heldSessions } of drops)
    console.log(
      `  ${day}  class ${retentionClass}  ${formatBytes(bytes)}${heldSessions === 0 ? '' : `  but for ${heldSessions} sessions under a legal hold`}`,
    );
}

function printJson(value: unknown): void {
  console.log(JSON.stringify(value, null, 2));
}
