/** Owns the list of access keys: who reads or changes by program, until when, and making or refusing one. */

import { Button } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';

import { actions, type Action } from '#contract/permissions.ts';
import type { AccessKeyCreated, AccessKeyPage, AccessKeySummary } from '#contract/rest.ts';
import { ConfirmDialog } from '#web/form/confirm-dialog.tsx';
import { Dialog } from '#web/form/dialog.tsx';
import { CheckField, ChoiceField, Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { SecretOnce } from '#web/form/secret-once.tsx';
import { useSubmit, wrong } from '#web/form/submit-hook.ts';
import { Instant } from '#web/list/instant.tsx';
import { usePages } from '#web/list/pages-query.ts';
import { RecordTable, type Column } from '#web/list/record-table.tsx';
import { server } from '#web/server.ts';

const scopeWords: Readonly<Record<string, string>> = {
  read: 'Reads everything',
  admin: 'Reads and changes everything',
  server: 'A back end: channels of its users',
  custom: 'Only what is chosen',
};

export function AccessKeys() {
  const client = useQueryClient();
  const [isAdding, setIsAdding] = useState(false);
  const [refused, setRefused] = useState<AccessKeySummary | null>(null);
  const pages = usePages({
    key: ['access-keys'],
    path: '/v1/access-keys',
    rowsOf: (page: AccessKeyPage) => page.keys,
  });
  const read = (): Promise<void> => client.invalidateQueries({ queryKey: ['access-keys'] });
  return (
    <section className="page-part" aria-labelledby="keys-heading">
      <div className="page-head">
        <h2 id="keys-heading" className="part-title">
          Access keys
        </h2>
        <span className="shell-space" />
        <Button variant="default" onClick={() => setIsAdding(true)}>
          Make a key
        </Button>
      </div>
      <RecordTable
        caption="Access keys, newest first"
        columns={keyColumns(setRefused)}
        pages={pages}
        keyOf={(key) => key.id}
        empty={
          <>
            <h2>No key yet</h2>
            <p>A program that reads from Kymo, or writes to it, needs a key of its own. Make one for each.</p>
          </>
        }
      />
      <Dialog title="Make an access key" isOpen={isAdding} close={() => setIsAdding(false)}>
        <AddKey close={() => setIsAdding(false)} read={read} />
      </Dialog>
      <ConfirmDialog
        title={`Refuse the key ${refused?.name ?? ''} from now on`}
        isOpen={refused !== null}
        close={() => setRefused(null)}
        label="Refuse it"
        act={async () => {
          await server.call('DELETE', `/v1/access-keys/${refused?.id}`);
          await read();
        }}
      >
        <p>Whatever is open with it closes. It cannot be taken back; make another instead.</p>
      </ConfirmDialog>
    </section>
  );
}

function keyColumns(refuse: (key: AccessKeySummary) => void): Column<AccessKeySummary>[] {
  return [
    {
      head: 'Key',
      cell: (key) => <strong className={key.revokedAt === null ? '' : 'muted'}>{key.name}</strong>,
    },
    { head: 'May', cell: ({ scope }) => scopeWords[scope] ?? scope },
    { head: 'Made', kind: 'wide-only', cell: ({ createdAt }) => <Instant at={createdAt} /> },
    {
      head: 'Ends',
      kind: 'wide-only',
      cell: ({ expiresAt, revokedAt }) =>
        revokedAt === null ? (
          <Instant at={expiresAt} />
        ) : (
          <span className="muted">
            refused <Instant at={revokedAt} />
          </span>
        ),
    },
    {
      head: 'Actions',
      kind: 'actions',
      cell: (key) =>
        key.revokedAt === null && (
          <div className="row-actions">
            <Button
              variant="default"
              size="xs"
              aria-label={`Refuse the key ${key.name}`}
              onClick={() => refuse(key)}
            >
              Refuse
            </Button>
          </div>
        ),
    },
  ];
}

function AddKey({ close, read }: { close: () => void; read: () => Promise<void> }) {
  const [name, setName] = useState('');
  const [scope, setScope] = useState('read');
  const [chosen, setChosen] = useState<readonly Action[]>([]);
  const [made, setMade] = useState<AccessKeyCreated | null>(null);
  const submission = useSubmit(async () => {
    if (scope === 'custom' && chosen.length === 0)
      throw wrong('/permissions', 'Choose at least one thing that the key may do');
    const permissions = scope === 'custom' ? { permissions: chosen } : {};
    const body = { name: name.trim(), scope, ...permissions };
    setMade(await server.call<AccessKeyCreated>('POST', '/v1/access-keys', { body }));
    await read();
  }, ['/name']);
  if (made !== null)
    return (
      <>
        <SecretOnce secret={made.key} name="the access key" words="Give this key to the program:" />
        <div className="form-foot">
          <Button variant="default" onClick={close}>
            Close
          </Button>
        </div>
      </>
    );
  return (
    <Form submission={submission}>
      <TextField
        label="Name"
        hint="The program that it is for"
        isFirst
        maxLength={100}
        value={name}
        onChange={setName}
        problem={submission.problemOf('/name')}
      />
      <ChoiceField
        label="What it may do"
        value={scope}
        onChange={setScope}
        choices={Object.entries(scopeWords).map(([value, label]) => ({ value, label }))}
      />
      {scope === 'custom' && (
        <fieldset className="checks">
          <legend>Permissions</legend>
          {actions.map((action) => (
            <CheckField
              key={action}
              label={action}
              isChecked={chosen.includes(action)}
              onChange={(isChecked) =>
                setChosen(isChecked ? [...chosen, action] : chosen.filter((other) => other !== action))
              }
            />
          ))}
        </fieldset>
      )}
      <FormFoot submission={submission} label="Make the key" cancel={close} isDisabled={name.trim() === ''} />
    </Form>
  );
}
