/** Owns what a check finds: how it stands, one plain sentence, and what to do about it, to be copied. */

import type { Clock } from '#base/clock.ts';
import type { Config } from '#app/config.ts';
import type { DatabaseState } from '#app/doctor/database-state.ts';
import type { FoundServer } from '#app/running-servers.ts';

export interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warning' | 'problem';
  readonly text: string;
  /** Null when there is nothing to do. */
  readonly fix: string | null;
}

/** What the checks look at. Nothing of it is changed. */
export interface DoctorContext {
  readonly config: Config;
  readonly stateDir: string;
  readonly clock: Clock;
  readonly database: DatabaseState;
  /** Servers that run on this data directory. */
  readonly servers: readonly FoundServer[];
}

export type Check = (context: DoctorContext) => Promise<readonly Finding[]> | readonly Finding[];

export const ok = (check: string, text: string): Finding => ({ check, state: 'ok', text, fix: null });

export const warning = (check: string, text: string, fix: string): Finding => ({
  check,
  state: 'warning',
  text,
  fix,
});

export const problem = (check: string, text: string, fix: string): Finding => ({
  check,
  state: 'problem',
  text,
  fix,
});
