/** Owns how authors read on a page: the name of a colleague, a key, or Kymo itself. */

import { useQuery } from '@tanstack/react-query';

import type { MemberList } from '#contract/account.ts';
import { useAccount, useMay } from '#web/account/account-context.ts';
import { server } from '#web/server.ts';

/** Says of `user:ID` and `access:ID` who it is. */
export function useAuthorWords(): (author: string) => string {
  const may = useMay();
  const { person, role } = useAccount();
  const members = useQuery({
    queryKey: ['members'],
    queryFn: ({ signal }) => server.call<MemberList>('GET', '/v1/members', { signal }),
    enabled: may('organisation.read'),
    staleTime: 300_000,
  });
  return (author) => {
    const [kind, id = ''] = author.split(':');
    if (author === '' || kind === 'system') return 'Kymo';
    if (id !== '' && id === person?.id) return 'you';
    // Who works there is not told to patients' accounts.
    if (role === 'patient') return 'your clinic';
    if (kind !== 'user') return 'a key';
    return members.data?.members.find((member) => member.id === id)?.name ?? 'somebody of the organisation';
  };
}
