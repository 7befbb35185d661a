import { expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { isPublicAddress, parseTarget, resolveTarget, type Address } from '#jobs/webhooks/target.ts';

const rules = { allowPrivate: false };
const v4 = (address: string): Address => ({ address, family: 4 });

test.each([
  '0.0.0.0',
  '10.1.2.3',
  '100.64.0.1',
  '100.127.255.255',
  '127.0.0.1',
  '127.255.255.254',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.8',
  '192.168.1.1',
  '198.18.0.1',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::ffff:8.8.8.8',
  '::ffff:127.0.0.1',
  '::8.8.8.8',
  '64:ff9b::8.8.8.8',
  'fc00::1',
  'fd12::1',
  'fe80::1',
  'fe80::1%eth0',
  'ff02::1',
  '2001::1',
  '2001:db8::1',
  '2002:7f00:1::',
  'not an address',
])('%s is not public', (address) => {
  expect(isPublicAddress(address)).toBe(false);
});

test.each(['8.8.8.8', '100.63.255.255', '172.32.0.1', '2606:4700::1111', '2a00:1450:4001:80b::200e'])(
  '%s is public',
  (address) => {
    expect(isPublicAddress(address)).toBe(true);
  },
);

test.each([
  ['http://example.org/', 'https'],
  ['ftp://example.org/', 'https'],
  ['https://user:secret@example.org/', 'user and password'],
  ['https://example.org/#here', 'fragment'],
  ['https://example.org:22/', 'port 443'],
  ['https://127.0.0.1/', 'public'],
  ['https://2130706433/', 'public'],
  ['https://0x7f.1/', 'public'],
  ['https://0177.0.0.1/', 'public'],
  ['https://[::1]/', 'public'],
  ['https://[::ffff:127.0.0.1]/', 'public'],
  ['https://localhost/', 'public'],
  ['https://db.internal./', 'public'],
  ['nonsense', 'address'],
])('%s is refused', (url, why) => {
  expect(() => parseTarget(url, rules)).toThrow(why);
});

test('an https address of the internet is taken, with a port of its own too', () => {
  expect(parseTarget('https://example.org/hook?x=1', rules).href).toBe('https://example.org/hook?x=1');
  expect(parseTarget('https://example.org:8443/', rules).port).toBe('8443');
  expect(parseTarget('http://127.0.0.1:9/', { allowPrivate: true }).port).toBe('9');
});

test('a name with one private address among public ones is refused, and one without any', async () => {
  const url = new URL('https://example.org/');
  const answer = (addresses: readonly Address[]) => resolveTarget(url, rules, async () => addresses);
  await expect(answer([v4('8.8.8.8'), v4('10.0.0.1')])).rejects.toThrow('not public');
  await expect(answer([{ address: '::ffff:10.0.0.1', family: 6 }])).rejects.toThrow('not public');
  // Which names there are inside is not told apart.
  const told = new AppError('forbidden', 'the name leads to no address, or to one that is not public');
  await expect(answer([])).rejects.toEqual(told);
  await expect(answer([v4('10.0.0.1')])).rejects.toEqual(told);
  const unknown = (): Promise<never> => Promise.reject(new Error('getaddrinfo ENOTFOUND db'));
  await expect(resolveTarget(url, rules, unknown)).rejects.toEqual(told);
  await expect(resolveTarget(url, { allowPrivate: true }, unknown)).rejects.toThrow('ENOTFOUND');
  expect(await answer([v4('8.8.8.8'), v4('8.8.4.4')])).toEqual(v4('8.8.8.8'));
});
