/** Owns the page of people: who belongs to the organisation as what, and who is invited. */

import { Button } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';

import type { Member, MemberList } from '#contract/account.ts';
import type { MemberRole } from '#contract/permissions.ts';
import { useAccount } from '#web/account/account-context.ts';
import { Invitations } from '#web/account/invitations.tsx';
import { roleMeanings, roleWords, staffChoices } from '#web/account/role-words.ts';
import { ConfirmDialog } from '#web/form/confirm-dialog.tsx';
import { Dialog } from '#web/form/dialog.tsx';
import { ChoiceField, Form, FormFoot } from '#web/form/fields.tsx';
import { useSubmit } from '#web/form/submit-hook.ts';
import { Instant } from '#web/list/instant.tsx';
import { pagesOf } from '#web/list/pages-query.ts';
import { RecordTable, type Column } from '#web/list/record-table.tsx';
import { usePageTitle } from '#web/page-title.ts';
import { server } from '#web/server.ts';

type Asked = { readonly name: 'role' | 'remove'; readonly member: Member };

export function PeoplePage() {
  usePageTitle('People');
  const client = useQueryClient();
  const { person } = useAccount();
  const [asked, setAsked] = useState<Asked | null>(null);
  const list = useQuery({
    queryKey: ['members'],
    queryFn: ({ signal }) => server.call<MemberList>('GET', '/v1/members', { signal }),
  });
  const close = (): void => setAsked(null);
  const read = (): Promise<void> => client.invalidateQueries({ queryKey: ['members'] });
  const member = asked?.member;
  return (
    <div className="page">
      <div className="page-head">
        <h1>People</h1>
      </div>
      <RecordTable
        caption="People of the organisation"
        columns={memberColumns(person?.id ?? null, setAsked)}
        pages={pagesOf(list, ({ members }) => members)}
        keyOf={({ id }) => id}
        empty={<p>Nobody belongs to this organisation yet. Invite the first below.</p>}
      />
      <Dialog title="Another role" isOpen={asked?.name === 'role'} close={close}>
        {member !== undefined && <ChangeRole member={member} close={close} read={read} />}
      </Dialog>
      <ConfirmDialog
        title={`Remove ${member?.name ?? ''} from the organisation`}
        isOpen={asked?.name === 'remove'}
        close={close}
        label="Remove"
        act={async () => {
          await server.call('DELETE', `/v1/members/${member?.id}`);
          await read();
        }}
      >
        <p>Their sign-ins here end at once. What they wrote stays, with their name.</p>
      </ConfirmDialog>
      <Invitations />
    </div>
  );
}

function memberColumns(own: string | null, ask: (asked: Asked) => void): Column<Member>[] {
  return [
    {
      head: 'Person',
      cell: ({ id, name }) => (
        <>
          <strong>{name}</strong> {id === own && <span className="tag">you</span>}
        </>
      ),
    },
    { head: 'Address', kind: 'wide-only', cell: ({ email }) => email },
    { head: 'Role', cell: ({ role }) => <span title={roleMeanings[role]}>{roleWords[role]}</span> },
    {
      head: 'Second step',
      kind: 'wide-only',
      cell: ({ hasTotp }) => (hasTotp ? 'on' : <span className="muted">off</span>),
    },
    { head: 'Since', kind: 'wide-only', cell: ({ since }) => <Instant at={since} /> },
    {
      head: 'Actions',
      kind: 'actions',
      cell: (member) => (
        <div className="row-actions">
          {member.role !== 'patient' && (
            <Button
              variant="default"
              size="xs"
              aria-label={`Another role for ${member.name}`}
              onClick={() => ask({ name: 'role', member })}
            >
              Role
            </Button>
          )}
          <Button
            variant="default"
            size="xs"
            aria-label={`Remove ${member.name}`}
            onClick={() => ask({ name: 'remove', member })}
          >
            Remove
          </Button>
        </div>
      ),
    },
  ];
}

interface ChangeRoleProps {
  readonly member: Member;
  readonly close: () => void;
  readonly read: () => Promise<void>;
}

function ChangeRole({ member, close, read }: ChangeRoleProps) {
  const [role, setRole] = useState<MemberRole>(member.role);
  const submission = useSubmit(async () => {
    await server.call('PUT', `/v1/members/${member.id}`, { body: { role } });
    await read();
    close();
  });
  return (
    <Form submission={submission}>
      <ChoiceField
        label={`Role of ${member.name}`}
        value={role}
        onChange={(value) => setRole(value as MemberRole)}
        choices={staffChoices}
      />
      <FormFoot submission={submission} label="Change" cancel={close} isDisabled={role === member.role} />
    </Form>
  );
}
