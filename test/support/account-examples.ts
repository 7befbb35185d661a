/**
 * Owns the valid requests of people about themselves: ways in, the own account with its second factor, members, and the ways
 * out at the end. See route-examples.ts.
 */

import { expect } from 'vitest';

import { systemClock as clock } from '#base/clock.ts';
import { createLinks } from '#identity/links.ts';
import { codeOfStep, stepAt } from '#identity/totp.ts';
import type { Example, RouteWorld } from '#test/support/route-examples.ts';

const EMAIL = 'owner@clinic.example';
const PASSWORD = 'a walk in the park';
const SECOND_PASSWORD = 'a walk by the river';

const tokenOf = (fragment: string): string => fragment.replace(/^#?\w+=/, '');

/** Ways in, the own account, members. */
export function entering(world: RouteWorld): readonly Example[] {
  const { clinic, ids, answerOf } = world;
  const links = createLinks({ authPool: clinic.pools.auth, clock });
  let oneTimeToken = '';
  let challenge = '';
  let backupCode = '';
  let totpSecret: Buffer = Buffer.alloc(0);
  return [
    {
      route: 'POST /v1/account/set-up',
      isStranger: true,
      prepare: async () => {
        const made = await links.makeSetUp(clinic.tenant.orgId);
        oneTimeToken = made!.token;
      },
      body: () => ({ token: oneTimeToken, email: EMAIL, name: 'Owner', password: PASSWORD }),
      keep: (_, set) => void (world.cookie = set),
    },
    {
      route: 'POST /v1/account/links',
      isStranger: true,
      prepare: async () => {
        const wish = { email: EMAIL, isLoopback: false };
        const made = await links.make(clinic.tenant.orgId, wish);
        oneTimeToken = made!.token;
      },
      body: () => ({ token: oneTimeToken }),
    },
    {
      route: 'POST /v1/account/sign-in',
      isStranger: true,
      body: () => ({ email: EMAIL, password: PASSWORD }),
    },
    { route: 'PUT /v1/account', body: () => ({ name: 'The owner' }) },
    {
      route: 'PUT /v1/account/organisation',
      body: () => ({ organisationId: ids['organisation'] }),
      keep: (_, set) => void (world.cookie = set === '' ? world.cookie : set),
    },
    {
      route: 'GET /v1/account/sign-ins',
      keep: ({ signIns }) => {
        ids['sign-in'] = signIns!.find((one) => !one.isCurrent)!.id;
      },
    },
    { route: 'DELETE /v1/account/sign-ins/{id}' },
    {
      route: 'POST /v1/account/totp',
      body: () => ({ password: PASSWORD }),
      keep: ({ secret }) => void (totpSecret = fromBase32(secret!)),
    },
    {
      route: 'POST /v1/account/totp/confirm',
      body: () => ({ code: codeOfStep(totpSecret, stepAt(clock.nowUs())) }),
    },
    {
      route: 'POST /v1/account/totp/backup-codes',
      body: () => ({ password: PASSWORD }),
      keep: ({ codes }) => void (backupCode = codes![0]!),
    },
    {
      route: 'POST /v1/account/second-factor',
      isStranger: true,
      prepare: async () => {
        challenge = (await answerOf('POST /v1/account/sign-in', { email: EMAIL, password: PASSWORD }, ''))
          .challenge!;
      },
      body: () => ({ challenge, code: backupCode }),
    },
    { route: 'POST /v1/account/totp/disable', body: () => ({ password: PASSWORD }) },
    {
      route: 'PUT /v1/account/password',
      body: () => ({ current: PASSWORD, password: SECOND_PASSWORD }),
      keep: (_, set) => void (world.cookie = set === '' ? world.cookie : set),
    },
    {
      route: 'POST /v1/invitations',
      body: () => ({ email: 'new@clinic.example', role: 'assistant' }),
      keep: ({ token }) => void (oneTimeToken = token!),
    },
    { route: 'POST /v1/account/invitations/look', isStranger: true, body: () => ({ token: oneTimeToken }) },
    {
      route: 'POST /v1/account/invitations/accept',
      isStranger: true,
      body: () => ({ token: oneTimeToken, name: 'New', password: PASSWORD }),
    },
    {
      route: 'GET /v1/members',
      keep: ({ members }) => {
        ids['member'] = members!.find(({ email }) => email !== EMAIL)!.id;
      },
    },
    { route: 'PUT /v1/members/{id}', body: () => ({ role: 'clinician' }) },
    { route: 'DELETE /v1/members/{id}' },
    {
      route: 'DELETE /v1/invitations/{id}',
      prepare: async () => {
        const body = { email: 'late@clinic.example', role: 'assistant' };
        ids['invitation'] = (await answerOf('POST /v1/invitations', body)).invitation!.id!;
      },
    },
  ];
}

export function leaving(world: RouteWorld): readonly Example[] {
  const { mails } = world;
  return [
    { route: 'POST /v1/account/sign-out', keep: () => void (world.cookie = '') },
    { route: 'POST /v1/account/password/forgot', isStranger: true, body: () => ({ email: EMAIL }) },
    {
      route: 'POST /v1/account/password/reset',
      isStranger: true,
      prepare: () => expect.poll(() => mails.some(({ kind }) => kind === 'password-reset')).toBe(true),
      body: () => ({
        token: tokenOf(mails.findLast(({ kind }) => kind === 'password-reset')!.fragment),
        password: PASSWORD,
      }),
    },
  ];
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
/** RFC 4648 section 6. */
function fromBase32(text: string): Buffer {
  const bits = Array.from(text, (one) => alphabet.indexOf(one).toString(2).padStart(5, '0')).join('');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}
