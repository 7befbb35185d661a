import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterEach, expect, test } from 'vitest';

import { createCredentials } from '#app/credentials.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';

const directories: ReturnType<typeof createTemporaryDirectory>[] = [];
afterEach(() => directories.splice(0).forEach((directory) => directory.remove()));

function setUp() {
  const directory = createTemporaryDirectory();
  directories.push(directory);
  const path = join(directory.path, 'inner', 'credentials.json');
  let made = 0;
  return {
    path,
    root: directory.path,
    credentials: createCredentials(path),
    make: async () => `key ${++made}`,
    isValid: async () => true,
  };
}

test('a key is made once and kept, readable by its owner only', async () => {
  const { path, credentials, make, isValid } = setUp();
  expect(await credentials.keep('access', { isValid, make })).toBe('key 1');
  expect(await createCredentials(path).keep('access', { isValid, make })).toBe('key 1');
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('a kept key that is no longer valid is replaced, and the others stay', async () => {
  const { path, credentials, make, isValid } = setUp();
  await credentials.keep('a', { isValid, make });
  await credentials.keep('b', { isValid, make });
  expect(await credentials.keep('a', { isValid: async () => false, make })).toBe('key 3');
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ a: 'key 3', b: 'key 2' });
});

test('several at once lose none', async () => {
  const { path, credentials, make, isValid } = setUp();
  await Promise.all(['a', 'b', 'c'].map((name) => credentials.keep(name, { isValid, make })));
  expect(Object.keys(JSON.parse(readFileSync(path, 'utf8')) as object)).toEqual(['a', 'b', 'c']);
});

test('one that fails does not stop the next', async () => {
  const { credentials, make, isValid } = setUp();
  const failing = credentials.keep('a', { isValid, make: () => Promise.reject(new Error('down')) });
  const next = credentials.keep('b', { isValid, make });
  await expect(failing).rejects.toThrow('down');
  expect(await next).toBe('key 1');
});

test.each(['not json', 'null', '[]', '7', '{"access": 5}', '{"access": null}'])(
  'a file that holds %s counts as empty',
  async (text) => {
    const { root, make, isValid } = setUp();
    const path = join(root, 'credentials.json');
    writeFileSync(path, text);
    expect(await createCredentials(path).keep('access', { isValid, make })).toBe('key 1');
  },
);

test('names of object methods are names like others', async () => {
  const { credentials, make, isValid } = setUp();
  expect(await credentials.keep('constructor', { isValid, make })).toBe('key 1');
  expect(await credentials.keep('constructor', { isValid, make })).toBe('key 1');
});

test('a file that may not be read is an error, not a new key', async () => {
  const { root, make, isValid } = setUp();
  const path = join(root, 'credentials.json');
  // A folder in its place cannot be read by anyone, the superuser included.
  const inner = createCredentials(join(path, 'x'));
  await inner.keep('a', { isValid, make });
  await expect(createCredentials(path).keep('a', { isValid, make })).rejects.toMatchObject({
    code: 'internal',
  });
});
