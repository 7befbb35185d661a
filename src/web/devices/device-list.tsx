/** Owns the list of devices: when each was last heard, and making, renaming, exchanging the key of and refusing one. */

import { Button } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';

import type { DeviceCreated, DevicePage, DeviceSummary } from '#contract/rest.ts';
import { useMay } from '#web/account/account-context.ts';
import { ConfirmDialog } from '#web/form/confirm-dialog.tsx';
import { Dialog } from '#web/form/dialog.tsx';
import { Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { SecretOnce } from '#web/form/secret-once.tsx';
import { useSubmit } from '#web/form/submit-hook.ts';
import { Instant } from '#web/list/instant.tsx';
import { usePages } from '#web/list/pages-query.ts';
import { RecordTable, type Column } from '#web/list/record-table.tsx';
import { server } from '#web/server.ts';
import { ShortId } from '#web/session-list.tsx';

/** A device that is heard is seen within this time. */
const REFRESH_MS = 5_000;

type Asked =
  | { readonly name: 'add' }
  | { readonly name: 'rename' | 'rotate' | 'revoke'; readonly device: DeviceSummary };

export function DeviceList() {
  const may = useMay();
  const [asked, setAsked] = useState<Asked | null>(null);
  const pages = usePages({
    key: ['devices'],
    path: '/v1/devices',
    rowsOf: (page: DevicePage) => page.devices,
    refreshMs: REFRESH_MS,
  });
  return (
    <section aria-labelledby="devices-heading">
      <div className="page-head">
        <h1 id="devices-heading">Devices</h1>
        <span className="shell-space" />
        {may('device.manage') && (
          <Button variant="default" onClick={() => setAsked({ name: 'add' })}>
            Add a device
          </Button>
        )}
      </div>
      <RecordTable
        caption="Devices, newest first"
        columns={may('device.manage') ? [...columns, actionColumn(setAsked)] : columns}
        pages={pages}
        keyOf={(device) => device.id}
        empty={
          <>
            <h2>No device yet</h2>
            <p>
              A device is a sensor, a hub or a phone that sends readings. Add one here, give it the key that
              is shown, and its first reading begins a session.
            </p>
          </>
        }
      />
      <DeviceDialogs asked={asked} close={() => setAsked(null)} />
    </section>
  );
}

const columns: readonly Column<DeviceSummary>[] = [
  {
    head: 'Device',
    cell: (device) => <strong className={device.revokedAt === null ? '' : 'muted'}>{device.name}</strong>,
  },
  {
    head: 'Last heard',
    cell: ({ lastSeenAt }) =>
      lastSeenAt === null ? <span className="muted">never</span> : <Instant at={lastSeenAt} />,
  },
  {
    head: 'State',
    cell: ({ revokedAt }) =>
      revokedAt === null ? (
        'Accepted'
      ) : (
        <span className="muted">
          Refused since <Instant at={revokedAt} />
        </span>
      ),
  },
  { head: 'Added', kind: 'wide-only', cell: ({ createdAt }) => <Instant at={createdAt} /> },
  { head: 'Id', kind: 'wide-only', cell: ({ id }) => <ShortId id={id} /> },
];

function actionColumn(ask: (asked: Asked) => void): Column<DeviceSummary> {
  return {
    head: 'Actions',
    kind: 'actions',
    cell: (device) =>
      device.revokedAt === null && <DeviceActions device={device} ask={(name) => ask({ name, device })} />,
  };
}

interface DeviceActionsProps {
  readonly device: DeviceSummary;
  readonly ask: (name: 'rename' | 'rotate' | 'revoke') => void;
}

function DeviceActions({ device: { name }, ask }: DeviceActionsProps) {
  return (
    <div className="row-actions">
      <Button variant="default" size="xs" aria-label={`Rename ${name}`} onClick={() => ask('rename')}>
        Rename
      </Button>
      <Button variant="default" size="xs" aria-label={`New key for ${name}`} onClick={() => ask('rotate')}>
        New key
      </Button>
      <Button variant="default" size="xs" aria-label={`Refuse ${name}`} onClick={() => ask('revoke')}>
        Refuse
      </Button>
    </div>
  );
}

function DeviceDialogs({ asked, close }: { asked: Asked | null; close: () => void }) {
  const client = useQueryClient();
  const device = asked === null || asked.name === 'add' ? null : asked.device;
  const read = (): Promise<void> => client.invalidateQueries({ queryKey: ['devices'] });
  const shown = { device, close, read };
  return (
    <>
      <Dialog title="Add a device" isOpen={asked?.name === 'add'} close={close}>
        <AddDevice close={close} read={read} />
      </Dialog>
      <Dialog title="Rename the device" isOpen={asked?.name === 'rename'} close={close}>
        {device !== null && <RenameDevice {...shown} device={device} />}
      </Dialog>
      <Dialog title="A new key for the device" isOpen={asked?.name === 'rotate'} close={close}>
        {device !== null && <RotateKey {...shown} device={device} />}
      </Dialog>
      <ConfirmDialog
        title={`Refuse ${device?.name ?? 'the device'} from now on`}
        isOpen={asked?.name === 'revoke'}
        close={close}
        label="Refuse it"
        act={async () => {
          if (device !== null) await server.revokeDevice(device.id);
          await read();
        }}
      >
        <p>Its connections close and its key is worth nothing any more. What it has sent stays.</p>
      </ConfirmDialog>
    </>
  );
}

interface DeviceFormProps {
  readonly close: () => void;
  readonly read: () => Promise<void>;
}

function AddDevice({ close, read }: DeviceFormProps) {
  const [name, setName] = useState('');
  const [made, setMade] = useState<DeviceCreated | null>(null);
  const submission = useSubmit(async () => {
    setMade(await server.createDevice(name.trim()));
    await read();
  }, ['/name']);
  if (made !== null) return <NewKey secret={made.key} close={close} />;
  return (
    <Form submission={submission}>
      <TextField
        label="Name"
        hint="What is written on it, such as S-041"
        isFirst
        maxLength={100}
        value={name}
        onChange={setName}
        problem={submission.problemOf('/name')}
      />
      <FormFoot
        submission={submission}
        label="Add the device"
        cancel={close}
        isDisabled={name.trim() === ''}
      />
    </Form>
  );
}

function NewKey({ secret, close }: { secret: string; close: () => void }) {
  return (
    <>
      <SecretOnce secret={secret} name="the key of the device" words="Give this key to the device:" />
      <div className="form-foot">
        <Button variant="default" onClick={close}>
          Close
        </Button>
      </div>
    </>
  );
}

function RenameDevice({ device, close, read }: DeviceFormProps & { device: DeviceSummary }) {
  const [name, setName] = useState(device.name);
  const submission = useSubmit(async () => {
    await server.call('PUT', `/v1/devices/${device.id}`, { body: { name: name.trim() } });
    await read();
    close();
  }, ['/name']);
  return (
    <Form submission={submission}>
      <TextField
        label="Name"
        isFirst
        maxLength={100}
        value={name}
        onChange={setName}
        problem={submission.problemOf('/name')}
      />
      <FormFoot submission={submission} label="Rename" cancel={close} isDisabled={name.trim() === ''} />
    </Form>
  );
}

function RotateKey({ device, close, read }: DeviceFormProps & { device: DeviceSummary }) {
  const [made, setMade] = useState<string | null>(null);
  const submission = useSubmit(async () => {
    const { key } = await server.call<{ key: string }>('POST', `/v1/devices/${device.id}/rotate`, {
      body: {},
    });
    setMade(key);
    await read();
  });
  if (made !== null) return <NewKey secret={made} close={close} />;
  return (
    <Form submission={submission}>
      <div className="dialog-words">
        <p>
          {device.name} gets another key. The one that it has stays good for a day, so that it goes on
          recording until the new one is in it.
        </p>
      </div>
      <FormFoot submission={submission} label="Make the key" cancel={close} />
    </Form>
  );
}
