/** Owns who looks at the page: the account that the sign-in gate found, and what it may do, for every part of the page. */

import { createContext, useContext } from 'react';

import { assert } from '#base/assert.ts';
import type { Account } from '#contract/account.ts';
import type { Action } from '#contract/permissions.ts';

export const AccountContext = createContext<Account | null>(null);

export function useAccount(): Account {
  const account = useContext(AccountContext);
  assert(account !== null, 'what asks for the account is within the sign-in gate');
  return account;
}

/** Hides what would be refused; the server asks its own rule all the same. */
export function useMay(): (action: Action) => boolean {
  const { permissions } = useAccount();
  return (action) => permissions.includes(action);
}
