import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import fc from 'fast-check';
import { exportJWK, exportSPKI, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import { expect, test } from 'vitest';

import { createForeignTokens, keySetOfPem, type ForeignTokenOptions } from '#identity/foreign-tokens.ts';
import { concerns, createRevocations } from '#identity/revocations.ts';
import { createPrincipals } from '#identity/principals.ts';
import { createManualClock } from '#test/support/manual-clock.ts';
import { testPrincipal } from '#test/support/principals.ts';

const org = '01890000-0000-7000-8000-000000000001';
const otherOrg = '01890000-0000-7000-8000-000000000002';
const capitals = '01890000-0000-7000-8000-00000000000A';
const secret = Buffer.from('a shared secret of 32 bytes or more');
const clock = createManualClock();
const nowSeconds = Math.floor(clock.nowUs() / 1e6);

function trusting(overrides: Partial<ForeignTokenOptions> = {}) {
  return createForeignTokens({
    secret,
    jwks: null,
    issuer: null,
    audience: null,
    orgId: org,
    clock,
    onUnreachable: () => undefined,
    ...overrides,
  });
}

function sign(claims: Record<string, unknown>, key: Parameters<SignJWT['sign']>[0] = secret, alg = 'HS256') {
  return new SignJWT({ sub: 'anna', exp: nowSeconds + 600, ...claims }).setProtectedHeader({ alg }).sign(key);
}

test('a connection token says who somebody is, until when, and what at most', async () => {
  const channels = [{ channels: 'ticker/*', operations: ['subscribe'] }];
  expect(await trusting().connection(await sign({ channels, jti: 'j1' }))).toEqual({
    kind: 'token',
    orgId: org,
    subject: 'user:anna',
    role: 'service',
    patientId: null,
    permissions: [],
    grants: channels,
    expiresAtUs: (nowSeconds + 600) * 1e6,
    revocationId: 'j1',
  });
});

test('without grants it opens nothing by itself', async () => {
  expect(await trusting().connection(await sign({}))).toMatchObject({ grants: [], revocationId: null });
});

test.each([
  ['expired', { exp: nowSeconds - 60 }],
  ['not valid yet', { nbf: nowSeconds + 60 }],
  ['without an end', { exp: undefined }],
  ['of too long a life', { exp: nowSeconds + 90_000 }],
  ['without a subject', { sub: undefined }],
  ['with a subject that a screen cannot show', { sub: 'a\nb' }],
  ['for another organisation', { org: otherOrg }],
  ['with an operation that does not exist', { channels: [{ channels: 'a', operations: ['fly'] }] }],
  [
    'with too many grants',
    { channels: Array.from({ length: 65 }, () => ({ channels: 'a', operations: ['subscribe'] })) },
  ],
])('a token %s is nobody', async (_name, claims) => {
  expect(await trusting().connection(await sign(claims))).toBeNull();
});

test('a token that nobody signed, or another did, is nobody', async () => {
  const tokens = trusting();
  const claims = { sub: 'anna', exp: nowSeconds + 600 };
  expect(await tokens.connection(new UnsecuredJWT(claims).encode())).toBeNull();
  expect(
    await tokens.connection(await sign({}, Buffer.from('another secret of 32 bytes or more!'))),
  ).toBeNull();
  const [head, , signature] = (await sign({})).split('.');
  const forged = Buffer.from(JSON.stringify({ ...claims, sub: 'admin' })).toString('base64url');
  expect(await tokens.connection(`${head}.${forged}.${signature}`)).toBeNull();
});

test('a public key is never taken for a shared secret, nor the other way round', async () => {
  const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true });
  const pem = await exportSPKI(publicKey);
  const keysOnly = trusting({ secret: null, jwks: keySetOfPem(pem) });
  expect(await keysOnly.connection(await sign({}, privateKey, 'RS256'))).toMatchObject({
    subject: 'user:anna',
  });
  expect(await keysOnly.connection(await sign({}, Buffer.from(pem)))).toBeNull();
  expect(await trusting().connection(await sign({}, privateKey, 'RS256'))).toBeNull();
});

test('issuer and audience count where they are configured', async () => {
  const tokens = trusting({ issuer: 'clinic', audience: 'kymo' });
  expect(await tokens.connection(await sign({ iss: 'clinic', aud: 'kymo' }))).not.toBeNull();
  expect(await tokens.connection(await sign({ iss: 'other', aud: 'kymo' }))).toBeNull();
  expect(await tokens.connection(await sign({ iss: 'clinic' }))).toBeNull();
});

