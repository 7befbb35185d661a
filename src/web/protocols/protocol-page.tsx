/** Owns the page of protocols: what is recorded in which session, with its sensors and tasks, and making or changing one. */

import { Button } from '@mantine/core';
import { useState } from 'react';

import type { Protocol, ProtocolPage as ProtocolAnswer } from '#contract/visit.ts';
import { useMay } from '#web/account/account-context.ts';
import { Dialog } from '#web/form/dialog.tsx';
import { formatSegment } from '#web/format.ts';
import { Instant } from '#web/list/instant.tsx';
import { usePages } from '#web/list/pages-query.ts';
import { RecordTable, type Column } from '#web/list/record-table.tsx';
import { usePageTitle } from '#web/page-title.ts';
import { ProtocolForm } from '#web/protocols/protocol-form.tsx';

export function ProtocolPage() {
  usePageTitle('Protocols');
  const may = useMay();
  const [edited, setEdited] = useState<Protocol | 'new' | null>(null);
  const pages = usePages({
    key: ['protocols', 'list'],
    path: '/v1/protocols',
    rowsOf: (page: ProtocolAnswer) => page.protocols,
  });
  const add = may('protocol.write') && (
    <Button variant="default" className="primary" onClick={() => setEdited('new')}>
      New protocol
    </Button>
  );
  return (
    <div className="page">
      <div className="page-head">
        <h1>Protocols</h1>
        <span className="shell-space" />
        {add}
      </div>
      <RecordTable
        caption="Protocols"
        columns={protocolColumns(may('protocol.write') ? setEdited : null)}
        pages={pages}
        keyOf={({ id }) => id}
        empty={
          <>
            <h2>No protocol yet</h2>
            <p>
              A protocol says which sensors a session needs and what the patient does, so that sessions of
              different days can be compared.
            </p>
            <div className="form-foot">{add}</div>
          </>
        }
      />
      <Dialog
        title={edited === 'new' ? 'New protocol' : 'Change the protocol'}
        isOpen={edited !== null}
        close={() => setEdited(null)}
        isWide
      >
        <ProtocolForm protocol={edited === 'new' ? null : edited} close={() => setEdited(null)} />
      </Dialog>
    </div>
  );
}

function protocolColumns(edit: ((protocol: Protocol) => void) | null): Column<Protocol>[] {
  const columns: Column<Protocol>[] = [
    {
      head: 'Protocol',
      cell: ({ name, archivedAt }) => (
        <>
          <strong>{name}</strong> {archivedAt !== null && <span className="tag">archived</span>}
        </>
      ),
    },
    {
      head: 'Sensors',
      cell: ({ segments }) =>
        segments.length === 0 ? (
          <span className="muted">any</span>
        ) : (
          segments.map(({ segment }) => formatSegment(segment)).join(', ')
        ),
    },
    { head: 'Tasks', kind: 'wide-only', cell: ({ tasks }) => tasks.map(({ name }) => name).join(', ') },
    { head: 'Revision', kind: 'number', cell: ({ revision }) => revision },
    { head: 'Since', kind: 'wide-only', cell: ({ madeAt }) => <Instant at={madeAt} /> },
  ];
  if (edit === null) return columns;
  return [
    ...columns,
    {
      head: 'Actions',
      kind: 'actions',
      cell: (protocol) => (
        <div className="row-actions">
          <Button
            variant="default"
            size="xs"
            aria-label={`Change ${protocol.name}`}
            onClick={() => edit(protocol)}
          >
            Change
          </Button>
        </div>
      ),
    },
  ];
}
