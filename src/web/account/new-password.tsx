/** Owns the field for a new password: how long it has to be is said before, and checked before it is sent. */

import { accountLimits } from '#contract/account.ts';
import { TextField } from '#web/form/fields.tsx';
import { wrong } from '#web/form/submit-hook.ts';

export interface NewPasswordProps {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly problem: string | null;
  readonly label?: string;
}

export function NewPasswordField({ value, onChange, problem, label = 'New password' }: NewPasswordProps) {
  return (
    <TextField
      label={label}
      type="password"
      autoComplete="new-password"
      hint={`At least ${accountLimits.minPasswordCharacters} characters; a few words are better than signs`}
      maxLength={accountLimits.maxPasswordCharacters}
      value={value}
      onChange={onChange}
      problem={problem}
    />
  );
}

/** Throws what a person reads at the field. */
export function checkNewPassword(password: string): void {
  if (password.length < accountLimits.minPasswordCharacters)
    throw wrong('/password', `Too short: at least ${accountLimits.minPasswordCharacters} characters`);
}
