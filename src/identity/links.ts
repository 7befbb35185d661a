/**
 * Owns links that whoever runs the server hands out: to a member's account, or, while nobody can sign in yet, to the
 * set-up of the first owner. The demo's account has no password and is entered by links alone.
 */

import type { Clock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import { accountLimits } from '#contract/account.ts';
import { createOneTimeTokens, type OneTimeToken } from '#identity/one-time-tokens.ts';
import { createPersonQueries } from '#identity/person-queries.ts';
import type { RolePool } from '#store/pools.ts';

/** RFC 6762 keeps `.local`, RFC 6761 `.localhost`: no mail ever goes there. */
export const DEMO_EMAIL = 'demo@kymo.localhost';

export interface MadeLink extends OneTimeToken {
  readonly kind: 'link' | 'setup';
}

export interface LinkWish {
  /** Null: the oldest owner's. */
  readonly email: string | null;
  /** Good on the machine of the server alone. */
  readonly isLoopback: boolean;
}

/** Methods throw the temporary AppErrors of the store. */
export interface Links {
  /** Null when no member has this address. */
  make(orgId: string, wish: LinkWish): Promise<MadeLink | null>;
  /** To the set-up of the first owner. Null when somebody can sign in already. */
  makeSetUp(orgId: string): Promise<MadeLink | null>;
  /** To the demo's clinician, who may everything there, and is made when there is none. On the server's machine alone. */
  makeDemo(orgId: string): Promise<MadeLink>;
}

export function createLinks({ authPool, clock }: { authPool: RolePool; clock: Clock }): Links {
  const oneTime = createOneTimeTokens({ authPool, clock });
  const queries = createPersonQueries(authPool);

  async function linkOf(
    personId: string,
    { orgId, isLoopback }: { readonly orgId: string; readonly isLoopback: boolean },
  ): Promise<MadeLink> {
    const lifeMs = accountLimits.linkMs;
    return { kind: 'link', ...(await oneTime.make('link', { personId, orgId, lifeMs, isLoopback })) };
  }

  async function makeSetUp(orgId: string): Promise<MadeLink | null> {
    if (await queries.hasOwner()) return null;
    const lifeMs = accountLimits.setUpMs;
    return { kind: 'setup', ...(await oneTime.make('set-up', { personId: null, orgId, lifeMs })) };
  }

  return {
    makeSetUp,
    async make(orgId, { email, isLoopback }) {
      const setUp = email === null ? await makeSetUp(orgId) : null;
      if (setUp !== null) return setUp;
      const [result] = await authPool.run([
        {
          text: `select p.id from kymo.member m join kymo.person p on p.id = m.person_id
            where m.org_id = $1 and case when $2::text is null then m.role = 'owner' and p.password_hash is not null
              else p.email = $2 end
            order by m.created_at, p.id limit 1`,
          values: [orgId, email?.toLowerCase() ?? null],
        },
      ]);
      const person = result?.rows[0] as { id: string } | undefined;
      return person === undefined ? null : linkOf(person.id, { orgId, isLoopback });
    },
    async makeDemo(orgId) {
      const [, , result] = await authPool.run([
        {
          text: `insert into kymo.person (id, email, name) values ($1, $2, 'Demo clinician') on conflict (email) do nothing`,
          values: [uuidv7(clock), DEMO_EMAIL],
        },
        {
          text: `insert into kymo.member (org_id, person_id, role, created_by)
            select $1, id, 'owner', 'demo' from kymo.person where email = $2 on conflict do nothing`,
          values: [orgId, DEMO_EMAIL],
        },
        { text: 'select id from kymo.person where email = $1', values: [DEMO_EMAIL] },
      ]);
      const { id } = result!.rows[0] as { id: string };
      return linkOf(id, { orgId, isLoopback: true });
    },
  };
}
