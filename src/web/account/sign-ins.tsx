/** Owns the list of places where a person is signed in, each of which can be ended. */

import { Button } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';

import type { SignInList } from '#contract/account.ts';
import { useSubmit } from '#web/form/submit-hook.ts';
import { Instant } from '#web/list/instant.tsx';
import { ProblemNotice } from '#web/page-states.tsx';
import { server } from '#web/server.ts';

type SignIn = SignInList['signIns'][number];

export function SignIns() {
  const list = useQuery({
    queryKey: ['sign-ins'],
    queryFn: ({ signal }) => server.call<SignInList>('GET', '/v1/account/sign-ins', { signal }),
  });
  return (
    <section className="card" aria-labelledby="sign-ins-title">
      <h2 id="sign-ins-title">Where you are signed in</h2>
      {list.isError && <ProblemNotice error={list.error} retry={() => void list.refetch()} />}
      <ul className="plain-list" aria-busy={list.isPending}>
        {list.data?.signIns.map((signIn) => (
          <SignInRow key={signIn.id} signIn={signIn} />
        ))}
      </ul>
    </section>
  );
}

function SignInRow({ signIn }: { signIn: SignIn }) {
  const client = useQueryClient();
  const end = useSubmit(async () => {
    await server.call('DELETE', `/v1/account/sign-ins/${signIn.id}`);
    await client.invalidateQueries({ queryKey: ['sign-ins'] });
  });
  const name = browserWords(signIn.userAgent);
  return (
    <li>
      <div>
        <strong>{name}</strong> {signIn.isCurrent && <span className="tag">this one</span>}
        <p className="muted small">
          {signIn.address}, last seen <Instant at={signIn.lastSeenAt} />
        </p>
        <p className="needs-action small" role="status">
          {end.general}
        </p>
      </div>
      {!signIn.isCurrent && (
        <Button
          variant="default"
          size="xs"
          disabled={end.isBusy}
          aria-label={`End the sign-in with ${name}`}
          onClick={end.run}
        >
          End
        </Button>
      )}
    </li>
  );
}

/** Enough to recognise one's own: the browser and what it runs on. */
export function browserWords(userAgent: string): string {
  const browser =
    /(Edg|OPR|Firefox|Chrome|Safari)\//
      .exec(userAgent)?.[1]
      ?.replace('Edg', 'Edge')
      .replace('OPR', 'Opera') ?? 'A program';
  const system = /(Windows|Android|iPhone|iPad|Mac OS X|Linux)/.exec(userAgent)?.[1];
  return system === undefined ? browser : `${browser} on ${system.replace('Mac OS X', 'macOS')}`;
}