test('where any organisation may be meant, each token says which', async () => {
  const tokens = trusting({ orgId: null });
  expect(await tokens.connection(await sign({ org: otherOrg }))).toMatchObject({ orgId: otherOrg });
  expect(await tokens.connection(await sign({}))).toBeNull();
});

test('a channel token adds one channel to a connection of the same subject and organisation', async () => {
  const tokens = trusting();
  const token = await sign({ channel: 'ticker/abc' });
  const anna = testPrincipal({ kind: 'token', orgId: org, subject: 'user:anna', grants: [] });
  expect(await tokens.channel(token, anna)).toEqual({
    grant: { channels: 'ticker/abc', operations: ['subscribe', 'history', 'presence'] },
    expiresAtUs: (nowSeconds + 600) * 1e6,
    tokenId: null,
  });
  expect(await tokens.channel(token, { ...anna, subject: 'user:ben' })).toBeNull();
  expect(await tokens.channel(token, { ...anna, orgId: otherOrg })).toBeNull();
  expect(await tokens.channel(await sign({}), anna)).toBeNull();
});

test('keys are fetched from their address, and while they cannot be, that is said', async () => {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
  let isUp = false;
  let fetches = 0;
  const told: unknown[] = [];
  const server = createServer((_request, response) => {
    fetches++;
    response.statusCode = isUp ? 200 : 500;
    response.end(JSON.stringify({ keys: [{ ...keyOf, alg: 'ES256' }] }));
  });
  const keyOf = await exportJWK(publicKey);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const tokens = trusting({
      secret: null,
      jwks: new URL(`http://127.0.0.1:${port}/keys`),
      onUnreachable: (cause) => void told.push(cause),
    });
    const token = await sign({}, privateKey, 'ES256');
    await expect(tokens.connection(token)).rejects.toMatchObject({
      code: 'issuer-unavailable',
      temporary: true,
    });
    isUp = true;
    // Nobody is asked again at once, and why it failed is for the log only.
    await expect(tokens.connection(token)).rejects.toThrow(
      /^the keys of the token's issuer cannot be fetched now$/,
    );
    expect([fetches, told.length]).toEqual([1, 1]);
    clock.advance(2_000);
    expect(await tokens.connection(token)).toMatchObject({ subject: 'user:anna' });
  } finally {
    server.close();
  }
});

test('whatever is shown as a token, it is somebody, nobody, or a temporary failure', async () => {
  const tokens = trusting();
  const good = await sign({});
  const cut = fc
    .tuple(fc.nat(good.length), fc.nat(good.length), fc.string())
    .map(([from, to, put]) => good.slice(0, from) + put + good.slice(to));
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), cut), async (token) => {
      expect(token === good || (await tokens.connection(token)) === null).toBe(true);
    }),
  );
});

test('a revoked token or subject is refused, and only that one', async () => {
  const revocations = createRevocations(clock);
  const principals = createPrincipals({
    identity: { authenticateAccess: async () => null, authenticateDevice: async () => null },
    tokens: trusting(),
    revocations,
  });
  const [first, second, ben] = [
    await sign({ jti: '1' }),
    await sign({ jti: '2' }),
    await sign({ sub: 'ben', jti: '3' }),
  ];
  revocations.add({ orgId: org, tokenId: '1' });
  revocations.add({ orgId: otherOrg, tokenId: '2' });
  expect(await principals.authenticate(first)).toBeNull();
  expect(await principals.authenticate(second)).not.toBeNull();
  revocations.add({ orgId: org, subject: 'anna' });
  expect(await principals.authenticate(second)).toBeNull();
  expect(await principals.authenticate(ben)).not.toBeNull();
});

test('a revoked channel token adds nothing', async () => {
  const revocations = createRevocations(clock);
  const principals = createPrincipals({
    identity: { authenticateAccess: async () => null, authenticateDevice: async () => null },
    tokens: trusting(),
    revocations,
  });
  const anna = testPrincipal({ kind: 'token', orgId: org, subject: 'user:anna', grants: [] });
  const [first, second] = [
    await sign({ channel: 'ticker/abc', jti: '1' }),
    await sign({ channel: 'ticker/abc', jti: '2' }),
  ];
  revocations.add({ orgId: org, tokenId: '1' });
  expect(await principals.channelGrant(first, anna)).toBeNull();
  expect(await principals.channelGrant(second, anna)).toMatchObject({ tokenId: '2' });
});

