/** Owns the invitations of an organisation: who was asked to join as what, the link that does it, and taking one back. */

import { Button } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';

import type { Invitation, InvitationCreated, InvitationPage } from '#contract/account.ts';
import type { MemberRole } from '#contract/permissions.ts';
import { roleWords, staffChoices } from '#web/account/role-words.ts';
import { ConfirmDialog } from '#web/form/confirm-dialog.tsx';
import { Dialog } from '#web/form/dialog.tsx';
import { ChoiceField, Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { SecretOnce } from '#web/form/secret-once.tsx';
import { useSubmit } from '#web/form/submit-hook.ts';
import { Instant } from '#web/list/instant.tsx';
import { usePages } from '#web/list/pages-query.ts';
import { RecordTable, type Column } from '#web/list/record-table.tsx';
import { server } from '#web/server.ts';

export function Invitations() {
  const client = useQueryClient();
  const [isInviting, setIsInviting] = useState(false);
  const [withdrawn, setWithdrawn] = useState<Invitation | null>(null);
  const pages = usePages({
    key: ['invitations'],
    path: '/v1/invitations',
    rowsOf: (page: InvitationPage) => page.invitations,
  });
  const read = (): Promise<void> => client.invalidateQueries({ queryKey: ['invitations'] });
  return (
    <section className="page-part" aria-labelledby="invitations-title">
      <div className="page-head">
        <h2 id="invitations-title" className="part-title">
          Invitations
        </h2>
        <span className="shell-space" />
        <Button variant="default" onClick={() => setIsInviting(true)}>
          Invite somebody
        </Button>
      </div>
      <RecordTable
        caption="Invitations, newest first"
        columns={invitationColumns(setWithdrawn)}
        pages={pages}
        keyOf={({ id }) => id}
        empty={<p>Nobody is invited. An invitation is a link that works once, for a week.</p>}
      />
      <Dialog title="Invite somebody" isOpen={isInviting} close={() => setIsInviting(false)}>
        <Invite close={() => setIsInviting(false)} read={read} />
      </Dialog>
      <ConfirmDialog
        title="Take the invitation back"
        isOpen={withdrawn !== null}
        close={() => setWithdrawn(null)}
        label="Take it back"
        act={async () => {
          await server.call('DELETE', `/v1/invitations/${withdrawn?.id}`);
          await read();
        }}
      >
        <p>The link for {withdrawn?.email} does not work any more.</p>
      </ConfirmDialog>
    </section>
  );
}

function invitationColumns(withdraw: (invitation: Invitation) => void): Column<Invitation>[] {
  return [
    { head: 'Address', cell: ({ email }) => email },
    { head: 'As', cell: ({ role }) => roleWords[role] },
    { head: 'State', cell: ({ state }) => <span className={state === 'open' ? '' : 'muted'}>{state}</span> },
    { head: 'Ends', kind: 'wide-only', cell: ({ expiresAt }) => <Instant at={expiresAt} /> },
    {
      head: 'Actions',
      kind: 'actions',
      cell: (invitation) =>
        invitation.state === 'open' && (
          <div className="row-actions">
            <Button
              variant="default"
              size="xs"
              aria-label={`Take back the invitation of ${invitation.email}`}
              onClick={() => withdraw(invitation)}
            >
              Take back
            </Button>
          </div>
        ),
    },
  ];
}

function Invite({ close, read }: { close: () => void; read: () => Promise<void> }) {
  const [email, setEmail] = useState('');
  const [role, setRole] = useState<MemberRole>('clinician');
  const [made, setMade] = useState<InvitationCreated | null>(null);
  const submission = useSubmit(async () => {
    const body = { email: email.trim(), role };
    setMade(await server.call<InvitationCreated>('POST', '/v1/invitations', { body }));
    await read();
  }, ['/email']);
  if (made !== null) return <Invited made={made} close={close} />;
  return (
    <Form submission={submission}>
      <TextField
        label="E-mail address"
        type="email"
        isFirst
        value={email}
        onChange={setEmail}
        problem={submission.problemOf('/email')}
      />
      <ChoiceField
        label="Role"
        value={role}
        onChange={(value) => setRole(value as MemberRole)}
        choices={staffChoices}
      />
      <FormFoot submission={submission} label="Invite" cancel={close} isDisabled={email.trim() === ''} />
    </Form>
  );
}

/** Also for a patient's account, which is invited from the patient's page. */
export function Invited({ made, close }: { made: InvitationCreated; close: () => void }) {
  const { email } = made.invitation;
  return (
    <>
      <SecretOnce
        secret={`${location.origin}/#invitation=${made.token}`}
        name="the link"
        words={
          made.isMailed
            ? `A mail with this link is on its way to ${email}.`
            : `This server sends no mail: give this link to ${email} yourself.`
        }
      />
      <div className="form-foot">
        <Button variant="default" onClick={close}>
          Close
        </Button>
      </div>
    </>
  );
}
