/** Owns the joining of what concerns people: ways in, sign-ins, their own accounts, members. No state but that of its parts. */

import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { createEntrances, type Entrances, type SendIdentityMail } from '#identity/entrances.ts';
import { createFailedAttempts } from '#identity/failed-attempts.ts';
import type { OnIdentityEvent } from '#identity/identity-events.ts';
import type { IdentityCounters } from '#identity/keyring.ts';
import { createMembers, type Members } from '#identity/members.ts';
import { createOneTimeTokens } from '#identity/one-time-tokens.ts';
import { createOwnAccount, type OwnAccount } from '#identity/own-account.ts';
import { createPasswords } from '#identity/passwords.ts';
import { createPersonQueries } from '#identity/person-queries.ts';
import { createSecondFactors } from '#identity/second-factors.ts';
import { createSecretBox, type MasterKeySource } from '#identity/secret-box.ts';
import { createSignInAttempts } from '#identity/sign-in-attempts.ts';
import { createSignIns, type SignIns } from '#identity/sign-ins.ts';
import type { RolePool } from '#store/pools.ts';

export interface People {
  readonly entrances: Entrances;
  readonly signIns: SignIns;
  readonly own: OwnAccount;
  readonly members: Members;
  /** A forgotten password can be reset. */
  readonly hasMail: boolean;
  /** `signIns`: look-ups of cookies. `attempts`: guesses that were not looked at. */
  readonly counters: { readonly signIns: IdentityCounters; readonly attempts: { readonly refused: number } };
}

export interface PeopleOptions {
  readonly appPool: RolePool;
  readonly authPool: RolePool;
  readonly clock: Clock;
  readonly log: Log;
  readonly masters: MasterKeySource;
  /** Null: nothing is sent; invitations are handed over by whoever makes them, and passwords are not reset. */
  readonly sendMail: SendIdentityMail | null;
  /** Every sign-in, failure and change of who may what. */
  readonly onEvent: OnIdentityEvent;
}

export function createPeople(options: PeopleOptions): People {
  const { authPool, clock, log, sendMail, onEvent } = options;
  const counters: IdentityCounters = { lookups: 0, failures: 0, refused: 0 };
  const signIns = createSignIns({ authPool, clock, failed: createFailedAttempts(clock), counters });
  const queries = createPersonQueries(authPool);
  const oneTime = createOneTimeTokens({ authPool, clock });
  const box = createSecretBox(options.masters);
  const secondFactors = createSecondFactors({ authPool, clock, box, issuer: 'Kymo' });
  const attempts = createSignInAttempts(clock);
  const shared = { people: queries, passwords: createPasswords(), attempts, secondFactors, signIns, onEvent };
  return {
    signIns,
    entrances: createEntrances({ ...shared, authPool, clock, log, oneTime, sendMail }),
    own: createOwnAccount(shared),
    members: createMembers({ appPool: options.appPool, clock, signIns, sendMail, onEvent }),
    hasMail: sendMail !== null,
    counters: { signIns: counters, attempts: attempts.counters },
  };
}
