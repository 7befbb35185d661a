/**
 * Owns the order between what is given to a person (a sign-in, a second step) and what takes it away (another password, all
 * sign-ins ended): whoever gives holds the person's row, whoever takes waits for that and sees what was given, and the other
 * way round. First in its transaction; PostgreSQL's row locks, which end with it.
 */

import type { Statement } from '#store/pools.ts';

/** Nothing of the person is taken away before this transaction ends. Many may hold it at once. */
export function holdPersonStatement(personId: string): Statement {
  return {
    name: 'hold-person',
    text: 'select from kymo.person where id = $1 for share',
    values: [personId],
  };
}

/** Waits for those that hold the person; what comes after it in the transaction sees what they gave. */
export function changePersonStatement(personId: string): Statement {
  return {
    name: 'change-person',
    text: 'select from kymo.person where id = $1 for no key update',
    values: [personId],
  };
}
