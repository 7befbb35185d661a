/**
 * Owns people in a running server: their parts, that comings, goings and failures are in the audit log, and their metrics.
 * What a signed-in person does is recorded with its request (api/audit-chain.ts); here is what happens before.
 */

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { Audit } from '#contract/audit.ts';
import type { SendIdentityMail } from '#identity/entrances.ts';
import type { IdentityEvent, IdentityEventKind } from '#identity/identity-events.ts';
import { createPeople, type People } from '#identity/people.ts';
import type { MasterKeySource } from '#identity/secret-box.ts';
import type { Pools } from '#store/pools.ts';
import type { Namers } from '#app/metrics.ts';

export interface OpenedPeople {
  readonly people: People;
  readonly counters: { readonly signedIn: number; readonly failed: number };
}

/** Nobody is signed in yet when these happen, so no request has them recorded. */
const statusOf: Partial<Record<IdentityEventKind, number>> = {
  'signed-in': 200,
  'set-up': 200,
  'invitation-accepted': 200,
  'password-reset-asked': 202,
  'password-reset': 204,
  'sign-in-failed': 401,
  'second-factor-failed': 401,
};

export function openPeople(options: {
  readonly pools: Pick<Pools, 'app' | 'auth'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly audit: Audit;
  readonly masters: MasterKeySource;
  readonly sendMail: SendIdentityMail | null;
}): OpenedPeople {
  const { pools, clock, log, audit, masters, sendMail } = options;
  const counters = { signedIn: 0, failed: 0 };

  function onEvent(event: IdentityEvent): void {
    const { kind, orgId, personId, role, address, detail } = event;
    if (kind === 'signed-in') counters.signedIn++;
    if (statusOf[kind] === 401) counters.failed++;
    log.info('people', { kind, orgId, personId, detail });
    const status = statusOf[kind];
    if (status === undefined || orgId === null || personId === null || role === null) return;
    audit
      .record({
        orgId,
        actor: { kind: 'user', role, subject: personId },
        action: 'account.sign-in',
        route: `people ${kind}${detail === '' ? '' : ` ${detail}`}`,
        requestId: null,
        patientId: null,
        resource: null,
        status,
        address,
      })
      .catch((error: unknown) =>
        log.error('an entry of the audit log is missing', { kind, error: messageOf(error) }),
      );
  }

  const people = createPeople({
    appPool: pools.app,
    authPool: pools.auth,
    clock,
    log,
    masters,
    sendMail,
    onEvent,
  });
  return { people, counters };
}

export function addPeopleMetrics({ counter }: Namers, { people, counters }: OpenedPeople): void {
  counter('kymo_sign_ins_total', 'people who signed in', () => counters.signedIn);
  counter('kymo_sign_in_failures_total', 'wrong passwords, codes and links', () => counters.failed);
  counter(
    'kymo_sign_in_refused_total',
    'guesses at passwords that were not looked at',
    () => people.counters.attempts.refused,
  );
  counter(
    'kymo_cookie_lookups_total',
    'cookies looked up in the database',
    () => people.counters.signIns.lookups,
  );
  counter('kymo_cookie_failures_total', 'cookies that were refused', () => people.counters.signIns.failures);
}
