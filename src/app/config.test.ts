import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterEach, expect, test } from 'vitest';

import { assertSafeBinding, readConfig, settingsHelp } from '#app/config.ts';
import { settings } from '#app/settings.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';

const directories: ReturnType<typeof createTemporaryDirectory>[] = [];
afterEach(() => directories.splice(0).forEach((directory) => directory.remove()));

/** A configuration file with this text. */
function file(text: string): string {
  const directory = createTemporaryDirectory();
  directories.push(directory);
  mkdirSync(directory.path, { recursive: true });
  const path = join(directory.path, 'kymo.json');
  writeFileSync(path, text);
  return path;
}

const read = (args: readonly string[] = [], env: Record<string, string> = {}) => readConfig({ args, env });

test('without any source every setting has its default', () => {
  const config = read();
  for (const [name, { default: value }] of Object.entries(settings))
    expect(config[name as keyof typeof settings], name).toBe(value);
  expect(config.given.size).toBe(0);
});

test('a flag beats the environment, which beats the file, which beats the default', () => {
  const config = file('{"port": 1, "flush-interval-ms": 2, "drain-ms": 3}');
  const args = ['--config', config, '--port', '10'];
  const env = { KYMO_PORT: '20', KYMO_FLUSH_INTERVAL_MS: '21' };
  expect(read(args, env)).toMatchObject({
    port: 10,
    'flush-interval-ms': 21,
    'drain-ms': 3,
    'flush-readings': 500,
  });
  expect([...read(args, env).given]).toEqual(['port', 'flush-interval-ms', 'drain-ms']);
});

test('the file may be named by the environment, and the flag names another', () => {
  const first = file('{"port": 1}');
  const second = file('{"port": 2}');
  expect(read([], { KYMO_CONFIG: first }).port).toBe(1);
  expect(read(['--config', second], { KYMO_CONFIG: first }).port).toBe(2);
});

test('an empty variable counts as not given', () => {
  const config = read([], { KYMO_PORT: '', KYMO_HOST: '', KYMO_DEMO: '', DATABASE_URL: '' });
  expect(config).toMatchObject({ port: 7900, host: '127.0.0.1', demo: false, 'database-url': '' });
  expect(config.given.size).toBe(0);
});

test('switches can be turned on and off everywhere', () => {
  expect(read(['--demo']).demo).toBe(true);
  expect(read(['--no-demo'], { KYMO_DEMO: '1' }).demo).toBe(false);
  expect(read([], { KYMO_DEMO: 'true' }).demo).toBe(true);
  expect(read(['--config', file('{"demo": true}')], { KYMO_DEMO: '0' }).demo).toBe(false);
});

test.each([
  ['--port', 'a', 'port'],
  ['--port', '', 'port'],
  ['--port', '70000', 'port'],
  ['--port', '1.5', 'port'],
  ['--flush-interval-ms', '0', 'flush-interval-ms'],
  ['--heartbeat-ms', '99', 'heartbeat-ms'],
])('%s %j is refused, naming the setting and what it takes', (flag, value, name) => {
  const { minimum, maximum } = settings[name as 'port'];
  expect(() => read([flag, value])).toThrow(
    `--${name} is "${value}": it takes a whole number from ${minimum} to ${maximum}`,
  );
});

test('a negative number is refused like any other that is too small', () => {
  expect(() => read(['--port=-1'])).toThrow('--port is "-1"');
});

test.each([
  ['environment', () => read([], { KYMO_PORT: 'x' }), '--port is "x"'],
  [
    'environment, a switch',
    () => read([], { KYMO_DEMO: 'maybe' }),
    '--demo is "maybe": it takes true or false',
  ],
  ['file, a number', () => read(['--config', file('{"port": "x"}')]), '--port is "x"'],
  ['file, a text', () => read(['--config', file('{"host": 5}')]), '--host is 5: it takes a text'],
  ['file, a switch', () => read(['--config', file('{"demo": "on"}')]), '--demo is "on"'],
  ['file, null', () => read(['--config', file('{"port": null}')]), '--port is null'],
  ['file, an unknown name', () => read(['--config', file('{"prot": 1}')]), '--prot is not a setting'],
  [
    'file, a name of every object',
    () => read(['--config', file('{"toString": 1}')]),
    '--toString is not a setting',
  ],
])('a wrong value in the %s names the setting', (_, wrong, message) => {
  expect(wrong).toThrow(message);
  expect(wrong).toThrow(expect.objectContaining({ code: 'invalid-field' }) as Error);
});

test('an unknown flag and a stray word are refused and say where to look', () => {
  expect(() => read(['--prot', '1'])).toThrow(/'--prot'.*kymo --help/);
  expect(() => read(['stray'])).toThrow(/stray.*kymo --help/);
  expect(() => read(['--port'])).toThrow(/--port.*kymo --help/);
});

test.each(['not json', '[]', 'null', '7'])('a file that holds %s is refused with its path', (text) => {
  const path = file(text);
  expect(() => read(['--config', path])).toThrow(path);
  expect(() => read(['--config', path])).toThrow(expect.objectContaining({ field: 'config' }) as Error);
});

test('a file that is not there is refused with its path', () => {
  expect(() => read(['--config', '/no/such.json'])).toThrow('/no/such.json');
});

test('a configuration cannot be changed', () => {
  expect(() => Object.assign(read(), { port: 1 })).toThrow(TypeError);
});

test('every setting has a line of help with its flag, variable and default', () => {
  const lines = settingsHelp().split('\n');
  expect(lines).toHaveLength(Object.keys(settings).length + 1);
  for (const [name, { env }] of Object.entries(settings))
    expect(
      lines.some((line) => line.includes(`--${name}`) && line.includes(env)),
      name,
    ).toBe(true);
});

test.each(['127.0.0.1', '127.9.9.9', '::1', 'localhost'])('%s may be listened on in clear', (host) => {
  expect(() => assertSafeBinding(read(['--host', host]))).not.toThrow();
});

test.each(['0.0.0.0', '::', '192.0.2.1', 'example.org', '127.0.0.1.example.org', '1270.0.0.1'])(
  '%s in clear needs to be asked for',
  (host) => {
    const args = ['--host', host];
    expect(() => assertSafeBinding(read(args))).toThrow('--host');
    expect(() => assertSafeBinding(read([...args, '--insecure']))).not.toThrow();
    expect(() => assertSafeBinding(read([...args, '--trusted-proxy', '192.0.2.9']))).not.toThrow();
    expect(() => assertSafeBinding(read([...args, '--tls-cert', 'c', '--tls-key', 'k']))).not.toThrow();
  },
);

test('half of TLS is refused, naming the other half', () => {
  expect(() => assertSafeBinding(read(['--tls-cert', 'c']))).toThrow('--tls-key is missing');
  expect(() => assertSafeBinding(read(['--tls-key', 'k', '--insecure']))).toThrow('--tls-cert is missing');
});

test.each(['everywhere', '0.0.0.0/0', '10.0.0.0/33'])('%s is no proxy to trust', (proxy) => {
  const args = ['--host', '0.0.0.0', '--trusted-proxy', proxy];
  expect(() => assertSafeBinding(read(args))).toThrow('--trusted-proxy');
});
