import { readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { createMasterKeyFile, openMasterKeys, parseMasterKeys } from '#app/master-key-file.ts';
import { masterKeyOf, newKey } from '#clinic/master-keys.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';

function newDirectory(): string {
  const made = createTemporaryDirectory();
  onTestFinished(() => made.remove());
  return made.path;
}

test('the file is made once, whoever is first, and is its owner’s alone', async () => {
  const directory = newDirectory();
  const many = Array.from({ length: 8 }, () => createMasterKeyFile(directory));
  expect(await many[0]!.read()).toEqual([]);
  const keys = await Promise.all(many.map((file) => file.current()));
  expect(new Set(keys.map(({ id }) => id)).size).toBe(1);
  expect((await stat(many[0]!.path)).mode & 0o777).toBe(0o600);
  expect(await many[1]!.find(keys[0]!.id)).toEqual(keys[0]);
  expect(await many[1]!.find('0000000000000000')).toBe(null);
});

test('a key that another process has put in front counts without a restart', async () => {
  const directory = newDirectory();
  const [server, command] = [createMasterKeyFile(directory), createMasterKeyFile(directory)];
  const old = await server.current();
  const next = masterKeyOf(newKey());
  await command.write([next, ...(await command.read())]);
  expect((await server.current()).id).toBe(next.id);
  expect(await server.find(old.id)).toEqual(old);
});

test('a damaged file is said to be, and never replaced', async () => {
  const directory = newDirectory();
  const file = path.join(directory, 'patient-keys.json');
  for (const text of ['', '{"keys":["short"]}', '{"keys":3}']) {
    await writeFile(file, text);
    await expect(createMasterKeyFile(directory).current()).rejects.toMatchObject({ code: 'internal' });
    expect(await readFile(file, 'utf8')).toBe(text);
  }
});

test('keys that are given are taken in their order, and what is none is refused', async () => {
  const [a, b] = [newKey(), newKey()];
  const given = openMasterKeys(`${a.toString('base64')}, ${b.toString('hex')}`, '');
  expect((await given.current()).key).toEqual(a);
  expect((await given.find(masterKeyOf(b).id))?.key).toEqual(b);
  for (const text of ['x', `${a.toString('base64')},`, newKey().subarray(1).toString('base64')])
    expect(() => parseMasterKeys(text)).toThrow('KYMO_MASTER_KEY');
});
