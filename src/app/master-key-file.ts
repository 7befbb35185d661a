/**
 * Owns the master keys of what names patients: those of KYMO_MASTER_KEY, the newest first, or of a file beside the database
 * that is made when the first patient is. The file is read again when it has changed, so that a rotation by command needs no
 * restart. Who loses these keys loses what they wrap; a back-up of the database does not have them.
 */

import { link, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';

import { AppError } from '#base/errors.ts';
import { KEY_BYTES, masterKeyOf, newKey, type MasterKey, type MasterKeys } from '#clinic/master-keys.ts';

/** The first is current. */
export type KeyRing = readonly MasterKey[];

export interface MasterKeyFile extends MasterKeys {
  readonly path: string;
  read(): Promise<KeyRing>;
  /** Durable when it returns. */
  write(ring: KeyRing): Promise<void>;
}

/** Of `--master-key` or KYMO_MASTER_KEY. Throws AppError `invalid-field` for what is none. */
export function parseMasterKeys(text: string): KeyRing {
  return text.split(',').map((part) => {
    const key = Buffer.from(part.trim(), /^[0-9a-f]{64}$/i.test(part.trim()) ? 'hex' : 'base64');
    if (key.length !== KEY_BYTES)
      throw new AppError(
        'invalid-field',
        'KYMO_MASTER_KEY is not 32 random bytes as base64 or hexadecimal: openssl rand -base64 32 makes some',
        { field: 'master-key' },
      );
    return masterKeyOf(key);
  });
}

/** Keys that are given and never change while this process lives. */
export function givenMasterKeys(ring: KeyRing): MasterKeys {
  return {
    current: async () => ring[0]!,
    find: async (id) => ring.find((key) => key.id === id) ?? null,
  };
}

/** The keys of this installation: as configured, else of the file in its folder. */
export function openMasterKeys(given: string, stateDir: string): MasterKeys {
  return given === '' ? createMasterKeyFile(stateDir) : givenMasterKeys(parseMasterKeys(given));
}

export function createMasterKeyFile(stateDir: string): MasterKeyFile {
  const file = path.join(stateDir, 'patient-keys.json');
  let known: { readonly ring: KeyRing; readonly changedMs: number } | null = null;

  const load = async (): Promise<KeyRing> => {
    const changedMs = await stat(file).then(({ mtimeMs }) => mtimeMs, missing(null));
    if (changedMs === null) return [];
    if (known?.changedMs !== changedMs)
      known = { ring: parseFile(file, await readFile(file, 'utf8')), changedMs };
    return known.ring;
  };
  /** Whoever is first makes the key of all: a link is made once. */
  const make = async (): Promise<void> => {
    const temporary = await writeTemporary(file, [masterKeyOf(newKey())]);
    try {
      await link(temporary, file);
      await syncDirectory(stateDir);
    } catch (error) {
      if ((error as { code?: string }).code !== 'EEXIST') throw error;
    } finally {
      await rm(temporary);
    }
  };

  return {
    path: file,
    async current() {
      if ((await load()).length === 0) await make();
      return (await load())[0]!;
    },
    async find(id) {
      return (await load()).find((key) => key.id === id) ?? null;
    },
    read: load,
    async write(ring) {
      await rename(await writeTemporary(file, ring), file);
      await syncDirectory(stateDir);
      known = null;
    },
  };
}

function missing<T>(value: T): (error: unknown) => T {
  return (error) => {
    if ((error as { code?: string }).code === 'ENOENT') return value;
    throw error;
  };
}

function parseFile(file: string, text: string): KeyRing {
  try {
    const { keys } = JSON.parse(text) as { readonly keys: readonly string[] };
    return parseMasterKeys(keys.join(','));
  } catch (cause) {
    throw new AppError('internal', `the key file ${file} is damaged: put back a copy of it`, { cause });
  }
}

async function writeTemporary(file: string, ring: KeyRing): Promise<string> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const temporary = `${file}.${process.pid}.${crypto.randomUUID()}`;
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(
      `${JSON.stringify({ keys: ring.map(({ key }) => key.toString('base64')) }, null, 2)}\n`,
    );
    await handle.sync();
  } finally {
    await handle.close();
  }
  return temporary;
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
