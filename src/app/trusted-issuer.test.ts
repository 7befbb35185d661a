import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose';
import { afterAll, expect, test } from 'vitest';

import { readConfig } from '#app/config.ts';
import { readTrustedIssuer } from '#app/trusted-issuer.ts';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';

const org = '01890000-0000-7000-8000-000000000001';
const folder = mkdtempSync(join(tmpdir(), 'kymo-issuer-'));
afterAll(() => rmSync(folder, { recursive: true }));

const read = (...args: string[]) =>
  readTrustedIssuer(readConfig({ args, env: {} }), { clock: systemClock, log: silentLog });

test('nobody is trusted unless it is configured', () => {
  expect(read()).toBeNull();
});

test.each([
  [['--token-secret', 'short', '--token-org', org], 'token-secret'],
  [['--token-secret', 'x'.repeat(32)], 'token-org'],
  [['--token-secret', 'x'.repeat(32), '--token-org', 'mine'], 'token-org'],
  [['--token-keys', 'http://keys.example/jwks', '--token-org', org], 'token-keys'],
  [['--token-keys', join(folder, 'absent'), '--token-org', org], 'token-keys'],
])('%j is refused, naming what is wrong', (args, field) => {
  expect(() => read(...args)).toThrow(`--${field} `);
});

test('keys come from a JWKS file or a PEM file', async () => {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
  const jwks = join(folder, 'keys.json');
  const pem = join(folder, 'key.pem');
  writeFileSync(jwks, JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), alg: 'ES256' }] }));
  writeFileSync(pem, await exportSPKI(publicKey));
  const token = await new SignJWT({ sub: 'anna' })
    .setProtectedHeader({ alg: 'ES256' })
    .setExpirationTime('10 min')
    .sign(privateKey);
  for (const file of [jwks, pem])
    expect(await read('--token-keys', file, '--token-org', org)?.connection(token)).toMatchObject({
      orgId: org,
      subject: 'user:anna',
    });
  writeFileSync(pem, 'neither');
  expect(() => read('--token-keys', pem, '--token-org', org)).toThrow('neither a JWKS');
});
