/** Owns `kymo reader`: makes, lists and removes roles that read one organisation with plain SQL (store/readers.ts). */

import { parseArgs } from 'node:util';

import pg from 'pg';

import { systemClock as clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { addReader, listReaders, removeReader, type AddedReader } from '#store/readers.ts';
import { storeError } from '#store/store-error.ts';
import { processSources, readConfig, settingsHelp } from '#app/config.ts';
import { settings } from '#app/settings.ts';
import { openDatabase, type Database } from '#app/database.ts';
import { createLog } from '#app/log.ts';
import { readerAddress } from '#app/reader-address.ts';

const usage = 'kymo reader add NAME [--org ID], kymo reader list, or kymo reader remove NAME';

export const readerCommand = {
  help: `Usage: kymo reader add NAME [--org ID] [--json] [settings]
       kymo reader list [--json] [settings]
       kymo reader remove NAME [settings]

Makes a PostgreSQL role that reads the sessions, streams and readings of one organisation with plain SQL, and
nothing else. Its password is printed once. docs/sql.md has queries to begin with.

  NAME           small letters, digits and _; every login on the database server can see it
  --org <id>     the organisation; needed when there are several
  --json         print JSON

${settingsHelp()}`,

  async run(args: readonly string[]): Promise<number> {
    const { action, name, org, isJson, rest } = parse(args);
    const config = readConfig(processSources(rest));
    const log = createLog(config['log-level']);
    const database = await openDatabase(config, { clock, log, onStep: () => undefined });
    const owner = new pg.Pool({ connectionString: database.ownerUrl, max: 2 });
    owner.on('error', () => undefined);
    try {
      if (action === 'list') await list(owner, isJson);
      else if (action === 'remove') {
        await removeReader(owner, name);
        if (isJson) printJson({ removed: name });
        else console.log(`The reader ${name} is removed, and its connections are closed.`);
      } else printAdded(await addReader(owner, { name, orgId: org }), { database, isJson });
    } catch (error) {
      throw storeError(error);
    } finally {
      await owner.end();
      await database.stop();
    }
    return 0;
  },
};

interface Parsed {
  readonly action: 'add' | 'list' | 'remove';
  /** Empty for `list`. */
  readonly name: string;
  readonly org: string | null;
  readonly isJson: boolean;
  /** Settings of the server, for the configuration. */
  readonly rest: readonly string[];
}

function parse(args: readonly string[]): Parsed {
  const own = { org: { type: 'string' }, json: { type: 'boolean' } } as const;
  const options: Record<string, { type: 'string' | 'boolean' }> = { ...own, config: { type: 'string' } };
  for (const [flag, { kind }] of Object.entries(settings))
    options[flag] = { type: kind === 'boolean' ? 'boolean' : 'string' };
  let parsed: ReturnType<typeof parseArgs>;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true, allowNegative: true });
  } catch (cause) {
    throw new AppError('invalid-field', `${(cause as Error).message}; it is ${usage}`, { cause });
  }
  const { json, org, ...given } = parsed.values;
  const [action, name = '', ...more] = parsed.positionals;
  const isKnown = action === 'add' || action === 'list' || action === 'remove';
  if (!isKnown || more.length > 0 || (action === 'list') !== (name === ''))
    throw new AppError('invalid-field', `it is ${usage}`);
  if (org !== undefined && action !== 'add')
    throw new AppError('invalid-field', `--org belongs to kymo reader add; it is ${usage}`);
  return {
    action,
    name,
    org: typeof org === 'string' ? org : null,
    isJson: json === true,
    rest: Object.entries(given).map(([flag, value]) =>
      typeof value === 'boolean' ? `--${value ? '' : 'no-'}${flag}` : `--${flag}=${String(value)}`,
    ),
  };
}

async function list(owner: pg.Pool, isJson: boolean): Promise<void> {
  const readers = await listReaders(owner);
  if (isJson) {
    printJson(readers);
    return;
  }
  if (readers.length === 0) console.log('There are no readers. kymo reader add NAME makes one.');
  for (const { name, organisation, orgId, createdAt, canLogIn } of readers)
    console.log(
      `${name.padEnd(20)} ${organisation} (${orgId}), since ${createdAt.toISOString().slice(0, 10)}` +
        (canLogIn ? '' : `; its role is gone: kymo reader remove ${name}, then add it again`),
    );
}

function printAdded(
  reader: AddedReader,
  { database, isJson }: { database: Database; isJson: boolean },
): void {
  const { psql, url } = readerAddress(database.ownerUrl, reader);
  if (isJson) {
    printJson({ ...reader, psql, url });
    return;
  }
  console.log(`${reader.role} reads ${reader.organisation} (${reader.orgId}).

  password  ${reader.password}   (kept nowhere: write it down now)
  psql      ${psql}
  url       ${url}
`);
  if (database.isEmbedded)
    console.log(`This is the embedded database. It listens on that socket only, while Kymo runs, and the account that runs
Kymo is the only one that can open it. For Grafana or another machine use a PostgreSQL of your own (DATABASE_URL).`);
}

function printJson(value: unknown): void {
  console.log(JSON.stringify(value, null, 2));
}
