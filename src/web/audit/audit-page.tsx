/** Owns the page of the audit log: who did what to whose data, newest first, and the head of the chain that proves it. */

import { Link } from '@tanstack/react-router';

import type { AuditPage as AuditAnswer, AuditRecord } from '#contract/audit.ts';
import { useAuthorWords } from '#web/clinic/author-words.ts';
import { formatCount } from '#web/format.ts';
import { Instant } from '#web/list/instant.tsx';
import { usePages } from '#web/list/pages-query.ts';
import { RecordTable, type Column } from '#web/list/record-table.tsx';
import { usePageTitle } from '#web/page-title.ts';
import { CommandLine } from '#web/page-states.tsx';

export function AuditPage() {
  usePageTitle('Audit');
  const authorWords = useAuthorWords();
  const pages = usePages({
    key: ['audit'],
    path: '/v1/audit',
    rowsOf: (page: AuditAnswer) => page.entries,
  });
  return (
    <div className="page">
      <div className="page-head">
        <h1>Audit</h1>
        <p className="muted">Every access to patients’ data. Nothing here can be changed or removed.</p>
      </div>
      <RecordTable
        caption="Entries of the audit log, newest first"
        columns={auditColumns(authorWords)}
        pages={pages}
        keyOf={({ id }) => String(id)}
        empty={<p>Nothing was read or changed yet.</p>}
      />
      <ChainHead head={pages.first?.head ?? null} />
    </div>
  );
}

function auditColumns(authorWords: (author: string) => string): Column<AuditRecord>[] {
  return [
    { head: 'When', cell: ({ at }) => <Instant at={at} /> },
    {
      head: 'Who',
      cell: ({ actor: { kind, role, subject } }) => (
        <>
          {kind === 'system' ? 'Kymo' : authorWords(`${kind}:${subject}`)}{' '}
          <span className="muted small">{role}</span>
        </>
      ),
    },
    {
      head: 'What',
      cell: ({ action, route }) => (
        <>
          {action} <span className="muted small audit-route">{route}</span>
        </>
      ),
    },
    {
      head: 'Whose',
      cell: ({ patientId, patients }) => {
        if (patientId !== null)
          return (
            <Link to="/patients/$id" params={{ id: patientId }}>
              <code className="small">{patientId.slice(-8)}</code>
            </Link>
          );
        return patients === null ? null : (
          <span className="muted">{formatCount(patients.length)} patients of a list</span>
        );
      },
    },
    { head: 'Outcome', kind: 'wide-only', cell: ({ status }) => <Outcome status={status} /> },
    {
      head: 'From',
      kind: 'wide-only',
      cell: ({ address }) => <span className="muted small">{address}</span>,
    },
  ];
}

function Outcome({ status }: { status: number | null }) {
  if (status === null) return <span className="muted">about to be done</span>;
  if (status < 400) return <span className="muted">done</span>;
  return <span className="needs-attention">refused ({status})</span>;
}

/** The newest sealed block: kept elsewhere, it proves what came before it. */
function ChainHead({ head }: { head: AuditAnswer['head'] }) {
  if (head === null) return null;
  return (
    <section className="page-part" aria-labelledby="chain-title">
      <h2 id="chain-title" className="part-title">
        Proof
      </h2>
      <p className="list-note">
        Block {formatCount(head.block)} was sealed <Instant at={head.sealedAt} />. Write its hash down
        somewhere else: the command proves that everything up to it is as it was.
      </p>
      <CommandLine
        text={`npm run kymo -- verify-audit --expect ${head.block}:${head.hash}`}
        label="the command that verifies the audit log"
      />
    </section>
  );
}