test('an organisation in capitals is the same one, also to who revokes', async () => {
  expect(await trusting({ orgId: null }).connection(await sign({ org: capitals }))).toMatchObject({
    orgId: capitals.toLowerCase(),
  });
  expect(
    await trusting({ orgId: capitals.toLowerCase() }).connection(await sign({ org: capitals })),
  ).not.toBeNull();
});

test('a revocation means open connections of the same kind and organisation', () => {
  const byToken = testPrincipal({ kind: 'token', subject: 'user:anna', revocationId: 'j1' });
  expect(concerns({ orgId: 'o1', tokenId: 'j1' }, byToken)).toBe(true);
  expect(concerns({ orgId: 'o1', subject: 'anna' }, byToken)).toBe(true);
  expect(concerns({ orgId: 'o2', subject: 'anna' }, byToken)).toBe(false);
  const byLimitedTicket = testPrincipal({ kind: 'token', subject: 'user:ben', revocationId: 'k1' });
  expect(concerns({ orgId: 'o1', keyId: 'k1' }, byLimitedTicket)).toBe(true);
  expect(concerns({ orgId: 'o1', keyId: 'k1' }, byToken)).toBe(false);
  expect(concerns({ orgId: 'o1', keyId: 'k1' }, testPrincipal())).toBe(true);
  expect(concerns({ orgId: 'o1', tokenId: 'k1' }, testPrincipal())).toBe(false);
});

test('a revoked key of ours is remembered for what comes back without showing it', () => {
  const revocations = createRevocations(clock);
  const holder = testPrincipal({ orgId: 'o1', revocationId: 'k1' });
  expect(revocations.isRevoked(holder)).toBe(false);
  revocations.add({ orgId: 'o2', keyId: 'k1' });
  revocations.add({ orgId: 'o1', tokenId: 'k1' });
  expect(revocations.isRevoked(holder)).toBe(false);
  revocations.add({ orgId: 'o1', keyId: 'k1' });
  expect(revocations.isRevoked(holder)).toBe(true);
  expect(revocations.isRevoked(testPrincipal({ kind: 'token', orgId: 'o1', revocationId: 'k2' }))).toBe(
    false,
  );
});

test('as many revocations are remembered as there is room for, the newest ones', () => {
  const revocations = createRevocations(clock);
  for (let i = 0; i <= 10_000; i++) revocations.add({ orgId: org, tokenId: `t${i}` });
  const isRevoked = (id: string): boolean =>
    revocations.isRevoked(testPrincipal({ kind: 'token', orgId: org, revocationId: id }));
  expect([isRevoked('t0'), isRevoked('t1'), isRevoked('t10000')]).toEqual([false, true, true]);
  expect(revocations.counters).toEqual({ revoked: 10_001, forgotten: 1 });
});

test('neither another organisation nor people who sign out push out a revoked token', () => {
  const revocations = createRevocations(clock);
  const anna = testPrincipal({ kind: 'token', orgId: org, revocationId: 't' });
  revocations.add({ orgId: org, tokenId: 't' });
  for (let i = 0; i <= 10_000; i++) {
    revocations.add({ orgId: org, keyId: `k${i}` });
    for (const orgId of [otherOrg, 'o3', 'o4', 'o5']) revocations.add({ orgId, tokenId: `t${i}` });
  }
  expect(revocations.isRevoked(anna)).toBe(true);
  // One key of this organisation and one token of each other, and one more of all since there are more than fit.
  expect(revocations.counters.forgotten).toBe(1 + 4 + 1);
});

test('what was revoked a day ago takes no room', () => {
  const manual = createManualClock();
  const revocations = createRevocations(manual);
  for (let i = 0; i < 10_000; i++) revocations.add({ orgId: org, tokenId: `t${i}` });
  manual.advance(86_461_000);
  for (let i = 0; i < 10_000; i++) revocations.add({ orgId: org, tokenId: `u${i}` });
  expect(revocations.counters.forgotten).toBe(0);
  const isRevoked = (id: string): boolean =>
    revocations.isRevoked(testPrincipal({ kind: 'token', orgId: org, revocationId: id }));
  expect([isRevoked('t9999'), isRevoked('u0')]).toEqual([false, true]);
});
