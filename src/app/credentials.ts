/**
 * Owns the small file of keys that this installation keeps for itself: the key in the printed address and the demo
 * devices' keys. It lies beside the database, readable by its owner only, and belongs to one incarnation of it.
 */

import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

import { AppError } from '#base/errors.ts';

export interface KeyMaker {
  readonly isValid: (key: string) => Promise<boolean>;
  readonly make: () => Promise<string>;
}

export interface Credentials {
  /** The key under this name, or a new one from `make`, which is then kept. `isValid` decides about a kept one. */
  keep(name: string, maker: KeyMaker): Promise<string>;
}

export function createCredentials(path: string): Credentials {
  async function read(): Promise<Record<string, string>> {
    try {
      const kept: unknown = JSON.parse(await readFile(path, 'utf8'));
      const entries = typeof kept === 'object' && kept !== null ? Object.entries(kept) : [];
      return Object.fromEntries(entries.filter(([, key]) => typeof key === 'string'));
    } catch (cause) {
      if ((cause as { code?: string }).code === 'ENOENT' || cause instanceof SyntaxError) return {};
      throw new AppError('internal', `the key file ${path} cannot be read`, { cause });
    }
  }

  async function write(keys: Record<string, string>): Promise<void> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const temporary = `${path}.${process.pid}`;
    await writeFile(temporary, `${JSON.stringify(keys, null, 2)}\n`, { mode: 0o600 });
    await rename(temporary, path);
  }

  async function keep(name: string, { isValid, make }: KeyMaker): Promise<string> {
    const keys = await read();
    const kept = Object.hasOwn(keys, name) ? keys[name] : undefined;
    if (kept !== undefined && (await isValid(kept))) return kept;
    const key = await make();
    await write({ ...keys, [name]: key });
    return key;
  }

  /** One at a time: each reads what the one before has written. */
  let last: Promise<unknown> = Promise.resolve();
  return {
    keep(name, maker) {
      const mine = last.then(() => keep(name, maker));
      last = mine.catch(() => undefined);
      return mine;
    },
  };
}
